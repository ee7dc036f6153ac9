"""Money keeps every digit, or refuses."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.cases import each
from tillbell.money import (
    CURRENCIES,
    exponent,
    format_amount,
    is_currency,
    parse_amount,
    parse_minor,
    plain,
)

currencies = st.sampled_from(sorted(CURRENCIES))
minors = st.integers(min_value=-(10**17), max_value=10**17)


@each(
    ("currency", "digits"),
    [
        ("EUR", 2),
        ("MZN", 2),
        ("JPY", 0),
        ("KWD", 3),
        ("CLF", 4),
        ("USDT", 6),
        ("BTC", 8),
        ("ETH", 18),
    ],
)
def test_currencies_have_the_digits_of_their_standard(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


@each("code", ["", "eur", "EURO", "PTS", "ıLS", "EUR "])
def test_an_unknown_currency_is_refused_not_guessed(code: str) -> None:
    assert not is_currency(code)
    with pytest.raises(ValueError, match="not a currency"):
        exponent(code)


@given(minors, currencies)
def test_what_is_written_reads_back_as_the_same_amount(minor: int, currency: str) -> None:
    assert parse_amount(format_amount(minor, currency), currency, signed=True) == minor


@given(minors, currencies)
def test_text_has_exactly_the_digits_of_its_currency(minor: int, currency: str) -> None:
    _, _, fraction = format_amount(minor, currency).partition(".")

    assert len(fraction) == exponent(currency)


@given(st.decimals(min_value=0, max_value=10**12, places=2))
def test_text_decimal_and_trailing_zeros_mean_the_same(amount: Decimal) -> None:
    expected = int(amount * 100)

    assert parse_amount(amount, "EUR") == expected
    assert parse_amount(f"{amount:f}", "EUR") == expected
    assert parse_amount(f"{amount:f}000", "EUR") == expected


@given(st.text(max_size=12))
@example("١٢.٥")
@example("1_000")
@example("1e2")
def test_any_text_is_read_exactly_or_refused(text: str) -> None:
    try:
        minor = parse_amount(text, "EUR")
    except ValueError:
        return
    assert text.isascii()
    assert Decimal(text) * 100 == minor


SLOPPY = """
    +1 -1 1. .5 01 1,00 1.000,00 1e2 0x1 1_0 NaN Infinity 1.001 ９.00 1.2.3 --1
"""


@each("text", [*SLOPPY.split(), "", " 1", "1\n", "1" * 19, "0." + "0" * 31])
def test_sloppy_amounts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_amount(text, "EUR")


NO_AMOUNTS = [*map(Decimal, ["NaN", "Infinity", "1E+999999999", "1E-999999"]), True, 10**400, 1.5]


@each("number", NO_AMOUNTS)
def test_numbers_that_are_no_amount_are_refused(number: Decimal | int) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_amount(number, "EUR")


def test_a_json_number_with_an_exponent_counts_by_its_value() -> None:
    assert parse_amount(Decimal("1E+2"), "EUR") == 10_000


def test_a_digit_too_many_is_refused_never_rounded() -> None:
    with pytest.raises(ValueError, match="more digits than JPY, which has 0"):
        parse_amount("100.5", "JPY")


@pytest.mark.parametrize(("text", "minor"), [("000000014999", 14999), ("0", 0), (70, 70)])
def test_minor_units_may_be_padded(text: str | int, minor: int) -> None:
    assert parse_minor(text) == minor


@each("text", ["", "-1", "1.0", "1_0", "٣", True, -5, "9" * 37])
def test_minor_units_are_digits_only(text: str | int) -> None:
    with pytest.raises(ValueError, match="minor units"):
        parse_minor(text)


@given(minors, currencies)
def test_plain_changes_nothing_that_is_already_written_well(minor: int, currency: str) -> None:
    written = format_amount(minor, currency)

    assert plain(written, currency) == written


@each(
    ("given_text", "currency", "expected"),
    [
        ("49.5", "PTS", "49.5"),
        ("49.50", "PTS", "49.50"),
        ("49", "EUR", "49.00"),
        ("1.2345", "EUR", "1.2345"),
        ("1.500", "JPY", "1.5"),
        ("-3", "EUR", "-3.00"),
    ],
)
def test_plain_drops_no_digit(given_text: str, currency: str, expected: str) -> None:
    assert plain(given_text, currency) == expected
