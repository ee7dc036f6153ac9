"""The breaker opens on a dead receiver, probes it one attempt at a time, and heals."""

from hypothesis import given
from hypothesis import strategies as st

from tillbell.clock import MINUTE, SECOND
from tillbell.rules.delivery.breaker import (
    CLOSED,
    FIRST_WAIT,
    LONGEST_WAIT,
    Breaker,
    after_failure,
    after_success,
    allowance,
)


def failed(times: int, breaker: Breaker = CLOSED, now: int = 0) -> Breaker:
    for _ in range(times):
        breaker = after_failure(breaker, now)
    return breaker


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    assert failed(4).probe_at is None
    assert failed(5).probe_at == FIRST_WAIT


def test_one_success_in_between_starts_the_row_again() -> None:
    breaker = after_success(failed(4), 0)

    assert failed(4, breaker).probe_at is None


def test_seventy_percent_of_ten_open_it() -> None:
    breaker = CLOSED
    for accepted in (False, False, True, False, False, True, False, False, True, False):
        breaker = after_success(breaker, 0) if accepted else after_failure(breaker, 0)

    assert breaker.probe_at is not None


def test_fifty_percent_never_open_it() -> None:
    breaker = CLOSED
    for number in range(1000):
        step = after_success if number % 2 else after_failure
        breaker = step(breaker, number * SECOND // 10)
        assert breaker.probe_at is None


def test_old_failures_are_forgotten_after_five_minutes() -> None:
    breaker = CLOSED
    for number in range(40):
        breaker = after_failure(breaker, number * 2 * MINUTE)
        breaker = after_success(breaker, number * 2 * MINUTE + SECOND)
        assert breaker.probe_at is None


def test_open_lets_nothing_through_before_the_probe_time_and_then_one() -> None:
    breaker = failed(5)
    assert breaker.probe_at is not None

    assert allowance(breaker, breaker.probe_at - 1, concurrency=10) == 0
    assert allowance(breaker, breaker.probe_at, concurrency=10) == 1


def test_failing_probes_wait_twice_as_long_up_to_fifteen_minutes() -> None:
    breaker = failed(5)
    waits = []
    for _ in range(12):
        assert breaker.probe_at is not None
        before = breaker.probe_at
        breaker = after_failure(breaker, before)
        assert breaker.probe_at is not None
        waits.append((breaker.probe_at - before) // SECOND)

    assert waits[:4] == [10, 20, 40, 80]
    assert waits[-1] == LONGEST_WAIT // SECOND


def test_attempts_begun_before_the_opening_add_nothing() -> None:
    assert failed(9) == failed(5)


def test_after_healing_the_lane_starts_slowly_and_reaches_its_limit() -> None:
    breaker = failed(5)
    assert breaker.probe_at is not None
    now = breaker.probe_at
    allowed = []
    for _ in range(8):
        breaker = after_success(breaker, now)
        allowed.append(allowance(breaker, now, concurrency=10))

    assert allowed[:5] == [1, 2, 4, 8, 10]
    assert breaker.ramp is None or allowed[-1] == 10


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=200))
def test_it_always_allows_a_probe_in_time_and_never_more_than_the_limit(
    life: list[tuple[bool, int]],
) -> None:
    breaker, now = CLOSED, 0
    for accepted, pause_s in life:
        now += pause_s * SECOND
        breaker = after_success(breaker, now) if accepted else after_failure(breaker, now)
        assert 0 <= allowance(breaker, now, concurrency=7) <= 7
        assert allowance(breaker, now + LONGEST_WAIT, concurrency=7) >= 1
