"""Slots are shared in turn; no second carries more than the rate."""

from hypothesis import given
from hypothesis import strategies as st

from tillbell.clock import SECOND
from tillbell.rules.delivery.pace import interval_of, next_free
from tillbell.rules.delivery.turns import FairQueue


def test_applications_take_turns_whatever_the_number_of_their_endpoints() -> None:
    turns = FairQueue()
    for number in range(6):
        turns.add("big", f"big{number}")
    turns.add("small", "small0")

    assert [turns.pop() for _ in range(3)] == ["big0", "small0", "big1"]


def test_a_lane_waits_once_and_keeps_its_place() -> None:
    turns = FairQueue()
    turns.add("a", "a1")
    turns.add("a", "a2")
    turns.add("a", "a1")

    assert [turns.pop(), turns.pop(), bool(turns)] == ["a1", "a2", False]


def test_a_dropped_lane_is_not_taken() -> None:
    turns = FairQueue()
    turns.add("a", "a1")
    turns.add("b", "b1")
    turns.drop("a", "a1")

    assert [turns.pop(), bool(turns)] == ["b1", False]


@given(st.integers(1, 500), st.lists(st.integers(0, SECOND), max_size=300))
def test_no_second_carries_more_than_the_rate(rate: int, arrivals: list[int]) -> None:
    now = free_at = 100 * SECOND
    sent = []
    for pause in arrivals:
        now = max(now + pause, free_at)
        sent.append(now)
        free_at = next_free(free_at, now, interval_of(rate))

    for first in sent:
        within = [at for at in sent if first <= at < first + SECOND]
        assert len(within) <= rate * 1.1 + 1
