"""Amounts of callbacks against our record: exact, never rounded, never guessed."""

from typing import Any

import pytest
from tests.cases import each

from tillbell.model.callbacks import ProviderAmount
from tillbell.model.transactions import AMOUNT_MAX
from tillbell.providers.kit import reading
from tillbell.providers.kit.base import Unreadable
from tillbell.rules.payments.amounts import AmountMismatch, ReadAmount, check_amount, read_amount


def told(value: str, currency: str | None = None, **more: Any) -> ProviderAmount:
    return ProviderAmount(value, currency, **more)


def differs(sum_: ProviderAmount, amount: int = 4990, currency: str = "EUR") -> AmountMismatch:
    found = check_amount(sum_, amount, currency)
    assert found is not None
    return found


@each(
    "sum_",
    [
        None,
        told("49.90", "EUR"),
        told("49.9", "EUR"),
        told("49.9000", "EUR"),
        told("49.90"),
        told("49.90", ""),
        told("4990", "EUR", is_minor=True),
        told("000000004990", "EUR", is_minor=True),
        told("4990", "EUR", is_minor=True, exponent=2),
        told("49900", "EUR", is_minor=True, exponent=3),
        told("499", "EUR", is_minor=True, exponent=1),
    ],
)
def test_the_same_amount_agrees_however_it_is_written_and_so_does_silence(
    sum_: ProviderAmount | None,
) -> None:
    assert check_amount(sum_, 4990, "EUR") is None


def test_too_little_and_too_much_are_told_apart() -> None:
    little, much = differs(told("49.89", "EUR")), differs(told("49.91", "EUR"))
    assert (little.minor, little.currency, little.is_more) == (4989, "EUR", False)
    assert (much.minor, much.currency, much.is_more) == (4991, "EUR", True)
    assert little.why == "It says 49.89 EUR, we expect 49.90 EUR."


def test_another_currency_never_agrees_and_is_never_enough() -> None:
    for sum_ in (told("49.90", "USD"), told("9999.00", "USD"), told("4990", "JPY")):
        found = differs(sum_)
        assert not found.is_more
        assert found.currency == sum_.currency


@each("currency", ["ZZZ", "eur", "EURO", "€", "E UR", "EUR\x00", "A" * 5_000])
def test_an_unknown_currency_is_not_guessed(currency: str) -> None:
    found = differs(told("49.90", currency))
    assert (found.minor, found.currency, found.is_more) == (None, None, False)
    assert len(found.why) < 200


def test_an_unknown_recorded_currency_is_not_compared_by_text() -> None:
    assert check_amount(told("10.00", "ZZZ"), 1000, "ZZZ") is not None


@each(
    "value",
    [
        "1.234,50",
        "1,234.50",
        "49,90",
        "١٢٣",
        "４９.９０",
        "1_000",
        "-100",
        "-0",
        "+49.90",
        "4.99e1",
        "1E+2",
        "0x1362",
        " 49.90",
        "49.90\n",
        "049.90",
        "49.",
        ".90",
        "",
        "NaN",
        "Infinity",
        "49.901",
        "4" * 19,
        "9" * 5_000,
        "49.90 EUR",
        "49\u00a090",
        "4990\x00",
    ],
)
def test_what_is_no_plain_amount_is_flagged_not_read(value: str) -> None:
    for sum_ in (told(value, "EUR"), told(value)):
        found = differs(sum_)
        assert (found.minor, found.is_more) == (None, False)
        assert len(found.why) < 200


@each("value", ["49.90", "-4990", "4_990", "٤٩٩٠", "4990 ", "", "9" * 37])
def test_minor_units_are_ascii_digits(value: str) -> None:
    assert differs(told(value, "EUR", is_minor=True)).minor is None


@each(
    ("sum_", "minor"),
    [
        (told("100", "JPY"), 100),
        (told("100.00", "JPY"), 100),
        (told("1.234", "KWD"), 1234),
        (told("1.2", "KWD"), 1200),
        (told("1234", "KWD", is_minor=True), 1234),
        (told("10000", "JPY", is_minor=True, exponent=2), 100),
        (told("0.00000001", "BTC"), 1),
        (told("1", "ETH"), 10**18),
    ],
)
def test_each_currency_has_its_own_digits(sum_: ProviderAmount, minor: int) -> None:
    assert read_amount(sum_, "EUR") == ReadAmount(minor, str(sum_.currency))


@pytest.mark.parametrize(
    "sum_",
    [
        told("100.01", "JPY"),
        told("1.2345", "KWD"),
        told("10001", "JPY", is_minor=True, exponent=2),
        told("49905", "EUR", is_minor=True, exponent=3),
    ],
)
def test_a_digit_that_the_currency_does_not_have_is_not_rounded_away(sum_: ProviderAmount) -> None:
    assert isinstance(read_amount(sum_, "EUR"), AmountMismatch)


def test_more_than_is_kept_is_not_read() -> None:
    most = told(str(AMOUNT_MAX), "JPY", is_minor=True)
    assert read_amount(most, "JPY") == ReadAmount(AMOUNT_MAX, "JPY")
    beyond = told(str(AMOUNT_MAX + 1), "JPY", is_minor=True)
    assert isinstance(read_amount(beyond, "JPY"), AmountMismatch)
    assert not differs(beyond, 100, "JPY").is_more


@each(
    "body",
    [
        b'{"amount":"1.234,50"}',
        '{"amount":"١٢٣"}'.encode(),
        b'{"amount":"1_000"}',
        b'{"amount":-100}',
        b'{"amount":100,"currency":"ZZZ"}',
        b'{"amount":1e400}',
        b'{"amount":49.900000000000006}',
    ],
)
def test_an_amount_of_a_hostile_body_is_flagged(body: bytes) -> None:
    found = reading.json_object(body)
    written = reading.text(found, "amount")
    assert written is not None
    assert not differs(told(written, reading.text(found, "currency"))).is_more


@pytest.mark.parametrize(
    "body",
    [b'{"amount":' + b"9" * 5_000 + b"}", b'{"amount":NaN}', b'{"amount":-Infinity}'],
)
def test_a_number_that_is_none_is_not_even_read(body: bytes) -> None:
    with pytest.raises(Unreadable):
        reading.json_object(body)


def test_a_json_number_keeps_its_digits() -> None:
    found = reading.json_object(b'{"a":49.90,"b":0.1,"c":0.30000000000000004}')
    assert check_amount(told(reading.required_text(found, "a"), "EUR"), 4990, "EUR") is None
    assert check_amount(told(reading.required_text(found, "b"), "EUR"), 10, "EUR") is None
    assert check_amount(told(reading.required_text(found, "c"), "EUR"), 30, "EUR") is not None
