"""What is kept of a card: its first six and last four digits, brand and kind. Never more."""

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
    """Return the `details` of how a transaction was paid; unknown ones are left out.

    >>> card_details("42424242", "4242", brand="VISA")
    {'cardBin': '424242', 'cardLastFour': '4242', 'cardBrand': 'VISA'}
    """
    details = {
        "cardBin": _digits(first)[:6],
        "cardLastFour": _digits(last)[-4:],
        "cardBrand": brand,
        "paymentMethod": method,
    }
    return {name: value for name, value in details.items() if value}


def masked_number(written: str | None) -> tuple[str, str]:
    """Split a masked card number, `411111xxxxxx1111`, into its two ends.

    An unmasked number, too, gives no more than six and four digits.

    >>> masked_number("411111xxxxxx1111")
    ('411111', '1111')
    """
    runs = _DIGITS.findall(written or "")
    if not runs:
        return "", ""
    return runs[0][:6], runs[-1][-4:]


def _digits(written: str | None) -> str:
    return written if written is not None and _DIGITS.fullmatch(written) else ""
