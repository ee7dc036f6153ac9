"""What people may see of a callback: its request without secrets, its notices in plain JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from pydantic import Field
from pydantic.alias_generators import to_camel

from tillbell.model.callbacks import Notice
from tillbell.providers.kit import reading
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable
from tillbell.receive.source_cache import PATH, CompiledSource
from tillbell.receive.verify_and_parse import CallbackReading
from tillbell.rules.delivery.headers import is_secret_header
from tillbell.rules.payments.masking import MASK, mask_text, mask_tree
from tillbell.web.api.shapes import Out

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


class RequestOut(Out):
    """A request as it came; secrets and card numbers are masked."""

    method: str
    target: str
    headers: list[list[str]] = Field(description="Name and value, in the order they came.")
    peer: str
    body: str | None
    body_note: str | None = Field(description="Why the body is not shown.")


class ReadingOut(Out):
    """What a callback says when it is read now."""

    verdict: str = Field(description="accepted or refused.")
    trust: str | None
    why: str = Field(description="Of the verdict.")
    outcome: str | None = Field(description="null: it is processed.")
    outcome_why: str
    dedupe_key: str | None
    notices: list[dict[str, Any]] = Field(description="What it says, in our words.")


BODY_MAX = 262_144  # bytes of a body that are shown

_HIDDEN = "Not shown: it cannot be read, so what is secret in it cannot be masked."
_LONG = f"Not shown: it has more than {BODY_MAX} bytes."


def request_out(incoming: Incoming, live: CompiledSource | None) -> RequestOut:
    """Show a request. What the adapter calls secret, and card numbers, are masked."""
    names = _secret_names(live) if live is not None else frozenset()
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


def _secret_names(live: CompiledSource) -> frozenset[str]:
    provider = live.provider
    declared = (
        provider.declared_proof(SourceSetup((), live.config)).masked
        if provider.declared_proof is not None
        else ()
    )
    return frozenset(name.lower() for name in (*provider.masked, *declared))


def reading_out(found: CallbackReading) -> ReadingOut:
    """Show what a callback says."""
    return ReadingOut(
        verdict=verdict_word(is_refused=found.trust is None),
        trust=found.trust.word if found.trust is not None else None,
        why=found.verdict_why,
        outcome=found.outcome,
        outcome_why=found.why,
        dedupe_key=found.dedupe_key,
        notices=[notice_doc(notice) for notice in found.notices],
    )


def verdict_word(*, is_refused: bool) -> str:
    """Return the verdict as the API writes it."""
    return "refused" if is_refused else "accepted"


def notice_doc(notice: Notice) -> dict[str, Any]:
    """Write a notice as JSON; members without a value are left out."""
    kind = type(notice).__name__.removesuffix("Notice").lower()
    doc: dict[str, Any] = mask_tree(_plain(notice))
    return {"kind": kind} | doc


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        members = value._asdict().items()
        return {to_camel(k): _plain(v) for k, v in members if v not in (None, (), {})}
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
    head, found, rest = path.partition(PATH)
    provider, slash, token = rest.partition("/")
    return head + found + provider + slash + (MASK if token else "")


def _header(name: str, value: str, names: Collection[str]) -> str:
    if name in names or is_secret_header(name):
        return MASK
    return mask_text(value)


def _body(incoming: Incoming, names: Collection[str]) -> tuple[str | None, str | None]:
    """Return the body as it may be shown, or why it is not."""
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
        document = mask_tree(reading.json_value(incoming.body), names)
        return json.dumps(document, ensure_ascii=False, default=_number)
    if start == b"<":
        return _masked_xml(incoming.body, names)
    text = reading.text_of(incoming.body)
    if "form" in kind or "=" in text:
        return _masked_form(text, names)
    if names:
        raise Unreadable("Neither JSON, XML nor a form.")
    return mask_text(text)


def _printable(text: str) -> str:
    """Return what has UTF-8: JSON may hold half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def _number(value: Any) -> str:
    assert isinstance(value, Decimal)
    return str(value)


def _masked_form(text: str, names: Collection[str]) -> str:
    if not text:
        return ""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=reading.FIELDS_MAX)
    except ValueError as error:
        raise Unreadable("Too many fields.") from error
    shown = [(n, MASK if n.lower() in names else mask_text(v)) for n, v in pairs]
    return urlencode(shown, safe="*/:@ ,")


def _masked_xml(body: bytes, names: Collection[str]) -> str:
    from xml.etree.ElementTree import tostring

    root = reading.xml(body)
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
    """Return a tag's name without its namespace, in lower case."""
    return str(tag).rpartition("}")[2].lower()
