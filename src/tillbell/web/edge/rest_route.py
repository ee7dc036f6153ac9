"""Requests for the REST framework: strict JSON, and stored answers for `Idempotency-Key`."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

from tillbell.app import Gateway
from tillbell.storage.ports.outbound import IdempotencyUse
from tillbell.web.edge.asgi_types import App, HttpAnswer, Receive, Scope, Send, header, replay_body
from tillbell.web.edge.auth import PRINCIPAL, ApiRequest
from tillbell.web.edge.idempotency import IdempotentAnswers, idempotency_name
from tillbell.web.edge.strict_json import check_json


class RestApi:
    """Handles requests with the framework's application."""

    def __init__(self, app: App, gateway: Gateway) -> None:
        self._app = app
        self._idempotent = IdempotentAnswers(app, gateway)

    async def __call__(self, request: ApiRequest) -> HttpAnswer:
        """Return the answer to a request whose key is valid."""
        scope, body = request.scope, request.body
        if body:
            check_json(body)
        scope[PRINCIPAL] = request.principal
        receive = replay_body(body, request.receive)
        key = header(scope, b"idempotency-key")
        if key is None or scope["method"] != "POST":
            return await _collect(partial(self._app, scope, receive))
        name = idempotency_name(request.principal, "POST", scope["path"], key)
        fingerprint = hashlib.sha256(scope["query_string"] + b"\0" + body).hexdigest()
        use = IdempotencyUse(name, fingerprint)
        return await _collect(partial(self._idempotent, use, scope, receive))

    async def answer_public(self, scope: Scope, receive: Receive) -> HttpAnswer:
        """Return the answer to a request that needs no key."""
        return await _collect(partial(self._app, scope, receive))


async def _collect(serve: Callable[[Send], Awaitable[None]]) -> HttpAnswer:
    """Return the whole answer that an ASGI application sends. None of ours streams."""
    status, headers, parts = 0, list[tuple[bytes, bytes]](), list[bytes]()

    async def send(event: Scope) -> None:
        nonlocal status, headers
        if event["type"] == "http.response.start":
            status, headers = event["status"], list(event.get("headers", ()))
        else:
            parts.append(event.get("body", b""))

    await serve(send)
    return HttpAnswer(status, headers, b"".join(parts))
