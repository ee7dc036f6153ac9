"""Amounts: does what the provider says agree with what we recorded?

Amounts are compared only in one currency; a settlement in another says nothing about the
amount that was asked for. What cannot be read exactly does not agree. Nothing is rounded.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.model.callbacks import ProviderAmount
from tillbell.model.transactions import AMOUNT_MAX
from tillbell.money import exponent, format_amount, is_currency, parse_amount, parse_minor


class ReadAmount(NamedTuple):
    """An amount in minor units."""

    minor: int
    currency: str


class AmountMismatch(NamedTuple):
    """Why an amount does not agree; `minor` is what was claimed, if that could be read."""

    why: str
    minor: int | None = None
    currency: str | None = None
    is_more: bool = False  # at least what was due is there


def read_amount(told: ProviderAmount, default_currency: str) -> ReadAmount | AmountMismatch:
    """Read an amount; a currency that the provider does not tell is the recorded one."""
    currency = told.currency or default_currency
    if not is_currency(currency):
        return AmountMismatch(f"{currency[:12]!r} is not a currency we know.")
    try:
        minor = _minor(told, currency)
    except ValueError as error:
        return AmountMismatch(f"The amount cannot be read: {error}.", None, currency)
    if minor > AMOUNT_MAX:
        return AmountMismatch("The amount is larger than any that is kept.", None, currency)
    return ReadAmount(minor, currency)


def _minor(told: ProviderAmount, currency: str) -> int:
    if not told.is_minor:
        return parse_amount(told.value, currency)
    minor = parse_minor(told.value)
    if told.exponent is None or told.exponent == exponent(currency):
        return minor
    shift = exponent(currency) - told.exponent
    if shift > 0:
        return minor * int(10**shift)
    whole, rest = divmod(minor, int(10**-shift))
    if rest:
        raise ValueError(f"{told.value} has more digits than {currency}")
    return whole


def check_amount(told: ProviderAmount | None, amount: int, currency: str) -> AmountMismatch | None:
    """Compare with the record; None if it agrees or nothing was told.

    >>> check_amount(ProviderAmount("49.90", "EUR"), 4990, "EUR") is None
    True
    >>> check_amount(ProviderAmount("49.90", "EUR"), 5000, "EUR").why
    'It says 49.90 EUR, we expect 50.00 EUR.'
    """
    if told is None:
        return None
    found = read_amount(told, currency)
    if isinstance(found, AmountMismatch):
        return found
    if found == (amount, currency):
        return None
    said = f"{format_amount(found.minor, found.currency)} {found.currency}"
    why = f"It says {said}, we expect {format_amount(amount, currency)} {currency}."
    is_more = found.currency == currency and found.minor > amount
    return AmountMismatch(why, found.minor, found.currency, is_more)
