"""What may be kept of a card: its first six and last four digits, brand and kind. Never more."""

from __future__ import annotations

import re
from typing import Any

_DIGITS = re.compile(r"[0-9]+")


def card_details(
    first: str | None = None,
    last: str | None = None,
    *,
    brand: str | None = None,
    method: str | None = None,
) -> dict[str, Any]:
    """Return a transition's `details` of how it was paid; what is not told is left out.

    >>> card_details("42424242", "4242", brand="VISA")
    {'cardBin': '424242', 'cardLastFour': '4242', 'cardBrand': 'VISA'}
    """
    found = {
        "cardBin": _digits(first)[:6],
        "cardLastFour": _digits(last)[-4:],
        "cardBrand": brand,
        "paymentMethod": method,
    }
    return {name: value for name, value in found.items() if value}


def masked_number(written: str | None) -> tuple[str, str]:
    """Split a number whose middle is crossed out, `411111xxxxxx1111`, into its two ends.

    A number that is not crossed out, and one of which more is shown, still gives no more than
    six and four digits.

    >>> masked_number("411111xxxxxx1111")
    ('411111', '1111')
    """
    runs = _DIGITS.findall(written or "")
    if not runs:
        return "", ""
    return runs[0][:6], runs[-1][-4:]


def _digits(written: str | None) -> str:
    return written if written is not None and _DIGITS.fullmatch(written) else ""
