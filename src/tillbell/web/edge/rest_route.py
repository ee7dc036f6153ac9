"""Requests for the REST framework: strict JSON, and stored answers for `Idempotency-Key`."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from functools import partial

from tillbell.app import Gateway
from tillbell.deliver.audit import acting_as, current_actor
from tillbell.errors import ConflictError
from tillbell.model.audit import USER_AGENT_MAX, Actor, ActorKind
from tillbell.rules.proxies import client_address, networks
from tillbell.storage.ports.outbound import IdempotencyUse
from tillbell.storage.session.request_act import open_request_act
from tillbell.web.edge.asgi_types import (
    App,
    Headers,
    HttpAnswer,
    Receive,
    Scope,
    header,
    replay_body,
)
from tillbell.web.edge.auth import ApiRequest
from tillbell.web.edge.idempotency import (
    IdempotentAnswers,
    fingerprint_of,
    idempotency_name,
    refuse_key,
)
from tillbell.web.edge.paths import (
    IGNORED,
    JSON_BODY,
    REQUEST_ID,
    ROUTE,
    STREAM,
    is_upload,
)
from tillbell.web.edge.resolved_path import PathResolver
from tillbell.web.edge.strict_json import check_json

# A parameter's name with `[]` or `[0]` after it, as some clients write lists.
_BRACKETS = re.compile(rb"(?<![^&])([^&=\[%]+)(?:\[|%5B)[0-9]*(?:\]|%5D)(?=[=&]|$)", re.IGNORECASE)

_ERROR = 400


def without_brackets(query: bytes) -> bytes:
    """Return a query string in which a list is a parameter that is repeated.

    >>> without_brackets(b"event_types[]=a&event_types%5B1%5D=b[0]")
    b'event_types=a&event_types=b[0]'
    """
    return _BRACKETS.sub(rb"\1", query)


class RestApi:
    """Handles requests with the framework's application."""

    def __init__(self, app: App, gateway: Gateway) -> None:
        self._app = app
        self._idempotent = IdempotentAnswers(gateway)
        self._paths = PathResolver(gateway)
        self._trusted = networks(gateway.settings.trusted_proxies)

    async def __call__(self, request: ApiRequest) -> HttpAnswer:
        """Return the answer to a request whose key is valid."""
        with acting_as(self._actor(request)), open_request_act():
            return await self._answer(request)

    async def _answer(self, request: ApiRequest) -> HttpAnswer:
        scope, body = request.scope, request.body
        scope["query_string"] = without_brackets(scope["query_string"])
        if is_upload(scope["method"], scope["path"]):  # the same file again changes nothing
            return await self._collect(scope, request.receive)
        if body:
            scope[JSON_BODY] = check_json(body)
            scope["headers"] = _naming_json(scope["headers"])
        handle = partial(self._collect, scope, replay_body(body, request.receive))
        key = header(scope, b"idempotency-key")
        if key is None or scope["method"] == "GET":
            return await handle()
        if scope["method"] != "POST":
            refuse_key(scope["method"])
        return await self._answer_once(request, key, handle)

    async def _answer_once(
        self, request: ApiRequest, key: bytes, handle: Callable[[], Awaitable[HttpAnswer]]
    ) -> HttpAnswer:
        path = request.scope["path"]
        resolved = await self._paths.resolve(path)
        name = idempotency_name(request.principal, resolved.text, key)
        query = request.scope["query_string"]
        use = IdempotencyUse(name, fingerprint_of(query, request.body))
        answer = await self._idempotent.answer(use, handle)
        # A resource of the path that was created just now has an id from here on.
        after = idempotency_name(request.principal, (await self._paths.resolve(path)).text, key)
        if after != use.key:
            await self._idempotent.keep(use._replace(key=after), answer)
        elif resolved.lacks_application and answer.status < _ERROR:
            raise ConflictError(
                "This Idempotency-Key was used with an application that was deleted since. Use a"
                " new key.",
                code="idempotency_key_reused",
            )
        return answer

    def _actor(self, request: ApiRequest) -> Actor:
        """Return who asks, and from where, for the audit log.

        A person whose page calls the API is that already.
        """
        if (person := current_actor()).kind is ActorKind.PERSON:
            return person
        scope, key = request.scope, request.principal.key
        client = scope.get("client")
        forwarded = [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name == b"x-forwarded-for"
        ]
        address = client_address(client[0], forwarded, self._trusted) if client else None
        kind = ActorKind.PORTAL if request.principal.is_portal else ActorKind.KEY
        rights = key.scopes if key.capabilities is None else key.capabilities
        user_agent = (header(scope, b"user-agent") or b"").decode("latin-1")[:USER_AGENT_MAX]
        return Actor(
            id=key.id,
            name=key.name,
            kind=kind,
            role=" ".join(rights),
            request_id=scope.get(REQUEST_ID),
            address=address,
            user_agent=user_agent or None,
        )

    async def answer_public(self, scope: Scope, receive: Receive) -> HttpAnswer:
        """Return the answer to a request that needs no key."""
        scope[ROUTE] = scope["path"]
        return await self._collect(scope, receive)

    async def _collect(self, scope: Scope, receive: Receive) -> HttpAnswer:
        """Return the answer of the framework, whole or with the parts that are to be sent."""
        status, headers, parts = 0, list[tuple[bytes, bytes]](), list[bytes]()

        async def send(event: Scope) -> None:
            nonlocal status, headers
            if event["type"] == "http.response.start":
                status, headers = event["status"], list(event.get("headers", ()))
            else:
                parts.append(event.get("body", b""))

        await self._app(scope, receive, send)
        answer = HttpAnswer(status, headers, b"".join(parts), scope.get(STREAM))
        return _naming(answer, scope[IGNORED]) if IGNORED in scope else answer


def _naming_json(headers: Headers) -> Headers:
    """Return the headers of a request whose body is JSON, also if they call it something else.

    `curl -d` calls it a form if nothing else is given. No page of another origin can use that: it
    would have to send `Authorization`, which browsers do not do by themselves.
    """
    if not any(name == b"authorization" for name, _ in headers):
        return headers
    others = [line for line in headers if line[0] != b"content-type"]
    return [*others, (b"content-type", b"application/json")]


def _naming(answer: HttpAnswer, ignored: list[str]) -> HttpAnswer:
    """Return an answer that names the members of the request's body that nobody read."""
    listed = json.dumps(ignored).encode()
    headers = [*answer.headers, (b"ignored-members", listed)]
    body = answer.body
    if body.startswith(b"{") and len(body) > len(b"{}"):
        body = b'%s,"ignored":%s}' % (body[:-1], listed)
    return HttpAnswer(answer.status, headers, body)
