"""Shares of slots: how many attempts an application, and slow endpoints, may have under way.

A slot that an attempt has cannot be taken back before its receiver answers or its time is up. So
some slots stay free for others:

- **Slow lanes** have three quarters of all slots together. A lane is slow until its endpoint has
  answered an attempt within a second, and when its last attempt took longer. So a quick receiver
  finds a slot, however many are mute.
- **An application** gets a share of what is free (a dynamic threshold): of the slots of slow lanes
  as many as are left, of all slots three times as many. So one that takes all it can leaves half,
  or a quarter, to the next one. If all lanes belong to one application, its quick lanes may have
  all slots, and its slow lanes three quarters of theirs: another one may come at any time.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import SECOND, Micros

QUICK: Micros = SECOND  # an attempt that took longer makes its lane slow
FREE_FACTOR = 3  # times the free slots: what one application may have


class SlotShares(NamedTuple):
    """The number of slots, and how many of them slow lanes may have."""

    all: int
    slow: int


def slot_shares(slots: int) -> SlotShares:
    """Return the shares of this number of slots.

    >>> slot_shares(512), slot_shares(1)
    (SlotShares(all=512, slow=384), SlotShares(all=1, slow=1))
    """
    return SlotShares(slots, max(1, slots * 3 // 4))


def may_take_slot(shares: SlotShares, *, taken: int, taken_by_app: int, is_alone: bool) -> bool:
    """Tell whether an application may take one more of all slots.

    >>> shares = slot_shares(512)
    >>> may_take_slot(shares, taken=384, taken_by_app=384, is_alone=False)
    False
    >>> may_take_slot(shares, taken=511, taken_by_app=511, is_alone=True)
    True
    """
    free = shares.all - taken
    return free > 0 and (is_alone or taken_by_app < FREE_FACTOR * free)


def may_take_slow_slot(
    shares: SlotShares, *, taken: int, taken_by_app: int, is_alone: bool
) -> bool:
    """Tell whether an application may take one more slot of slow lanes; both counts are of these.

    >>> shares = slot_shares(512)
    >>> may_take_slow_slot(shares, taken=192, taken_by_app=192, is_alone=False)
    False
    >>> may_take_slow_slot(shares, taken=192, taken_by_app=0, is_alone=False)
    True
    """
    free = shares.slow - taken
    return free > 0 and taken_by_app < (FREE_FACTOR * free if is_alone else free)
