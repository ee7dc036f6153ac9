"""Files of the pages under `/static`. A name holds a digest of its file, so it is kept for ever.

They are read once, and served without the framework.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tillbell.errors import MethodNotAllowed, NotFound
from tillbell.web.edge.asgi_types import Headers, HttpAnswer, Receive, Scope, header
from tillbell.web.edge.paths import ROUTE

STATIC = "/static/"
PAGES = Path(__file__).parents[1] / "pages"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_DIGEST = 12  # characters of a digest in a name


class StaticFile(NamedTuple):
    """One file as it is served."""

    url: str
    media_type: str
    body: bytes
    gzipped: bytes


def is_static(path: str) -> bool:
    """Tell whether a path is that of a static file, of this version or another one."""
    return path.startswith(STATIC)


@cache
def static_files() -> dict[str, StaticFile]:
    """Read all files, by their names: `tillbell.css`."""
    paths = [*(PAGES / "static").iterdir(), *(PAGES / "vendor" / "htmx").iterdir()]
    return {path.name: _read(path) for path in sorted(paths) if path.suffix in _TYPES}


def static_url(name: str) -> str:
    """Return the URL of a file: `/static/tillbell-0123456789ab.css`."""
    return static_files()[name].url


async def show_static_file(scope: Scope, _: Receive) -> HttpAnswer:
    """Answer GET and HEAD."""
    scope[ROUTE] = f"{STATIC}{{name}}"
    if scope["method"] not in ("GET", "HEAD"):
        raise MethodNotAllowed(("GET", "HEAD"))
    file = _by_url().get(scope["path"])
    if file is None:
        raise NotFound("There is no such file in this version.")
    headers: Headers = [
        (b"content-type", file.media_type.encode()),
        (b"cache-control", b"public, max-age=31536000, immutable"),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", b"accept-encoding"),
    ]
    if b"gzip" in (header(scope, b"accept-encoding") or b""):
        return HttpAnswer(200, [*headers, (b"content-encoding", b"gzip")], file.gzipped)
    return HttpAnswer(200, headers, file.body)


@cache
def _by_url() -> dict[str, StaticFile]:
    return {file.url: file for file in static_files().values()}


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:_DIGEST]
    url = f"{STATIC}{path.stem}-{digest}{path.suffix}"
    return StaticFile(url, _TYPES[path.suffix], body, gzip.compress(body, mtime=0))
