"""A request in the making, as a declared sender would send it: for simulations and trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape, quoteattr

from tillbell.providers.custom.locations import RequestContent, RequestPlace
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup
from tillbell.providers.kit.requests import FORM, JSON, json_body, request

_CONTENT_TYPES = {"json": JSON, "form": FORM, "xml": "text/xml"}


class RequestDraft(NamedTuple):
    """A request as far as it is written, and what the declaration says about it."""

    case: SimulationCase
    setup: SourceSetup
    url: str
    format: str
    credentials: Mapping[str, str]
    id_at: str | None  # place of the event's id

    def secret(self, name: str | None) -> str:
        """Return the credential of that name; without a name the source's current secret."""
        if name is not None:
            return self.credentials[name]
        return self.setup.secrets[0] if self.setup.secrets else ""

    def put(self, where: RequestPlace, value: str) -> RequestDraft:
        """Write a value at a place."""
        case = self.case
        if where.kind == "header":
            return self._replace(case=case._replace(headers={**case.headers, where.name: value}))
        if where.kind == "query" or self.format == "query":
            name = where.name.removeprefix("/")
            return self._replace(case=case._replace(query={**case.query, name: value}))
        path = where.name.split("/")[1:] if where.name.startswith("/") else [where.name]
        return self._replace(case=case._replace(fields=_with(case.fields, path, value)))

    def incoming(self) -> Incoming:
        """Return the request as it is so far."""
        if self.case.method == "GET" or self.format == "query":
            return request(self.case, self.url, b"", {})
        format_ = "json" if self.format == "auto" else self.format
        body = _BODIES[format_](self.case.fields)
        return request(self.case, self.url, body, {"content-type": _CONTENT_TYPES[format_]})

    @property
    def content(self) -> RequestContent:
        """The request as checks read it."""
        return RequestContent(self.incoming(), self.format)


def _with(fields: Any, path: list[str], value: str) -> Any:
    if not path:
        return value
    name = path[0].replace("~1", "/").replace("~0", "~")
    members = fields if isinstance(fields, Mapping) else {}
    return {**members, name: _with(members.get(name), path[1:], value)}


def _form(fields: Any) -> bytes:
    return urlencode(fields, quote_via=quote).encode()


def _xml(fields: Any) -> bytes:
    return "".join(_element(name, value) for name, value in fields.items()).encode()


def _element(name: str, value: Any) -> str:
    if not isinstance(value, Mapping):
        texts = value if isinstance(value, list) else [value]
        return "".join(f"<{name}>{escape(str(text))}</{name}>" for text in texts)
    attributes = "".join(
        f" {key[1:]}={quoteattr(str(text))}" for key, text in value.items() if key.startswith("@")
    )
    inner = escape(str(value.get("#text", ""))) + "".join(
        _element(key, member) for key, member in value.items() if key[0] not in "@#"
    )
    return f"<{name}{attributes}>{inner}</{name}>"


_BODIES: Mapping[str, Callable[[Any], bytes]] = MappingProxyType(
    {"json": json_body, "form": _form, "xml": _xml}
)
