"""`/docs`: the API reference, a vendored viewer of our own OpenAPI document.

It needs no key, as the document needs none. The browser may load nothing from another host and run
no script but the files here: the policy is in every answer.
"""

from __future__ import annotations

import asyncio
import gzip
from functools import cache
from importlib import resources
from typing import NamedTuple

from tillbell.errors import MethodNotAllowed, NotFound
from tillbell.web.edge.asgi_types import Headers, HttpAnswer, Receive, Scope, header
from tillbell.web.edge.paths import ROUTE

PATH = "/docs"
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"max-age=3600"),
    (b"vary", b"accept-encoding"),
)


class _PageFile(NamedTuple):
    place: str  # below this package
    media: bytes


_FILES = {
    PATH: _PageFile("docs/docs.html", b"text/html; charset=utf-8"),
    f"{PATH}/docs.css": _PageFile("docs/docs.css", b"text/css; charset=utf-8"),
    f"{PATH}/docs.js": _PageFile("docs/docs.js", b"text/javascript; charset=utf-8"),
    f"{PATH}/logo.svg": _PageFile("static/logo.svg", b"image/svg+xml"),
    f"{PATH}/swagger-ui.css": _PageFile(
        "vendor/swagger-ui/swagger-ui.css", b"text/css; charset=utf-8"
    ),
    f"{PATH}/swagger-ui-bundle.js": _PageFile(
        "vendor/swagger-ui/swagger-ui-bundle.js", b"text/javascript; charset=utf-8"
    ),
}


def is_docs(path: str) -> bool:
    """Tell whether a path belongs to the API reference."""
    return path == PATH or path.startswith(f"{PATH}/")


async def show_docs(scope: Scope, _: Receive) -> HttpAnswer:
    """Answer GET and HEAD with the page or one of its files. `NotFound` for any other."""
    file = _FILES.get(scope["path"].removesuffix("/"))
    if file is None:
        raise NotFound("There is no such page.")
    scope[ROUTE] = PATH
    if scope["method"] not in ("GET", "HEAD"):
        raise MethodNotAllowed(("GET", "HEAD"))
    headers: Headers = [(b"content-type", file.media), *_HEADERS]
    is_packed = b"gzip" in (header(scope, b"accept-encoding") or b"")
    if is_packed:
        headers.append((b"content-encoding", b"gzip"))
    # On a thread: the first request of a process reads and packs 2 MB.
    body = await asyncio.to_thread(_content, file.place, is_packed=is_packed)
    return HttpAnswer(200, headers, body)


@cache
def _content(place: str, *, is_packed: bool) -> bytes:
    file = resources.files("tillbell.web.pages").joinpath(*place.split("/"))
    content = file.read_bytes()
    return gzip.compress(content) if is_packed else content
