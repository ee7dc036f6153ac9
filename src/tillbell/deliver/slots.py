"""Slots: places for attempts under way, and who has them."""

from __future__ import annotations

from collections.abc import Callable

from tillbell.rules.delivery.slot_shares import may_take_slot, may_take_slow_slot, slot_shares


class Slots:
    """The slots of a process, counted by application and by whether the lane was slow.

    `is_alone` tells whether all lanes belong to one application.
    """

    def __init__(self, count: int, is_alone: Callable[[], bool]) -> None:
        self._shares = slot_shares(count)
        self._is_alone = is_alone
        self.taken = 0
        self.taken_slow = 0
        self._by_app: dict[str, int] = {}  # applications without slots are not in it
        self._slow_by_app: dict[str, int] = {}

    def may_take(self, app_id: str, *, is_slow: bool) -> bool:
        """Tell whether a lane of an application may have one more slot."""
        if 2 * self.taken > self._shares.all and not may_take_slot(  # else it is true for all
            self._shares,
            taken=self.taken,
            taken_by_app=self._by_app.get(app_id, 0),
            is_alone=self._is_alone(),
        ):
            return False
        return not is_slow or may_take_slow_slot(
            self._shares,
            taken=self.taken_slow,
            taken_by_app=self._slow_by_app.get(app_id, 0),
            is_alone=self._is_alone(),
        )

    @property
    def are_all_taken(self) -> bool:
        """Whether no slot is free."""
        return self.taken >= self._shares.all

    def take(self, app_id: str, *, is_slow: bool) -> None:
        """Take a slot."""
        self.taken += 1
        self._by_app[app_id] = self._by_app.get(app_id, 0) + 1
        if is_slow:
            self._count_slow(app_id, 1)

    def give_back(self, app_id: str, *, is_slow: bool) -> None:
        """Give a slot back; `is_slow` as it was taken or changed."""
        self.taken -= 1
        _add(self._by_app, app_id, -1)
        if is_slow:
            self._count_slow(app_id, -1)

    def change(self, app_id: str, *, is_slow: bool) -> None:
        """Count a slot that is kept by a lane that has become slow, or quick."""
        self._count_slow(app_id, 1 if is_slow else -1)

    def _count_slow(self, app_id: str, number: int) -> None:
        self.taken_slow += number
        _add(self._slow_by_app, app_id, number)


def _add(counts: dict[str, int], app_id: str, number: int) -> None:
    """Add to a count; one that becomes 0 is removed."""
    count = counts.get(app_id, 0) + number
    if count:
        counts[app_id] = count
    else:
        del counts[app_id]
