"""Masking: what may be shown of card numbers and of fields that hold secrets.

At most the first six and the last four digits of a card number are kept (PCI DSS 3.4). Digits are
taken for a card number if they have a brand's prefix and length (ISO/IEC 7812) and a correct
check digit (Luhn), in any spelling: in groups, percent-encoded, in digits of other scripts. That
is true of three in a hundred random numbers of sixteen digits, and of far fewer order numbers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from unicodedata import decimal

MASK = "***"
_BIN, _LAST = 6, 4
_LENGTH_MIN, _LENGTH_MAX = 13, 19
_GAP_MAX = 3  # separators between two groups of digits

# Hyphens, dashes, minus; spaces of any width; marks without width; encoded spaces and hyphens.
_SEPARATOR = (
    r"(?:%20|%2D|%C2%A0|%E2%80%93|&nbsp;|&#160;|\\[tn]|\\u00a0|\\u2011"
    r"|[\s+./_\-\u00ad\u200b-\u200d\u2060\ufeff\u2010-\u2015\u2212\u00b7\u2022])"
)
_RUN = re.compile(rf"(?:{_SEPARATOR}|\d)+", re.IGNORECASE)
_PART = re.compile(rf"{_SEPARATOR}|(\d+)", re.IGNORECASE)
_LIKELY = re.compile(r"\d(?:\D{0,18}\d){12}")

# First and last prefix of a brand, and the lengths of its numbers.
_BRANDS = (
    ("4", "4", {13, 16, 19}),  # Visa
    ("51", "55", {16}),  # Mastercard
    ("2221", "2720", {16}),
    ("34", "34", {15}),  # American Express
    ("37", "37", {15}),
    ("300", "305", {14, 16}),  # Diners Club
    ("3095", "3095", {14, 16}),
    ("36", "36", {14}),
    ("38", "39", {14, 16}),
    ("6011", "6011", {16, 19}),  # Discover
    ("644", "649", {16, 19}),
    ("65", "65", {16, 19}),
    ("3528", "3589", {16, 19}),  # JCB
    ("62", "62", {16, 17, 18, 19}),  # UnionPay
    ("5018", "5018", {13, 16, 18, 19}),  # Maestro
    ("5020", "5020", {13, 16, 18, 19}),
    ("5038", "5038", {13, 16, 18, 19}),
    ("5893", "5893", {13, 16, 18, 19}),
    ("6304", "6304", {13, 16, 18, 19}),
    ("6759", "6763", {13, 16, 18, 19}),
    ("2200", "2204", {16, 17, 18, 19}),  # Mir
    ("9891", "9891", {16}),  # DinaCard
)

_DOUBLED = str.maketrans("0123456789", "0246813579")  # twice the digit, as the sum of its digits


class _Group(NamedTuple):
    """Adjacent digits, where they are, and how many separators are before them."""

    digits: str
    start: int
    end: int
    gap: int


def mask_text(text: str) -> str:
    """Mask every card number in a text, but for its first six and last four digits.

    >>> mask_text("paid with 4111 1111-1111 1111, order 4111111111111112")
    'paid with 411111******1111, order 4111111111111112'
    """
    if not _LIKELY.search(text):
        return text
    return _RUN.sub(lambda run: _masked_run(run[0]), text)


def mask_tree(
    value: Any, names: Collection[str] = (), unmasked: Collection[str] = (), name: str = ""
) -> Any:
    """Mask every card number in a document: in its texts, numbers and names of members.

    The values of members in `names` are hidden; texts and numbers of members in `unmasked` are left
    as they are. Both are in lower case. `name` is that of the member whose value this is.
    """
    if name and name in names:
        return MASK
    if isinstance(value, dict):
        return {
            mask_text(key): mask_tree(item, names, unmasked, key.lower())
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask_tree(item, names, unmasked, name) for item in value]
    if name in unmasked or isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return value
    masked = mask_text(str(value))
    return value if masked == str(value) else masked


def is_card_number(digits: str) -> bool:
    """Tell whether ASCII digits are a card number, by brand, length and check digit."""
    return len(digits) in _lengths(digits[:4]) and _luhn(digits)


@lru_cache(10_000)
def _lengths(prefix: str) -> frozenset[int]:
    """Return the lengths of card numbers that begin with these four digits."""
    brands = (lengths for first, last, lengths in _BRANDS if first <= prefix[: len(first)] <= last)
    return frozenset().union(*brands)


def _luhn(digits: str) -> bool:
    single, doubled = digits[::-2], digits[-2::-2].translate(_DOUBLED)
    return (sum(map(int, single)) + sum(map(int, doubled))) % 10 == 0


def _masked_run(run: str) -> str:
    groups = list(_groups(run))
    parts: list[str] = []
    end = first = 0
    while first < len(groups):
        last = _card_from(groups, first)
        if last is None:
            first += 1
            continue
        digits = "".join(group.digits for group in groups[first : last + 1])
        parts += [run[end : groups[first].start], f"{digits[:_BIN]}******{digits[-_LAST:]}"]
        end, first = groups[last].end, last + 1
    return "".join((*parts, run[end:]))


def _groups(run: str) -> Iterator[_Group]:
    gap = 0
    for part in _PART.finditer(run):
        if part[1] is None:
            gap += 1
            continue
        yield _Group(_ascii(part[1]), part.start(), part.end(), gap)
        gap = 0


def _card_from(groups: list[_Group], first: int) -> int | None:
    """Return the last group of a card number that begins with this group; None if none does."""
    digits = ""
    for number in range(first, min(first + _LENGTH_MAX, len(groups))):
        group = groups[number]
        if number > first and group.gap > _GAP_MAX:
            return None
        digits += group.digits
        if len(digits) > _LENGTH_MAX or (len(digits) >= 4 and not _lengths(digits[:4])):
            return None
        if len(digits) >= _LENGTH_MIN and is_card_number(digits):
            return number
    return None


def _ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(decimal(digit)) for digit in digits)
