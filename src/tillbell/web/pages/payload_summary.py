"""What a payload is about, in a few words for a list: amount, order, customer.

It is read from members that shops use; a payload without them is listed by its ids.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

_READ_MAX = 256 * 1024  # a larger payload is not decoded for a list
_CURRENCY = re.compile(r"[A-Z]{3,5}")


class Summary(NamedTuple):
    """What a list says about a payload."""

    amount: str = ""  # decimal text, exactly as in the payload
    currency: str = ""
    about: str = ""  # order and customer


NOTHING = Summary()


class _PayloadCustomer(msgspec.Struct):
    name: msgspec.Raw = msgspec.Raw(b"")
    email: msgspec.Raw = msgspec.Raw(b"")


class _Data(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"")
    number: msgspec.Raw = msgspec.Raw(b"")
    order: msgspec.Raw = msgspec.Raw(b"")
    reference: msgspec.Raw = msgspec.Raw(b"")
    uid: msgspec.Raw = msgspec.Raw(b"")
    amount: msgspec.Raw = msgspec.Raw(b"")
    total: msgspec.Raw = msgspec.Raw(b"")
    currency: msgspec.Raw = msgspec.Raw(b"")
    customer: msgspec.Raw = msgspec.Raw(b"")


class _Payload(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"{}")


def summary_of(event_type: str, body: bytes | None) -> Summary:
    """Return what a payload is about; nothing if it is gone, large or no JSON object."""
    if body is None or len(body) > _READ_MAX:
        return NOTHING
    try:
        whole = msgspec.json.decode(body, type=_Payload)
        data = msgspec.json.decode(whole.data, type=_Data)
        if bytes(whole.data) == b"{}":
            data = msgspec.json.decode(body, type=_Data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NOTHING
    currency = _text(data.currency)
    amount = _text(data.amount) or _text(data.total)
    has_money = bool(amount and _CURRENCY.fullmatch(currency))
    names = (data.number, data.order, data.reference, data.uid, data.id)
    number = next(filter(None, map(_text, names)), "")
    named = f"{event_type.partition('.')[0]} {number}" if number else ""
    about = " · ".join(part for part in (named, _customer(data.customer)) if part)
    return Summary(amount if has_money else "", currency if has_money else "", about)


def _customer(raw: msgspec.Raw) -> str:
    if not raw:
        return ""
    try:
        person = msgspec.json.decode(raw, type=_PayloadCustomer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _text(raw)
    return _text(person.name) or _text(person.email)


def _text(raw: msgspec.Raw) -> str:
    """Return a string or number of JSON as text; "" for anything else. No digit is changed."""
    if not raw:
        return ""
    written = bytes(raw)
    if written[:1] in b"-0123456789":
        return written.decode()
    try:
        value: Any = msgspec.json.decode(written)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return value if isinstance(value, str) else ""
