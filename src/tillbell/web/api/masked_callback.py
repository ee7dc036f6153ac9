"""Callbacks as people may see them: requests without secrets, notices as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from pydantic import Field
from pydantic.alias_generators import to_camel

from tillbell.clock import iso
from tillbell.model.callbacks import Notice, Outcome
from tillbell.providers.kit import reading as kit_reading
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable
from tillbell.receive.source_cache import PATH, CompiledSource
from tillbell.receive.verify_and_parse import CallbackReading
from tillbell.rules.delivery.headers import is_secret_header
from tillbell.rules.payments.masking import MASK, mask_text, mask_tree
from tillbell.web.api.shapes import Out, TrustText, Verdict

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


class RequestOut(Out):
    """A request as it came; secrets and card numbers are masked."""

    method: str = Field(description="HTTP method of the request.")
    target: str = Field(
        description="Path and query as they were sent; the token and secret values are masked."
    )
    headers: list[list[str]] = Field(description="Name and value, in the order they came.")
    peer: str = Field(description="Address of the client, as trusted proxies report it.")
    body: str | None = Field(description="The body as text; null: see `bodyNote`.")
    body_note: str | None = Field(description="Why the body is not shown.")


class ReadingOut(Out):
    """What a callback says when it is read now."""

    verdict: Verdict = Field(description="Whether it is accepted, or refused as not proven.")
    trust: TrustText | None
    why: str = Field(description="Reason for the verdict.")
    outcome: Outcome | None = Field(description="null: it is processed.")
    outcome_why: str = Field(description="Reason for the outcome.")
    dedupe_key: str | None = Field(
        description="What makes it unique in its source; null: it cannot be read."
    )
    notices: list[dict[str, Any]] = Field(description="What it says, in the terms of this API.")


BODY_MAX = 262_144  # bytes of a body that are shown

_HIDDEN = "Not shown: the body cannot be read, so its secrets cannot be masked."
_NO_VALUE: tuple[Any, ...] = (None, (), {})
_LONG = f"Not shown: the body has more than {BODY_MAX} bytes."


def request_out(incoming: Incoming, compiled: CompiledSource | None) -> RequestOut:
    """Return a request in the shape that callers see.

    Card numbers and the fields that the adapter declares secret are masked. Without a source,
    which may be deleted, only card numbers and well-known secret headers are.
    """
    names = _secret_names(compiled) if compiled is not None else frozenset()
    path, mark, query = incoming.target.partition("?")
    body, note = _body(incoming, names)
    return RequestOut(
        method=incoming.method,
        target=_without_token(path) + mark + _masked_form(query, names),
        headers=[[name, _header(name, value, names)] for name, value in incoming.headers],
        peer=incoming.peer,
        body=body,
        body_note=note,
    )


def _secret_names(compiled: CompiledSource) -> frozenset[str]:
    """Return the names of secret fields and headers, in lower case."""
    provider = compiled.provider
    declared = (
        provider.declared_proof(SourceSetup((), compiled.config)).masked
        if provider.declared_proof is not None
        else ()
    )
    return frozenset(name.lower() for name in (*provider.masked, *declared))


def reading_out(reading: CallbackReading) -> ReadingOut:
    """Return what a callback says in the shape that callers see."""
    return ReadingOut(
        verdict=verdict_word(is_refused=reading.trust is None),
        trust=reading.trust.word if reading.trust is not None else None,
        why=reading.verdict_why,
        outcome=reading.outcome,
        outcome_why=reading.why,
        dedupe_key=reading.dedupe_key,
        notices=[notice_doc(notice) for notice in reading.notices],
    )


def verdict_word(*, is_refused: bool) -> Verdict:
    """Return the verdict as the API writes it."""
    return "refused" if is_refused else "accepted"


def notice_doc(notice: Notice) -> dict[str, Any]:
    """Return a notice as JSON values. Members without a value are left out."""
    kind = type(notice).__name__.removesuffix("Notice").lower()
    doc: dict[str, Any] = mask_tree(_plain(notice))
    return {"kind": kind} | doc


def _member(name: str, value: Any) -> Any:
    """Return a member of a record as a JSON value; a time as the API writes times."""
    return iso(value) if name.endswith("_at") and isinstance(value, int) else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        members = value._asdict().items()
        return {
            to_camel(name): _member(name, item) for name, item in members if item not in _NO_VALUE
        }
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return _printable(value)
    return str(value) if isinstance(value, Decimal) else value


# ── the request ──────────────────────────────────────────────────────────────────────────────────


def _without_token(path: str) -> str:
    head, prefix, rest = path.partition(PATH)
    provider, slash, token = rest.partition("/")
    return head + prefix + provider + slash + (MASK if token else "")


def _header(name: str, value: str, names: Collection[str]) -> str:
    if name in names or is_secret_header(name):
        return MASK
    return mask_text(value)


def _body(incoming: Incoming, names: Collection[str]) -> tuple[str | None, str | None]:
    """Return the masked body, or None and the reason why it is not shown."""
    if len(incoming.body) > BODY_MAX:
        return None, _LONG
    try:
        return _printable(_masked_body(incoming, names)), None
    except Unreadable:
        if names:
            return None, _HIDDEN
        return mask_text(incoming.body.decode("utf-8", "replace")), None


def _masked_body(incoming: Incoming, names: Collection[str]) -> str:
    kind = (incoming.header("content-type") or "").lower()
    start = incoming.body.lstrip()[:1]
    if not start:
        return ""
    if start in (b"{", b"["):
        document = mask_tree(kit_reading.json_value(incoming.body), names)
        return json.dumps(document, ensure_ascii=False, default=_number)
    if start == b"<":
        return _masked_xml(incoming.body, names)
    text = kit_reading.text_of(incoming.body)
    if "form" in kind or "=" in text:
        return _masked_form(text, names)
    if names:
        raise Unreadable("Neither JSON, XML nor a form.")
    return mask_text(text)


def _printable(text: str) -> str:
    """Return the text without what UTF-8 cannot write: JSON may have an unpaired surrogate."""
    return text.encode("utf-8", "replace").decode()


def _number(value: Any) -> str:
    assert isinstance(value, Decimal)
    return str(value)


def _masked_form(text: str, names: Collection[str]) -> str:
    if not text:
        return ""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=kit_reading.FIELDS_MAX)
    except ValueError as error:
        raise Unreadable("Too many fields.") from error
    masked = [(name, MASK if name.lower() in names else mask_text(value)) for name, value in pairs]
    return urlencode(masked, safe="*/:@ ,")


def _masked_xml(body: bytes, names: Collection[str]) -> str:
    from xml.etree.ElementTree import tostring

    root = kit_reading.xml(body)
    for element in root.iter():
        _mask_element(element, names)
    return tostring(root, encoding="unicode")


def _mask_element(element: Element, names: Collection[str]) -> None:
    is_secret = _local(element.tag) in names
    element.text = MASK if is_secret and element.text else mask_text(element.text or "")
    element.tail = mask_text(element.tail or "")
    for name, value in element.attrib.items():
        element.attrib[name] = MASK if is_secret or _local(name) in names else mask_text(value)


def _local(tag: object) -> str:
    """Return the name of a tag without its namespace, in lower case."""
    return str(tag).rpartition("}")[2].lower()
