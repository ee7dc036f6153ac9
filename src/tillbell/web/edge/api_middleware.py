"""The gate in front of the REST framework: key, rate, body, idempotency. Bare ASGI.

Everything that must be known before a route is looked at. A request without a valid key
learns nothing, not even which paths exist.
"""

from __future__ import annotations

import hashlib

from tillbell.app import Gateway
from tillbell.configure.key_usage import KeyUsage
from tillbell.errors import TillbellError
from tillbell.storage.ports.outbound import IdempotencyUse
from tillbell.web.edge.asgi_types import (
    App,
    HttpAnswer,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    replay_body,
    send_answer,
)
from tillbell.web.edge.auth import PRINCIPAL, Principal, authenticate_now
from tillbell.web.edge.idempotency import IdempotentAnswers, idempotency_name
from tillbell.web.edge.limits import RateLimit
from tillbell.web.edge.problems import render_problem
from tillbell.web.edge.strict_json import check_json

PUBLIC = frozenset({"/api/v1/health", "/api/v1/openapi.json"})
_SECURITY: list[tuple[bytes, bytes]] = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


class ApiGate:
    """See the module."""

    def __init__(self, api: App, gateway: Gateway, limit: RateLimit, usage: KeyUsage) -> None:
        self._api = api
        self._gateway = gateway
        self._limit = limit
        self._usage = usage
        self._idempotent = IdempotentAnswers(api, gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        told = list(_SECURITY)

        async def tell(event: Scope) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event.get("headers", ()), *told]}
            await send(event)

        try:
            if scope["path"] in PUBLIC:
                await self._api(scope, receive, tell)
                return
            principal = authenticate_now(self._gateway, header(scope, b"authorization"))
            told += self._limit.take(principal.key.id)
            if self._usage.is_due(principal.key):
                await self._usage.note(principal.key)
            await self._pass(principal, scope, receive, tell)
        except TillbellError as error:
            await send_answer(tell, HttpAnswer(*_reordered(render_problem(error))))

    async def _pass(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive, self._gateway.settings.max_body_bytes)
        if body:
            check_json(body)
        scope[PRINCIPAL] = principal
        receive = replay_body(body, receive)
        key = header(scope, b"idempotency-key")
        if key is None or scope["method"] != "POST":
            await self._api(scope, receive, send)
            return
        name = idempotency_name(principal, "POST", scope["path"], key)
        fingerprint = hashlib.sha256(scope["query_string"] + b"\0" + body).hexdigest()
        await self._idempotent(IdempotencyUse(name, fingerprint), scope, receive, send)


def _reordered(
    rendered: tuple[int, bytes, list[tuple[bytes, bytes]]],
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    status, body, headers = rendered
    return status, headers, body
