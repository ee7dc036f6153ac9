"""How wide is a lane: how many attempts of one endpoint at once?

A lane begins narrow. While every attempt is accepted and more wait than may go, each
acceptance widens it by one, up to its endpoint's share. One failure makes it narrow again:
a receiver that hangs or breaks never holds more than the slots it had earned, and a share
is at most a quarter of all. An endpoint's own limit (`maxConcurrency`) is never passed.
"""

from __future__ import annotations

from typing import NamedTuple

SHARE = 4  # an endpoint may use a fourth of the slots


class WidthBounds(NamedTuple):
    """Between what numbers a lane's width moves."""

    narrow: int
    wide: int


def width_bounds(own: int | None, *, default: int, slots: int) -> WidthBounds:
    """Say how narrow and how wide a lane may be.

    >>> width_bounds(None, default=10, slots=512)
    WidthBounds(narrow=10, wide=128)
    >>> width_bounds(3, default=10, slots=512)
    WidthBounds(narrow=3, wide=3)
    >>> width_bounds(None, default=10, slots=8)
    WidthBounds(narrow=2, wide=2)
    """
    share = max(1, slots // SHARE)
    if own is not None:
        return WidthBounds(min(own, share), min(own, share))
    return WidthBounds(min(default, share), share)


def after_acceptance(width: int, limits: WidthBounds, *, is_full: bool) -> int:
    """Return the width after an accepted attempt; `is_full`: more wait than may go."""
    return min(width + 1, limits.wide) if is_full else width
