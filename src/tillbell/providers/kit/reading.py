"""Reading what providers send: strict, bounded, and the same for all of them.

What is ambiguous is refused (`Unreadable`): a member or parameter that stands twice, two
documents in one body, another encoding than UTF-8. Numbers become `Decimal` or `int`, never
float. XML is read without entities and external documents; a DOCTYPE line alone is tolerated.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from tillbell.clock import Micros, from_datetime
from tillbell.model.callbacks import ProviderAmount
from tillbell.providers.kit.base import Incoming, Unreadable
from tillbell.rules.delivery.payload import DEPTH_MAX, too_deep

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FIELDS_MAX = 1_000
NUMBER_MAX = 64  # digits of a number
INTEGER_BITS = 63  # longer integers many JSON writers refuse
KEY_MAX = 256  # longest identifier that is kept as it is
USUAL_QUERY = 256  # characters of a query that is remembered


def text_of(body: bytes) -> str:
    """Return the body as text; `Unreadable` if it is not UTF-8. A byte order mark is dropped."""
    try:
        return body.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise Unreadable("The body is not UTF-8.") from error


def json_value(body: bytes) -> Any:
    """Read a JSON document; objects as dict, numbers as int or Decimal."""
    text = text_of(body)
    if too_deep(body):
        raise Unreadable(f"The JSON nests deeper than {DEPTH_MAX}.")
    try:
        return _decode_json(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"The body is not JSON: {error}") from error


def json_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object."""
    value = json_value(body)
    if not isinstance(value, dict):
        raise Unreadable("The body is not a JSON object.")
    return value


def form(body: bytes, encoding: str = "utf-8") -> dict[str, str]:
    """Read `application/x-www-form-urlencoded`; a field that stands twice is `Unreadable`."""
    if encoding == "utf-8":
        text_of(body)
    return _pairs(body.decode("latin-1"), encoding)


def query(target: str) -> dict[str, str]:
    """Read the query of a target; a parameter that stands twice is `Unreadable`."""
    written = target.partition("?")[2]
    return dict(_usual_pairs(written) if len(written) <= USUAL_QUERY else _pairs(written, "utf-8"))


def fields(incoming: Incoming) -> dict[str, Any]:
    """Read the body as its content type says: JSON or form; without a body, the query."""
    if not incoming.body:
        return dict(query(incoming.target))
    kind = (incoming.header("content-type") or "").lower()
    if "json" in kind or incoming.body.lstrip()[:1] in (b"{", b"["):
        return json_object(incoming.body)
    return dict(form(incoming.body))


def xml(body: bytes) -> Element:
    """Read XML, never expanding an entity. Its DOCTYPE may name a DTD, which is not read."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root: Element = fromstring(body, forbid_dtd=False, forbid_entities=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise Unreadable(f"The body is not XML that can be read safely: {error}") from error
    return root


# ── values ───────────────────────────────────────────────────────────────────────────────────────


def text(members: Mapping[str, Any], name: str) -> str | None:
    """Return a member as text: None if it is missing, null or blank; numbers as digits."""
    value = members.get(name)
    if value is None or isinstance(value, bool | dict | list):
        return None
    written = _whole(str(value)).strip()
    return written or None


def required_text(members: Mapping[str, Any], name: str) -> str:
    """Return a member as text; `Unreadable` if there is none."""
    value = text(members, name)
    if value is None:
        raise Unreadable(f"The field {name!r} is missing.")
    return value


def object_member(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a member that is an object; an empty one if it is not."""
    value = members.get(name)
    return value if isinstance(value, dict) else {}


def provider_amount(
    members: Mapping[str, Any], value_name: str, currency_name: str, *, is_minor: bool = False
) -> ProviderAmount | None:
    """Return an amount with its currency in upper case; None if there is no value."""
    value, currency = text(members, value_name), text(members, currency_name)
    if value is None:
        return None
    return ProviderAmount(value, currency.upper() if currency else None, is_minor)


def plain_json(value: Any) -> Any:
    """Return free-form JSON of a provider so that any JSON writer and reader takes it.

    A number becomes text if a float cannot hold its digits, or if it is an integer of more than
    64 bits. Not for amounts, which are text from the start.
    """
    if isinstance(value, dict):
        return {plain_json(name): plain_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain_json(member) for member in value]
    if isinstance(value, Decimal):
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS:
        return str(value)
    return _whole(value) if isinstance(value, str) else value


def present_values(*values: str | None) -> tuple[str, ...]:
    """Return the values that are not empty, each once, cut to the length of an identifier."""
    present = [value[:KEY_MAX] for value in values if value]
    return tuple(dict.fromkeys(present))


def fold(word: str) -> str:
    """Return a status word without case, spaces, `_` and `-`: `On Hold` → `onhold`."""
    return "".join(letter for letter in word.casefold() if letter not in " _-\t")


def unix_seconds(value: Any) -> Micros | None:
    """Read Unix seconds (number or digits); None if it is none."""
    return _instant(value, 1)


def unix_millis(value: Any) -> Micros | None:
    """Read Unix milliseconds; None if it is none."""
    return _instant(value, 1_000)


def iso_time(value: Any) -> Micros | None:
    """Read an ISO 8601 time with offset (without: UTC); None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value.strip().replace("Z", "+00:00").replace("z", "+00:00"))
        return from_datetime(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def local_time(value: Any, pattern: str, zone: str) -> tuple[Micros | None, bool]:
    """Read a local time without offset; the second value says whether it exists twice."""
    if not isinstance(value, str):
        return None, False
    try:
        naive = datetime.strptime(value, pattern)  # noqa: DTZ007 - the zone is added below
        at = naive.replace(tzinfo=ZoneInfo(zone))
        is_twice = at.utcoffset() != at.replace(fold=1).utcoffset()
        exists = (at.astimezone(UTC)).astimezone(at.tzinfo).replace(tzinfo=None) == naive
        return from_datetime(at), is_twice and exists
    except (ValueError, OverflowError):
        return None, False


# ── strictness ───────────────────────────────────────────────────────────────────────────────────


def _whole(written: str) -> str:
    """Replace half a surrogate pair and NUL, which JSON may hold, by U+FFFD."""
    written = written.replace("\0", "\ufffd")
    if written.isascii():
        return written
    return written.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unreadable("An object has the same member twice.")
    return members


def _decimal(digits: str) -> Decimal:
    if len(digits) > NUMBER_MAX:
        raise Unreadable("A number is too long.")
    try:
        return Decimal(digits)
    except InvalidOperation as error:  # its exponent is beyond what a decimal holds
        raise Unreadable("A number is too large.") from error


def _integer(digits: str) -> int:
    if len(digits) > NUMBER_MAX:
        raise Unreadable("A number is too long.")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is not JSON.")


_decode_json = json.JSONDecoder(  # `json.loads` would make one for each body
    object_pairs_hook=_object,
    parse_float=_decimal,
    parse_int=_integer,
    parse_constant=_constant,
).decode


def _pairs(encoded: str, encoding: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            encoded,
            keep_blank_values=True,
            encoding=encoding,
            errors="strict" if encoding == "utf-8" else "replace",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError as error:
        raise Unreadable(f"The form cannot be read: {error}") from error
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unreadable("A parameter stands twice.")
    return members


@lru_cache(maxsize=256)  # a provider calls the same URL again and again
def _usual_pairs(written: str) -> Mapping[str, str]:
    return _pairs(written, "utf-8")


def _instant(value: Any, per_second: int) -> Micros | None:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    written = str(value).strip()
    if not written.isascii() or not written.replace(".", "", 1).isdigit() or len(written) > 20:
        return None
    micros = int(Decimal(written) * (1_000_000 // per_second))
    limit = timedelta(days=365 * 200) // timedelta(microseconds=1)
    return micros if 0 < micros < limit else None
