"""Of a card number only six and four digits are left, however it is spelled."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal

from tests.cases import each
from tests.scale import full_or_tenth, soak

from tillbell.rules.payments.masking import is_card_number, mask_text, mask_tree

BRANDS = {
    "visa": "4111111111111111",
    "mastercard": "5555555555554444",
    "amex": "378282246310005",
    "dinacard": "9891000000000000",
    "maestro": "6759649826438453",
    "unionpay": "6200000000000005",
}
BRANDS["dinacard"] = next(
    f"98910000000000{end:02}" for end in range(100) if is_card_number(f"98910000000000{end:02}")
)


def groups(number: str, between: str) -> str:
    return between.join(number[at : at + 4] for at in range(0, len(number), 4))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "bare": lambda n: n,
    "in a sentence": lambda n: f"the card {n}, please",
    "spaces": lambda n: groups(n, " "),
    "dashes": lambda n: groups(n, "-"),
    "dots": lambda n: groups(n, "."),
    "no-break spaces": lambda n: groups(n, "\u00a0"),
    "thin spaces": lambda n: groups(n, "\u2009"),
    "en dashes": lambda n: groups(n, "–"),
    "tabs": lambda n: groups(n, "\t"),
    "two spaces": lambda n: groups(n, "  "),
    "underscores": lambda n: groups(n, "_"),
    "slashes": lambda n: groups(n, "/"),
    "digit by digit": " ".join,
    "percent-encoded": lambda n: groups(n, "%20"),
    "form-encoded": lambda n: "pan=" + groups(n, "+"),
    "html": lambda n: groups(n, "&nbsp;"),
    "zero-width": lambda n: groups(n, "\u200b"),
    "full-width digits": lambda n: "".join(chr(ord(d) + 0xFEE0) for d in n),
    "arabic digits": lambda n: "".join(chr(ord(d) - 48 + 0x660) for d in n),
    "with expiry and code": lambda n: f"{n} 12/28 123",
    "glued to a word": lambda n: f"PAN{n}x",
    "in JSON": lambda n: f'{{"cc":"{n}"}}',
}


@each("brand", BRANDS)
@each("spelling", SPELLINGS)
def test_a_card_number_loses_its_middle(brand: str, spelling: str) -> None:
    number = BRANDS[brand]
    masked = mask_text(SPELLINGS[spelling](number))
    assert f"{number[:6]}******{number[-4:]}" in masked
    digits = "".join(str(int(c)) for c in masked if c.isdecimal())
    assert number not in digits


def test_what_stands_around_it_stays() -> None:
    assert mask_text("a 4111111111111111 b 5555 5555 5555 4444 c") == (
        "a 411111******1111 b 555555******4444 c"
    )


def test_a_wrong_check_digit_brand_or_length_is_no_card() -> None:
    for text in ("4111111111111112", "1111111111111117", "411111111111111", "41111111111111111111"):
        assert mask_text(text) == text


def test_documents_are_masked_inside_and_names_hidden() -> None:
    document = {
        "cc": "secret",
        "n": 4111111111111111,
        "list": [{"CC": {"deep": 1}}, True, None, Decimal("1.10")],
    }
    assert mask_tree(document, {"cc"}) == {
        "cc": "***",
        "n": "411111******1111",
        "list": [{"CC": "***"}, True, None, Decimal("1.10")],
    }


def test_identifiers_can_be_kept() -> None:
    document = {"id": "4111111111111111", "note": "4111111111111111"}
    assert mask_tree(document, unmasked={"id"}) == {
        "id": "4111111111111111",
        "note": "411111******1111",
    }


@soak
def test_order_numbers_are_left_alone() -> None:
    """At most one in a hundred of the numbers that shops and gateways use."""
    chance = random.Random(8)

    def digits(count: int) -> str:
        return "".join(chance.choices("0123456789", k=count))

    makers: tuple[Callable[[], str], ...] = (
        lambda: f"ORD-{digits(4)}",
        lambda: f"2026-{digits(6)}",
        lambda: f"202603{digits(8)}",  # a moment
        lambda: f"17{digits(11)}",  # milliseconds
        lambda: digits(10),
        lambda: digits(12),
        lambda: digits(13),
        lambda: digits(14),
        lambda: f"1{digits(18)}",  # a snowflake
        lambda: digits(16),
        lambda: f"{digits(8)}-{digits(4)}-{digits(4)}",
        lambda: f"TT{digits(10)}RS",
    )
    numbers = [make() for make in makers for _ in range(full_or_tenth(5_000))]
    wrong = sum(mask_text(number) != number for number in numbers)
    assert wrong / len(numbers) <= 0.01
