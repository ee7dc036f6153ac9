"""A clock that is set by the database's goes on by itself, whatever is done to the machine's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tillbell.clock import DAY, SECOND, Alarm, Micros, SteeredClock
from tillbell.testing import ManualClock


class Settable(ManualClock):
    """A machine's clock that somebody sets."""

    set_by: Micros = 0

    def now(self) -> Micros:
        return super().now() + self.set_by

    def call_at(self, at: Micros, callback: Callable[[], object]) -> Alarm:
        return super().call_at(at - self.set_by, callback)


def test_a_date_that_is_set_does_not_move_it() -> None:
    machine = Settable()
    clock = SteeredClock(machine)
    before = clock.now()
    machine.set_by = DAY
    machine.advance(2)

    assert clock.now() - before == 2 * SECOND
    assert clock.ahead == -DAY


def test_it_is_set_to_what_it_is_told_and_goes_on_from_there() -> None:
    machine = Settable()
    clock = SteeredClock(machine)
    told = clock.now() - DAY
    clock.steer(told, clock.now())
    machine.advance(1)

    assert clock.now() == told + SECOND


@pytest.mark.parametrize("answered_after_s", [0, 1, 6, 12])
def test_an_answer_that_was_long_under_way_sets_nothing(answered_after_s: int) -> None:
    machine = ManualClock()
    clock = SteeredClock(machine)
    asked_at = clock.now()
    machine.advance(12)
    clock.steer(asked_at + answered_after_s * SECOND, asked_at)

    assert clock.now() == asked_at + 12 * SECOND


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_slow_answer_sets_it_nearly_right_and_a_quick_one_right(by: Micros) -> None:
    machine = ManualClock()
    clock = SteeredClock(machine)
    asked_at = clock.now()
    machine.advance(4)
    clock.steer(asked_at + by + SECOND, asked_at)
    right = asked_at + by + 4 * SECOND
    assert abs(clock.now() - right) <= 4 * SECOND

    clock.steer(right, clock.now())
    assert clock.now() == right


def test_alarms_ring_by_the_time_it_was_set_to() -> None:
    machine = Settable()
    clock = SteeredClock(machine)
    clock.steer(clock.now() + DAY, clock.now())
    machine.set_by = -7 * DAY
    rung: list[Micros] = []
    due_at = clock.now() + 3 * SECOND
    clock.call_at(due_at, lambda: rung.append(clock.now()))
    machine.advance(2)
    assert rung == []
    machine.advance(2)

    assert rung == [due_at]
