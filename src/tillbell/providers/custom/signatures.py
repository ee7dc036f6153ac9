"""Reading, making and writing the signatures of declared checks."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from email.utils import format_datetime, parsedate_to_datetime
from types import MappingProxyType
from typing import NamedTuple

from tillbell.clock import SECOND, Micros, from_datetime, to_datetime
from tillbell.providers.custom.check_types import FieldHash, Hmac, Signature, Timestamp
from tillbell.providers.custom.locations import RequestContent, as_signed, place
from tillbell.providers.custom.template import Template, TemplateValues, template
from tillbell.providers.kit.base import Unreadable, Verdict
from tillbell.providers.kit.proof import (
    SIGNATURE_MAX,
    clock_problem,
    digest,
    from_base64,
    from_hex,
    key_bytes,
    mac,
)
from tillbell.providers.kit.reading import iso_time, unix_millis, unix_seconds
from tillbell.rules.delivery.signing import key_of, normal_standard_secret

LISTED_MAX = 20  # signatures that are looked at; what stands behind them is not
_DIGITS = re.compile(r"[0-9]{1,16}")


class ClaimedSignature(NamedTuple):
    """What a request says of its own signature."""

    content: RequestContent
    texts: tuple[str, ...]  # signatures as written, without what stands before them
    given: tuple[bytes, ...]  # the same, decoded
    timestamp: str = ""
    id: str = ""

    def message(self, check: Signature) -> bytes:
        """Return what is signed. Raises `Ambiguous` and `Unreadable`."""
        return self.rendered(template(check.template))

    def rendered(self, parts: Template) -> bytes:
        """Fill any template with what the request says."""
        return parts.render(TemplateValues(self.content, "", self.timestamp, self.id))


def claimed_signature(
    content: RequestContent, check: Signature, id_at: str | None
) -> ClaimedSignature | Verdict:
    """Find signatures, time and id; a verdict says what is missing. Raises `Unreadable`."""
    written = content.raw(place(check.at))
    if not written:
        return Verdict(None, f"There is no signature at {check.at}, or it stands twice.")
    texts = tuple(_listed(written, check.prefix, check.separator))
    if not texts:
        return Verdict(
            None, f"Nothing at {check.at} begins with {check.prefix!r}, or it is too long."
        )
    return ClaimedSignature(
        content,
        texts,
        tuple(DECODERS[check.output](text) for text in texts),
        _time_text(content, check),
        _id_text(content, check, id_at),
    )


def time_problem(found: ClaimedSignature, check: Signature, now: Micros) -> str | None:
    """Say what is wrong with the signed time; None if nothing is, or none is signed."""
    time = check.timestamp
    if time is None:
        return None
    at = _TIMES[time.unit](found.timestamp)
    limit_s = time.past_seconds if at is None or at <= now else time.future_seconds
    return clock_problem(at, now, limit_s)


def hmac_of(check: Hmac, secret: str, message: bytes) -> bytes | None:
    """Return the HMAC; None if the secret is no key of the form that the check wants."""
    key = KEYS[check.key](secret)
    return mac(check.algorithm, key, message) if key else None


def field_hash(content: RequestContent, check: FieldHash, secret: str) -> bytes:
    """Return the plain hash of fields and secret."""
    if check.template is not None:
        message = template(check.template).render(TemplateValues(content, secret))
        return digest(check.algorithm, message)
    values = _sorted_values(content, check)
    is_first = check.secret_at == "start"  # noqa: S105 - a side, not a secret
    joined = [secret, *values] if is_first else [*values, secret]
    return digest(check.algorithm, key_bytes(check.separator.join(joined)))


def encode_signature(check: Signature | FieldHash, signature: bytes) -> str:
    """Write a signature as the sender does."""
    return (check.prefix if isinstance(check, Signature) else "") + ENCODERS[check.output](
        signature
    )


def time_text(time: Timestamp, at: Micros) -> str:
    """Write a time as the sender does."""
    whole = to_datetime(at).replace(microsecond=0)
    texts = {
        "s": str(at // SECOND),
        "ms": str(at // (SECOND // 1_000)),
        "http": format_datetime(whole, usegmt=True),
        "iso": whole.isoformat().replace("+00:00", "Z"),
    }
    return texts[time.unit]


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def _listed(text: str, prefix: str, separator: str) -> list[str]:
    """Return the elements that begin with the prefix, without it."""
    if len(text) > SIGNATURE_MAX:
        return []
    listed = text.split(separator, LISTED_MAX)[:LISTED_MAX] if separator else [text]
    found = [one.strip() for one in listed]
    return [one.removeprefix(prefix) for one in found if one.startswith(prefix)]


def _time_text(content: RequestContent, check: Signature) -> str:
    time = check.timestamp
    if time is None:
        return ""
    text = content.raw(place(time.at))
    if not time.prefix:
        return text
    found = _listed(text, time.prefix, check.separator)
    return found[0] if len(found) == 1 else ""


def _id_text(content: RequestContent, check: Signature, id_at: str | None) -> str:
    """Return the event's id, where it is needed: the body is not read before it is proven."""
    where = place(id_at) if id_at is not None else None
    if where is None or not (where.kind == "header" or template(check.template).uses("id")):
        return ""
    return content.raw(where)


def _sorted_values(content: RequestContent, check: FieldHash) -> list[str]:
    """Return the values ordered by name (ASCII), but for the hash and what is left out."""
    document = content.document
    if not isinstance(document, dict):
        raise Unreadable("The body has no named fields.")
    own = check.at.removeprefix("/")
    names = sorted(name for name in document if name != own and name not in check.excluded)
    if any(isinstance(document[name], dict | list) for name in names):
        raise Unreadable("A hashed field is nested.")
    values = [as_signed(document[name]) for name in names]
    return [value for value in values if value] if check.omit_blanks else values


def _digits(convert: Callable[[object], Micros | None]) -> Callable[[str], Micros | None]:
    return lambda text: convert(text) if _DIGITS.fullmatch(text) else None


def _http_time(text: str) -> Micros | None:
    try:
        return from_datetime(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None


def _from_base64url(text: str | None) -> bytes:
    if text is None or "+" in text or "/" in text:
        return b""
    bare = text.strip().rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    return from_base64(padded.translate(str.maketrans("-_", "+/")))


def _to_base64url(signature: bytes) -> str:
    return base64.urlsafe_b64encode(signature).decode().rstrip("=")


def _standard_key(secret: str) -> bytes:
    """Return the key of a Standard Webhooks secret: base64 after `whsec_`."""
    try:
        return key_of(normal_standard_secret(secret))
    except ValueError:
        return b""


_TIMES: Mapping[str, Callable[[str], Micros | None]] = MappingProxyType(
    {"s": _digits(unix_seconds), "ms": _digits(unix_millis), "http": _http_time, "iso": iso_time}
)
DECODERS: Mapping[str, Callable[[str], bytes]] = MappingProxyType(
    {"hex": from_hex, "base64": from_base64, "base64url": _from_base64url}
)
ENCODERS: Mapping[str, Callable[[bytes], str]] = MappingProxyType(
    {
        "hex": bytes.hex,
        "base64": lambda signature: base64.b64encode(signature).decode(),
        "base64url": _to_base64url,
    }
)
KEYS: Mapping[str, Callable[[str], bytes]] = MappingProxyType(
    {
        "utf8": key_bytes,
        "hex": from_hex,
        "base64": from_base64,
        "whsec": _standard_key,
    }
)
