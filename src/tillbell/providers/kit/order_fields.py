"""Reading orders of shops into the catalogue's shape: amounts as text, times as ISO 8601.

Missing members are left out. An amount that cannot be read makes the callback `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tillbell.clock import iso
from tillbell.model.callbacks import ProviderAmount
from tillbell.money import plain
from tillbell.providers.kit.base import Unreadable
from tillbell.providers.kit.reading import iso_time, text, unix_seconds

COUNT_LIMIT = 10**9


def known(members: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not known: None and empty objects."""
    return {name: value for name, value in members.items() if value is not None and value != {}}


def amount(members: Mapping[str, Any], name: str, currency: str | None) -> str | None:
    """Return an amount as decimal text with the currency's digits; None if there is none."""
    value = members.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Unreadable(f"The field {name!r} is not an amount.")
    try:
        return plain(value, currency or "")
    except ValueError as error:
        raise Unreadable(f"The field {name!r} is not an amount: {error}.") from error


def sum_of(members: Mapping[str, Any], name: str) -> ProviderAmount | None:
    """Return an amount with the order's currency, to be compared with what we expect."""
    code = currency(members)
    value = amount(members, name, code)
    return None if value is None else ProviderAmount(value, code)


def currency(members: Mapping[str, Any]) -> str | None:
    """Return the currency in upper case."""
    code = text(members, "currency")
    return None if code is None else code.upper()


def moment(members: Mapping[str, Any], name: str) -> str | None:
    """Return a time as ISO 8601 text: as it was written, or made of Unix seconds."""
    at = unix_seconds(members.get(name))
    if at is not None:
        return iso(at)
    written = text(members, name)
    return written if iso_time(written) is not None else None


def count(members: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number below a thousand million; None if it is none."""
    value = members.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return int(value) if -COUNT_LIMIT < value < COUNT_LIMIT and value == int(value) else None


def parts(members: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects of a list; other elements are left out."""
    value = members.get(name)
    return (
        [element for element in value if isinstance(element, dict)]
        if isinstance(value, list)
        else []
    )
