"""Amounts in the API: text in whole units, never a JSON number."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tillbell.errors import Invalid, Problem
from tillbell.model.transactions import AMOUNT_MAX
from tillbell.money import format_amount, is_currency, parse_amount
from tillbell.web.api.shapes import Decides
from tillbell.web.edge.patterns import AMOUNT


def _no_number(value: Any) -> Any:
    """Refuse a JSON number: many programs round it before it is sent."""
    if isinstance(value, int | float):
        raise PydanticCustomError("amount", 'send the amount as text, like "100.00"')
    return value


AmountText = Annotated[
    str,
    Decides(),
    BeforeValidator(_no_number),
    Field(max_length=64, pattern=AMOUNT, description='In whole units, as text: `"100.00"`.'),
]


def checked_amount(text: str | Decimal | int, currency: str, member: str = "amount") -> int:
    """Return an amount in minor units. `Invalid` unless it is positive, exact and not too large.

    `text` is in whole units; `member` is its name in the body, for the error.
    """
    if not is_currency(currency):
        raise Invalid(Problem(("body", "currency"), "is not a known currency code", "currency"))
    try:
        minor = parse_amount(text, currency)
    except ValueError as error:
        raise Invalid(Problem(("body", member), str(error), "amount")) from error
    if minor == 0:
        raise Invalid(Problem(("body", member), "must be more than zero", "amount"))
    if minor > AMOUNT_MAX:
        limit = format_amount(AMOUNT_MAX, currency)
        raise Invalid(Problem(("body", member), f"must be at most {limit} {currency}", "amount"))
    return minor
