"""Requests for pages, and `/`, which says to programs what answers here."""

from __future__ import annotations

import msgspec

from tillbell import __version__
from tillbell.errors import MethodNotAllowed, TooLarge
from tillbell.web.edge.asgi_types import (
    App,
    HttpAnswer,
    Receive,
    Scope,
    header,
    read_body,
    replay_body,
)
from tillbell.web.edge.auth import PRINCIPAL
from tillbell.web.edge.paths import APPLICATION, BASE, ROUTE, STREAM, is_upload

LINKS = {
    "docs": "/docs",
    "openapi": f"{BASE}/openapi.json",
    "ready": "/readyz?verbose",
    "metrics": "/metrics",
}
FORM_BYTES_MAX = 256 * 1024
_METHODS = ("GET", "HEAD", "POST")


def wants_html(scope: Scope) -> bool:
    """Tell whether a browser asks."""
    return b"text/html" in (header(scope, b"accept") or b"")


def is_form(scope: Scope) -> bool:
    """Tell whether the body is that of a form."""
    media_type = (header(scope, b"content-type") or b"").partition(b";")[0].strip().lower()
    return media_type == b"application/x-www-form-urlencoded"


class PageRoute:
    """Serves pages with the application `pages`, which is loaded later."""

    def __init__(self, pages: App) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive) -> HttpAnswer:
        """Return the page of a path."""
        if scope["method"] not in _METHODS:
            raise MethodNotAllowed(_METHODS)
        if scope["path"] == "/" and not wants_html(scope):
            return _description(scope)
        if is_upload(scope["method"], scope["path"]) and not is_form(scope):
            return await self._collect(scope, receive)
        try:
            body = await read_body(scope, receive, FORM_BYTES_MAX)
        except TooLarge as error:
            if scope["method"] != "POST" or not wants_html(scope):
                raise
            return await self._collect(scope, _failing(error))
        return await self._collect(scope, replay_body(body, receive))

    async def _collect(self, scope: Scope, receive: Receive) -> HttpAnswer:
        """Return the whole answer of the pages."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        status, headers, parts = 0, list[tuple[bytes, bytes]](), list[bytes]()

        async def send(event: Scope) -> None:
            nonlocal status, headers
            if event["type"] == "http.response.start":
                status, headers = event["status"], list(event.get("headers", ()))
            else:
                parts.append(event.get("body", b""))

        # The framework adds its own members to a scope; these are for the access log.
        inner = {**scope, "method": method}
        await self._pages(inner, receive, send)
        for name in (ROUTE, PRINCIPAL, APPLICATION):
            if name in inner:
                scope[name] = inner[name]
        return HttpAnswer(status, headers, b"".join(parts), inner.get(STREAM))


def _failing(error: TooLarge) -> Receive:
    """Return a `receive` that says why there is no body, so that the answer is a page."""

    async def receive() -> Scope:
        raise error

    return receive


def _description(scope: Scope) -> HttpAnswer:
    """Say to a program what this is, and where its API is described."""
    scope[ROUTE] = "/"
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", b"accept"),
    ]
    body = msgspec.json.encode({"name": "Tillbell", "version": __version__, **LINKS})
    return HttpAnswer(200, headers, body)
