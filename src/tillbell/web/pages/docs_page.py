"""`/docs`: the API reference: all operations in one list, and each part in a vendored viewer.

It needs no key, as the OpenAPI document needs none. The browser may load nothing from another host
and run no script but the files here: the policy is in every answer.

The viewer takes many seconds for the whole document, so it is given one part: the operations of one
tag, with the schemas that they name. The list is made here and reads without JavaScript.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

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
_HTML, _JSON = b"text/html; charset=utf-8", b"application/json"
_CSS, _JAVASCRIPT = b"text/css; charset=utf-8", b"text/javascript; charset=utf-8"
_SCHEMA = "#/components/schemas/"


class _File(NamedTuple):
    media: bytes
    content: bytes


_FILES = {
    f"{PATH}/docs.css": ("docs/docs.css", _CSS),
    f"{PATH}/docs.js": ("docs/docs.js", _JAVASCRIPT),
    f"{PATH}/logo.svg": ("static/logo.svg", b"image/svg+xml"),
    f"{PATH}/swagger-ui.css": ("vendor/swagger-ui/swagger-ui.css", _CSS),
    f"{PATH}/swagger-ui-bundle.js": ("vendor/swagger-ui/swagger-ui-bundle.js", _JAVASCRIPT),
}


class _ListedOperation(NamedTuple):
    method: str
    path: str
    summary: str
    link: str


class _ReferencePart(NamedTuple):
    """A tag of the document, at its own path."""

    name: str
    description: str
    path: str
    operations: list[_ListedOperation]


def is_docs(path: str) -> bool:
    """Tell whether a path belongs to the API reference."""
    return path == PATH or path.startswith(f"{PATH}/")


async def show_docs(scope: Scope, _: Receive) -> HttpAnswer:
    """Answer GET and HEAD with a page or a file. `NotFound` for any other."""
    path = scope["path"].removesuffix("/")
    is_packed = b"gzip" in (header(scope, b"accept-encoding") or b"")
    # On a thread: the first request of a process writes the document, or packs 2 MB.
    file = await asyncio.to_thread(_file, path, is_packed=is_packed)
    if file is None:
        raise NotFound("There is no such page.")
    scope[ROUTE] = PATH
    if scope["method"] not in ("GET", "HEAD"):
        raise MethodNotAllowed(("GET", "HEAD"))
    headers: Headers = [(b"content-type", file.media), *_HEADERS]
    if is_packed:
        headers.append((b"content-encoding", b"gzip"))
    return HttpAnswer(200, headers, file.content)


@cache
def _packed(path: str) -> _File | None:
    file = _file(path, is_packed=False)
    return None if file is None else file._replace(content=gzip.compress(file.content))


def _file(path: str, *, is_packed: bool) -> _File | None:
    """Return a page or file; None: there is none."""
    if path in _FILES:
        if is_packed:
            return _packed(path)
        place, media = _FILES[path]
        file = resources.files("tillbell.web.pages").joinpath(*place.split("/"))
        return _File(media, file.read_bytes())
    written = _pages()
    if path not in written:
        return None
    return _packed(path) if is_packed else written[path]


@cache
def _pages() -> dict[str, _File]:
    """Write all pages and parts of the document."""
    from jinja2 import Environment, PackageLoader, select_autoescape  # both load slowly

    from tillbell.web.api.rest import written_document

    document = msgspec.json.decode(written_document())
    templates = Environment(
        loader=PackageLoader("tillbell.web.pages", "docs"), autoescape=select_autoescape()
    )
    parts = [_part(document, tag) for tag in document["tags"]]
    pages = {PATH: templates.get_template("docs.html").render(parts=parts)}
    for part in parts:
        pages[part.path] = templates.get_template("viewer.html").render(
            name=part.name, document=f"{part.path}.json"
        )
    files = {path: _File(_HTML, page.encode()) for path, page in pages.items()}
    for part in parts:
        files[f"{part.path}.json"] = _File(_JSON, msgspec.json.encode(cut(document, part.name)))
    return files


def _part(document: Mapping[str, Any], tag: Mapping[str, str]) -> _ReferencePart:
    name = tag["name"]
    slug = f"messages-{name[:-2]}" if name.endswith(".*") else name.lower().replace(" ", "-")
    path = f"{PATH}/{slug}"
    operations = [
        _ListedOperation(method, where, operation["summary"], f"{path}#/{quote(name)}/{id_}")
        for where, method, operation in _operations(document)
        if name in operation["tags"]
        for id_ in (quote(operation["operationId"]),)
    ]
    return _ReferencePart(name, tag["description"], path, operations)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield path (or event type), method and operation."""
    for members in (document["paths"], document["webhooks"]):
        for where, methods in members.items():
            for method, operation in methods.items():
                yield where, method, operation


def cut(document: Mapping[str, Any], tag: str) -> dict[str, Any]:
    """Return the document with the operations of one tag alone, and the schemas that they name."""
    part = {
        **document,
        "tags": [each for each in document["tags"] if each["name"] == tag],
        **{
            members: {
                where: kept_methods
                for where, methods in document[members].items()
                if (kept_methods := {m: o for m, o in methods.items() if tag in o["tags"]})
            }
            for members in ("paths", "webhooks")
        },
    }
    schemas = document["components"]["schemas"]
    named: dict[str, Any] = {}
    waiting = [*_names(part["paths"]), *_names(part["webhooks"])]
    while waiting:
        name = waiting.pop()
        if name not in named:
            named[name] = schemas[name]
            waiting += _names(schemas[name])
    return part | {"components": {**document["components"], "schemas": named}}


def _names(value: Any) -> Iterator[str]:
    """Yield the names of the schemas that a part of the document refers to."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    elif isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMA):
            yield reference.removeprefix(_SCHEMA)
        for item in value.values():
            yield from _names(item)
