"""Width of a lane: how many attempts of an endpoint may run at the same time.

A lane starts narrow. While deliveries are waiting, each accepted attempt widens it by one, up to
a quarter of all slots. A failure makes it narrow again, so a receiver that hangs holds only the
slots it had reached. The endpoint's own limit (`maxConcurrency`) is never exceeded.
"""

from __future__ import annotations

from typing import NamedTuple

SHARE = 4  # an endpoint may use one slot of four


class WidthBounds(NamedTuple):
    """Lowest and highest width of a lane."""

    narrow: int
    wide: int


def width_bounds(own: int | None, *, default: int, slots: int) -> WidthBounds:
    """Return the bounds; `own`: the endpoint's limit, `slots`: attempts of all endpoints together.

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
    """Return the width after an accepted attempt; `is_full`: deliveries wait for a place."""
    return min(width + 1, limits.wide) if is_full else width
