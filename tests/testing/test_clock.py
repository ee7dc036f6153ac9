"""The clock of tests keeps the promises of the real one."""

from __future__ import annotations

import asyncio
from functools import partial

from tests.patience import PATIENCE_S
from tillbell.clock import SECOND
from tillbell.testing import ManualClock


def test_time_stands_still_until_advanced(clock: ManualClock) -> None:
    before = clock.now()

    clock.advance(1.5)

    assert clock.now() - before == 3 * SECOND // 2
    assert clock.monotonic() == 1.5


def test_alarms_ring_in_order_and_see_their_own_instant(clock: ManualClock) -> None:
    start, rung = clock.now(), list[tuple[str, int]]()

    def ring(name: str) -> None:
        rung.append((name, (clock.now() - start) // SECOND))

    for name, after_s in [("late", 9), ("first", 2), ("second", 2), ("never", 11)]:
        clock.call_at(start + after_s * SECOND, partial(ring, name))

    clock.advance(10)

    assert rung == [("first", 2), ("second", 2), ("late", 9)]


def test_a_cancelled_alarm_does_not_ring(clock: ManualClock) -> None:
    rung: list[str] = []
    alarm = clock.call_at(clock.now() + SECOND, lambda: rung.append("cancelled"))
    clock.call_at(clock.now() + SECOND, lambda: rung.append("kept"))

    alarm.cancel()
    clock.advance(1)

    assert rung == ["kept"]


def test_an_alarm_set_by_an_alarm_rings_in_the_same_stretch(clock: ManualClock) -> None:
    rung: list[int] = []

    def again() -> None:
        rung.append(clock.now())
        clock.call_at(clock.now() + 2 * SECOND, again)

    clock.call_at(clock.now() + SECOND, again)
    clock.advance(6)

    assert [at - rung[0] for at in rung] == [0, 2 * SECOND, 4 * SECOND]


async def test_an_alarm_for_the_past_rings_soon_and_not_at_once(clock: ManualClock) -> None:
    rung = asyncio.Event()

    clock.call_at(clock.now() - SECOND, rung.set)

    assert not rung.is_set()
    await asyncio.wait_for(rung.wait(), timeout=PATIENCE_S)
