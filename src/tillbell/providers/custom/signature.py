"""Signatures that the owner of a custom source declares: where they stand, what they cover.

`Signature` is what HMACs (hmac_check.py) and asymmetric signatures (asymmetric.py) share; a plain
hash of fields (field_hash.py) uses the encodings. `ClaimedSignature` is what one request says of
its own signature before anything is compared.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from email.utils import format_datetime, parsedate_to_datetime
from types import MappingProxyType
from typing import Literal, NamedTuple

from tillbell.clock import SECOND, Micros, from_datetime, to_datetime
from tillbell.model.sources import Trust
from tillbell.providers.custom.check import (
    Check,
    CheckContext,
    DeclarationPart,
    Problem,
    named_problem,
)
from tillbell.providers.custom.locations import RequestContent, place, place_problem
from tillbell.providers.custom.template import Template, TemplateValues, template, template_problem
from tillbell.providers.kit.base import Verdict
from tillbell.providers.kit.proof import (
    SIGNATURE_MAX,
    TOLERANCE_MAX_S,
    clock_problem,
    from_base64,
    from_hex,
)
from tillbell.providers.kit.reading import iso_time, unix_millis, unix_seconds

LISTED_MAX = 20  # signatures in one header that are looked at; the rest is ignored
_DIGITS = re.compile(r"[0-9]{1,16}")

Output = Literal["hex", "base64", "base64url"]
Unit = Literal["s", "ms", "http", "iso"]


class Timestamp(DeclarationPart, frozen=True, kw_only=True):
    """A signed time, and how far it may be off."""

    at: str
    prefix: str = ""  # of its element, where it stands in a list with the signature: `t=`
    unit: Unit = "s"
    past_seconds: int = 300
    future_seconds: int = 300

    def problem(self) -> Problem | None:
        """Say whether the place or a limit is wrong."""
        if wrong := place_problem(self.at):
            return "timestamp.at", wrong
        if not all(1 <= s <= TOLERANCE_MAX_S for s in (self.past_seconds, self.future_seconds)):
            return "timestamp.pastSeconds", f"and futureSeconds are 1 to {TOLERANCE_MAX_S}"
        return None

    def write(self, at: Micros) -> str:
        """Write a time as the sender does."""
        return _TIME_WRITERS[self.unit](at)

    def late_problem(self, text: str, now: Micros) -> str | None:
        """Say how the time that a request names is off; None if it is within the limits."""
        at = _TIME_READERS[self.unit](text)
        limit_s = self.past_seconds if at is None or at <= now else self.future_seconds
        return clock_problem(at, now, limit_s)


class ClaimedSignature(NamedTuple):
    """What a request says of its own signature."""

    content: RequestContent
    texts: tuple[str, ...]  # signatures as written, without their prefix
    signatures: tuple[bytes, ...]  # the same, decoded; b"" where that is not possible
    timestamp: str
    id: str

    def render(self, parts: Template) -> bytes:
        """Fill a template with what the request says. Raises `Ambiguous` and `Unreadable`."""
        return parts.render(TemplateValues(self.content, "", self.timestamp, self.id))


class Signature(Check, frozen=True, kw_only=True):
    """Where a signature stands, what it covers and how it is written."""

    at: str
    template: str = "{body}"
    output: Output = "hex"
    prefix: str = ""  # `sha256=`, `v1,`: what does not begin with it is ignored
    separator: str = ""  # between several signatures: a space, a comma
    timestamp: Timestamp | None = None

    def problem(self) -> Problem | None:
        """Say whether place, template or timestamp is wrong."""
        return (
            named_problem("at", place_problem(self.at))
            or named_problem("template", template_problem(self.template))
            or self._template_problem()
            or self._timestamp_problem()
        )

    def verify(self, context: CheckContext) -> Verdict:
        """Find the signature, check its time, then compare it."""
        claimed = self._claimed(context)
        if isinstance(claimed, Verdict):
            return claimed
        if self.timestamp is not None:
            late = self.timestamp.late_problem(claimed.timestamp, context.incoming.received_at)
            if late is not None:
                return Verdict(None, late)
        return self.compare(context, claimed)

    def compare(self, context: CheckContext, claimed: ClaimedSignature) -> Verdict:
        """Compare what is claimed with what is right. Raises `Ambiguous` and `Unreadable`."""
        raise NotImplementedError

    def declared_trust(self, context: CheckContext) -> Trust | None:
        """Return how much it proves when it holds; None if it cannot hold."""
        return self.covered_trust(context)

    def covered_trust(self, context: CheckContext) -> Trust:
        """Return `signed` if all that decides about money is covered, else `partially-signed`."""
        parts = template(self.template)
        needed = context.money_places or (place("/all"),)
        is_covered = parts.is_separated and all(parts.covers(where) for where in needed)
        return Trust.SIGNED if is_covered else Trust.PARTIALLY_SIGNED

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    def _template_problem(self) -> Problem | None:
        parts = template(self.template)
        if parts.uses("secret"):
            return "template", "may not hold {secret}, which is the key; see field_hash"
        if not any(part.kind for part in parts.parts):
            return "template", "holds no variable, so the signature would cover nothing"
        is_inside = not self.at.startswith(("header:", "query:"))
        if is_inside and any(part.kind.endswith(("body", "body)")) for part in parts.parts):
            return "at", "a signature inside the body cannot cover {body}; list the {field:…}s"
        if self.at.startswith("query:") and (parts.uses("url") or parts.uses("target")):
            return "at", "a signature in the query cannot cover {url} or {target}; use {path}"
        if parts.uses("timestamp") and self.timestamp is None:
            return "timestamp", 'is needed for {timestamp}: {"at": "header:X-Timestamp"}'
        return None

    def _timestamp_problem(self) -> Problem | None:
        if self.timestamp is None:
            return None
        if wrong := self.timestamp.problem():
            return wrong
        kind, _, name = self.timestamp.at.partition(":")
        is_covered = (
            template(self.template).uses("timestamp")
            or f"{{{kind}:{name}}}".lower() in self.template.lower()
            or "{body}" in self.template
        )
        if not is_covered:
            return "template", "does not hold {timestamp}, so the time would not be signed"
        return None

    def _claimed(self, context: CheckContext) -> ClaimedSignature | Verdict:
        """Find signatures, time and id; a verdict says what is missing. Raises `Unreadable`."""
        content = context.content
        written = content.raw(place(self.at))
        if not written:
            return Verdict(None, f"There is no signature at {self.at}, or it stands twice.")
        texts = tuple(_elements(written, self.prefix, self.separator))
        if not texts:
            return Verdict(
                None, f"Nothing at {self.at} begins with {self.prefix!r}, or it is too long."
            )
        return ClaimedSignature(
            content,
            texts,
            tuple(DECODERS[self.output](text) for text in texts),
            self._timestamp_text(content),
            self._id_text(content, context.id_at),
        )

    def _timestamp_text(self, content: RequestContent) -> str:
        if self.timestamp is None:
            return ""
        text = content.raw(place(self.timestamp.at))
        if not self.timestamp.prefix:
            return text
        times = _elements(text, self.timestamp.prefix, self.separator)
        return times[0] if len(times) == 1 else ""

    def _id_text(self, content: RequestContent, id_at: str | None) -> str:
        """Return the event's id, where it is needed: the body is not read before it is proven."""
        where = place(id_at) if id_at is not None else None
        if where is None or not (where.kind == "header" or template(self.template).uses("id")):
            return ""
        return content.raw(where)


def _elements(text: str, prefix: str, separator: str) -> list[str]:
    """Return the elements of a list that begin with the prefix, without it."""
    if len(text) > SIGNATURE_MAX:
        return []
    listed = text.split(separator, LISTED_MAX)[:LISTED_MAX] if separator else [text]
    elements = [element.strip() for element in listed]
    return [element.removeprefix(prefix) for element in elements if element.startswith(prefix)]


# ── how signatures and times are written ─────────────────────────────────────────────────────────


def _digits(convert: Callable[[object], Micros | None]) -> Callable[[str], Micros | None]:
    return lambda text: convert(text) if _DIGITS.fullmatch(text) else None


def _http_time(text: str) -> Micros | None:
    try:
        return from_datetime(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None


def _from_base64url(text: str) -> bytes:
    if "+" in text or "/" in text:
        return b""
    bare = text.strip().rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    return from_base64(padded.translate(str.maketrans("-_", "+/")))


_TIME_READERS: Mapping[str, Callable[[str], Micros | None]] = MappingProxyType(
    {"s": _digits(unix_seconds), "ms": _digits(unix_millis), "http": _http_time, "iso": iso_time}
)
_TIME_WRITERS: Mapping[str, Callable[[Micros], str]] = MappingProxyType(
    {
        "s": lambda at: str(at // SECOND),
        "ms": lambda at: str(at // (SECOND // 1_000)),
        "http": lambda at: format_datetime(to_datetime(at).replace(microsecond=0), usegmt=True),
        "iso": lambda at: to_datetime(at).replace(microsecond=0).isoformat().replace("+00:00", "Z"),
    }
)
DECODERS: Mapping[str, Callable[[str], bytes]] = MappingProxyType(
    {"hex": from_hex, "base64": from_base64, "base64url": _from_base64url}
)
ENCODERS: Mapping[str, Callable[[bytes], str]] = MappingProxyType(
    {
        "hex": bytes.hex,
        "base64": lambda signature: base64.b64encode(signature).decode(),
        "base64url": lambda signature: base64.urlsafe_b64encode(signature).decode().rstrip("="),
    }
)
