"""The routes that take callbacks, as bare ASGI.

`/api/webhooks/<provider>` (the provider's default source) and
`/api/webhooks/<provider>/<source token>`, with any method that the adapter allows. The adapter
sees the target and the header values exactly as they came, because some providers sign them.

HEAD requests are not stored, nor are GET requests that a browser makes by itself (prefetch).
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from tillbell.app import Gateway
from tillbell.errors import Forbidden, MethodNotAllowed, NotFound, UnsupportedEncoding
from tillbell.providers.kit import base
from tillbell.receive.receive import answer_to
from tillbell.receive.source_cache import PATH, CompiledSource
from tillbell.rules.proxies import client_address, is_in, networks
from tillbell.web.edge.asgi_types import (
    HttpAnswer,
    Receive,
    Scope,
    header,
    read_body,
)
from tillbell.web.edge.paths import APPLICATION, ROUTE
from tillbell.web.server.strict_requests import TARGET

_URL = re.compile(rb"/api/webhooks/([a-z0-9-]{1,64})(?:/([A-Za-z0-9_-]{1,128}))?")
_ROUTE = f"{PATH}{{provider}}/{{token}}"  # the token is as good as a password
_PREFETCH = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def is_callback(path: str) -> bool:
    """Tell whether a path is that of a callback."""
    return path.startswith(PATH)


class CallbackRoutes:
    """The routes. One instance serves all requests."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        settings = gateway.settings
        self._body_max = settings.max_body_bytes
        self._trusted = networks(settings.trusted_proxies)
        public = urlsplit(settings.public_url or settings.local_url)
        self._origin = f"{public.scheme}://{public.netloc}"
        self._prefix = public.path

    async def __call__(self, scope: Scope, receive: Receive) -> HttpAnswer:
        """Return the answer to one request."""
        scope[ROUTE] = _ROUTE
        source = self._find_source(scope)
        if source is None:
            self._gateway.unstored_callbacks.add_unknown_source()
            raise NotFound("There is no such source.")
        scope[APPLICATION] = source.source.scope
        _check_method(source, scope["method"])
        if scope["method"] == "HEAD":
            incoming = self._incoming(scope, b"")
            return _http_answer(answer_to(source, incoming, base.IntakeStatus.STORED))
        if scope["method"] == "GET" and _is_prefetch(scope):
            raise Forbidden("This was a browser's guess (prefetch), not a callback.")
        if header(scope, b"content-encoding") not in (None, b"", b"identity"):
            raise UnsupportedEncoding
        body = await read_body(scope, receive, self._body_max)
        return await self._receive(source, scope, body)

    def begin(self, scope: Scope, body: bytes) -> Coroutine[Any, Any, HttpAnswer] | None:
        """Return what receives a whole POST with an unencoded body; None if it may be refused."""
        source = self._find_source(scope)
        if source is None or "POST" not in source.provider.methods or len(body) > self._body_max:
            return None
        scope[ROUTE] = _ROUTE
        scope[APPLICATION] = source.source.scope
        return self._receive(source, scope, body)

    async def _receive(self, source: CompiledSource, scope: Scope, body: bytes) -> HttpAnswer:
        incoming = self._incoming(scope, body)
        return _http_answer(await self._gateway.receiver.receive(source, incoming))

    def _find_source(self, scope: Scope) -> CompiledSource | None:
        match = _URL.fullmatch(scope["raw_path"])
        if match is None:
            return None
        provider, token = match[1].decode(), match[2]
        sources = self._gateway.source_cache
        if token is None:
            return sources.default(provider)
        return sources.by_token(provider, token.decode())

    def _incoming(self, scope: Scope, body: bytes) -> base.Incoming:
        headers = tuple([(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]])
        forwarded = [value for name, value in headers if name == "x-forwarded-for"]
        client = scope.get("client")
        return base.Incoming(
            method=scope["method"],
            target=self._target(scope),
            headers=headers,
            body=body,
            received_at=self._gateway.clock.now(),
            peer=client_address(client[0], forwarded, self._trusted) if client else "",
            origin=self._origin,
            is_proxied=is_in(client[0], self._trusted) if client else False,
        )

    def _target(self, scope: Scope) -> str:
        """Return the target as the provider sent it, with the prefix that a proxy took away."""
        target: bytes = scope.get(TARGET, b"")
        if not target.startswith(b"/"):  # absolute form, or another server
            query = scope["query_string"]
            target = scope["raw_path"] + (b"?" + query if query else b"")
        return self._prefix + target.decode("latin-1")


def _check_method(source: CompiledSource, method: str) -> None:
    allowed = set(source.provider.methods)
    if "GET" in allowed:
        allowed.add("HEAD")
    if method not in allowed:
        raise MethodNotAllowed(tuple(sorted(allowed)))


def _is_prefetch(scope: Scope) -> bool:
    purpose = b" ".join(value for name, value in scope["headers"] if name in _PREFETCH).lower()
    return b"prefetch" in purpose or b"preview" in purpose or b"prerender" in purpose


def _http_answer(answer: base.CallbackAnswer) -> HttpAnswer:
    headers = [(b"cache-control", b"no-store")]
    if answer.body:
        headers.append((b"content-type", answer.content_type.encode("latin-1")))
    headers += [
        (name.lower().encode("latin-1"), _CONTROL.sub(b"", value.encode("utf-8")))
        for name, value in answer.headers
    ]
    return HttpAnswer(answer.status, headers, answer.body)
