"""Amounts that callers send, read strictly."""

from __future__ import annotations

from decimal import Decimal

from tillbell.errors import Invalid, Problem
from tillbell.model.transactions import AMOUNT_MAX
from tillbell.money import format_amount, is_currency, parse_amount


def checked_amount(text: str | Decimal | int, currency: str, member: str = "amount") -> int:
    """Return an amount in minor units. `Invalid` unless it is more than zero and exact."""
    if not is_currency(currency):
        raise Invalid(Problem(("body", "currency"), "is no currency we know", "currency"))
    try:
        minor = parse_amount(text, currency)
    except ValueError as error:
        raise Invalid(Problem(("body", member), str(error), "amount")) from error
    if minor == 0:
        raise Invalid(Problem(("body", member), "must be more than zero", "amount"))
    if minor > AMOUNT_MAX:
        most = format_amount(AMOUNT_MAX, currency)
        raise Invalid(Problem(("body", member), f"may be {most} {currency} at most", "amount"))
    return minor
