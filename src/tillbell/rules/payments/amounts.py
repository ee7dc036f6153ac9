"""Amounts: does what the provider says agree with what we recorded?

Amounts are compared only in the same currency: a settlement in another one says nothing about
the amount that was asked for. An amount that cannot be read exactly does not agree. Nothing is
rounded.
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
    """Why an amount does not agree, and what it is if it could be read. `minor` is in minor units.

    `is_more`: it is larger than the recorded amount, in the same currency.
    """

    why: str
    minor: int | None = None
    currency: str | None = None
    is_more: bool = False


def read_amount(amount: ProviderAmount, default_currency: str) -> ReadAmount | AmountMismatch:
    """Read a provider's amount. The default is for providers that name no currency."""
    currency = amount.currency or default_currency
    if not is_currency(currency):
        return AmountMismatch(f"{currency[:12]!r} is not a currency we know.")
    try:
        minor = _minor_units(amount, currency)
    except ValueError as error:
        return AmountMismatch(f"The amount cannot be read: {error}.", currency=currency)
    if minor > AMOUNT_MAX:
        return AmountMismatch("The amount is larger than any that is kept.", currency=currency)
    return ReadAmount(minor, currency)


def _minor_units(amount: ProviderAmount, currency: str) -> int:
    if not amount.is_minor:
        return parse_amount(amount.value, currency)
    minor = parse_minor(amount.value)
    if amount.exponent is None or amount.exponent == exponent(currency):
        return minor
    shift = exponent(currency) - amount.exponent
    if shift > 0:
        return minor * int(10**shift)
    whole, rest = divmod(minor, int(10**-shift))
    if rest:
        raise ValueError(f"{amount.value} has more digits than {currency}")
    return whole


def check_amount(
    claimed: ProviderAmount | None, amount: int, currency: str
) -> AmountMismatch | None:
    """Compare a provider's amount with the recorded one, in minor units.

    None if they agree, or if the provider names none.

    >>> check_amount(ProviderAmount("49.90", "EUR"), 4990, "EUR") is None
    True
    >>> check_amount(ProviderAmount("49.90", "EUR"), 5000, "EUR").why
    'It says 49.90 EUR, we expect 50.00 EUR.'
    """
    if claimed is None:
        return None
    read = read_amount(claimed, currency)
    if isinstance(read, AmountMismatch):
        return read
    if read == (amount, currency):
        return None
    claimed_text = f"{format_amount(read.minor, read.currency)} {read.currency}"
    return AmountMismatch(
        f"It says {claimed_text}, we expect {format_amount(amount, currency)} {currency}.",
        minor=read.minor,
        currency=read.currency,
        is_more=read.currency == currency and read.minor > amount,
    )
