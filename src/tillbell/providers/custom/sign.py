"""Making a request as a declared sender would: for the simulator, and to try a declaration."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from tillbell.providers.custom.check_types import (
    AllOf,
    AnyCheck,
    AnyOf,
    BasicAuth,
    Check,
    FieldHash,
    Hmac,
    SecretCheck,
    StaticField,
    StaticHeader,
)
from tillbell.providers.custom.config import SourceDeclaration, read_declaration
from tillbell.providers.custom.locations import RequestContent, RequestPlace, place
from tillbell.providers.custom.signatures import encode_signature, field_hash, hmac_of, time_text
from tillbell.providers.custom.template import TemplateValues, template
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup
from tillbell.providers.kit.proof import key_bytes
from tillbell.providers.kit.requests import JSON, json_body, request

_KINDS = {"json": JSON, "form": "application/x-www-form-urlencoded", "xml": "text/xml"}


class _RequestDraft(NamedTuple):
    """A request that is being made."""

    case: SimulationCase
    declared: SourceDeclaration
    setup: SourceSetup
    url: str

    def secret(self, check: SecretCheck | Hmac) -> str:
        name = check.secret
        if name is not None:
            return self.declared.credentials[name]
        return self.setup.secrets[0] if self.setup.secrets else ""

    def put(self, where: RequestPlace, value: str) -> _RequestDraft:
        """Write a value at a place."""
        case = self.case
        if where.kind == "header":
            return self._replace(case=case._replace(headers={**case.headers, where.name: value}))
        if where.kind == "query" or self.declared.format == "query":
            name = where.name.removeprefix("/")
            return self._replace(case=case._replace(query={**case.query, name: value}))
        path = where.name.split("/")[1:] if where.name.startswith("/") else [where.name]
        return self._replace(case=case._replace(fields=_with(case.fields, path, value)))

    def incoming(self) -> Incoming:
        """Return the request as it is so far."""
        if self.case.method == "GET" or self.declared.format == "query":
            return request(self.case, self.url, b"", {})
        format_ = "json" if self.declared.format == "auto" else self.declared.format
        body = _BODIES[format_](self.case.fields)
        return request(self.case, self.url, body, {"content-type": _KINDS[format_]})

    @property
    def content(self) -> RequestContent:
        """Return the request as checks read it."""
        return RequestContent(self.incoming(), self.declared.format)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build a request that the declared checks accept; of `any` by its first.

    What needs another's private key, address or certificate cannot be made: that check refuses.
    """
    draft = _RequestDraft(case, read_declaration(setup.config), setup, url)
    checks = [one for check in draft.declared.checks for one in _needed(check)]
    id_at = draft.declared.event.id
    if id_at is not None and not draft.content.raw(place(id_at)) and case.method != "GET":
        draft = draft.put(place(id_at), case.id)
    # First what stands in the request, then what is computed of it.
    for check in sorted(checks, key=lambda one: isinstance(one, Hmac)):
        write = _WRITERS.get(type(check))
        draft = draft if write is None else write(draft, check)
    return draft.incoming()


def _needed(check: AnyCheck) -> list[Check]:
    if isinstance(check, AllOf):
        return [one for member in check.of for one in _needed(member)]
    return _needed(check.of[0]) if isinstance(check, AnyOf) else [check]


def _static_header(draft: _RequestDraft, check: StaticHeader) -> _RequestDraft:
    where = RequestPlace("header", check.header.lower())
    return draft.put(where, check.prefix + draft.secret(check))


def _static_field(draft: _RequestDraft, check: StaticField) -> _RequestDraft:
    return draft.put(place(check.at), draft.secret(check))


def _basic_auth(draft: _RequestDraft, check: BasicAuth) -> _RequestDraft:
    told = base64.b64encode(key_bytes(f"{check.user}:{draft.secret(check)}")).decode()
    return draft.put(RequestPlace("header", "authorization"), f"Basic {told}")


def _field_hash(draft: _RequestDraft, check: FieldHash) -> _RequestDraft:
    hashed = field_hash(draft.content, check, draft.secret(check))
    return draft.put(place(check.at), encode_signature(check, hashed))


def _hmac(draft: _RequestDraft, check: Hmac) -> _RequestDraft:
    time, stamp = check.timestamp, ""
    where = place(check.at)
    if time is not None:
        stamp = time_text(time, draft.case.at)
        if place(time.at) != where:
            draft = draft.put(place(time.at), time.prefix + stamp)
    content, id_at = draft.content, draft.declared.event.id
    id_ = content.raw(place(id_at)) if id_at is not None else ""
    message = template(check.template).render(TemplateValues(content, "", stamp, id_))
    signature = hmac_of(check, draft.secret(check), message)
    text = encode_signature(check, signature) if signature is not None else ""
    if time is not None and place(time.at) == where:
        text = f"{time.prefix}{stamp}{check.separator}{text}"
    return draft.put(where, text)


def _with(fields: Any, path: list[str], value: str) -> Any:
    if not path:
        return value
    name = path[0].replace("~1", "/").replace("~0", "~")
    inner = fields.get(name) if isinstance(fields, Mapping) else None
    whole = fields if isinstance(fields, Mapping) else {}
    return {**whole, name: _with(inner, path[1:], value)}


def _form(fields: Any) -> bytes:
    return urlencode(fields, quote_via=quote).encode()


def _xml(fields: Any) -> bytes:
    return "".join(_element(name, value) for name, value in fields.items()).encode()


def _element(name: str, value: Any) -> str:
    from xml.sax.saxutils import escape, quoteattr

    if not isinstance(value, Mapping):
        many = value if isinstance(value, list) else [value]
        return "".join(f"<{name}>{escape(str(one))}</{name}>" for one in many)
    attributes = "".join(
        f" {key[1:]}={quoteattr(str(one))}" for key, one in value.items() if key.startswith("@")
    )
    inner = escape(str(value.get("#text", ""))) + "".join(
        _element(key, one) for key, one in value.items() if key[0] not in "@#"
    )
    return f"<{name}{attributes}>{inner}</{name}>"


_BODIES: Mapping[str, Callable[[Any], bytes]] = MappingProxyType(
    {"json": json_body, "form": _form, "xml": _xml}
)
_WRITERS: Mapping[type, Callable[[_RequestDraft, Any], _RequestDraft]] = MappingProxyType(
    {
        StaticHeader: _static_header,
        StaticField: _static_field,
        BasicAuth: _basic_auth,
        FieldHash: _field_hash,
        Hmac: _hmac,
    }
)
