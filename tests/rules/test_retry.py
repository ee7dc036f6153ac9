"""The schedule is kept exactly; a receiver may ask for rest, never for haste."""

from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cases import each

from tillbell.clock import DAY, SECOND, to_datetime
from tillbell.model.messages import Result
from tillbell.rules.delivery.retry import GiveUp, Retry, asked_wait, next_attempt

STANDARD = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
FAILED = [r for r in Result if r not in (Result.ACCEPTED, Result.GONE, Result.INTERRUPTED)]
NOW = 1_700_000_000 * SECOND


def test_the_standard_schedule_ends_after_75_hours_and_35_minutes() -> None:
    at = 0
    offsets = [0]
    for tries in range(1, 20):
        step = next_attempt(tries, Result.REFUSED, STANDARD, ended_at=at)
        if isinstance(step, GiveUp):
            break
        at = step.at
        offsets.append(at // SECOND)

    assert len(offsets) == 10
    assert offsets[-1] == 75 * 3600 + 35 * 60 + 5


@pytest.mark.parametrize("result", FAILED)
def test_every_failure_retries_until_the_schedule_is_used_up(result: Result) -> None:
    assert next_attempt(1, result, (7,), ended_at=NOW) == Retry(NOW + 7 * SECOND)
    assert next_attempt(2, result, (7,), ended_at=NOW) == GiveUp("exhausted")


def test_gone_stops_at_once() -> None:
    assert next_attempt(1, Result.GONE, STANDARD, ended_at=NOW) == GiveUp("gone")


@given(
    tries=st.integers(1, 9),
    retry_after=st.one_of(
        st.text(max_size=40),
        st.integers(-(10**30), 10**30).map(str),
        st.datetimes().map(lambda d: format_datetime(d)),
    ),
)
def test_retry_after_only_lengthens_and_at_most_to_a_day(tries: int, retry_after: str) -> None:
    step = next_attempt(tries, Result.THROTTLED, STANDARD, ended_at=NOW, retry_after=retry_after)

    assert isinstance(step, Retry)
    wait = step.at - NOW
    assert STANDARD[tries - 1] * SECOND <= wait <= max(DAY, STANDARD[tries - 1] * SECOND)


@each(
    ("text", "wait_s"),
    [("0", 0), ("120", 120), (" 7 ", 7), ("-5", 0), ("1.5", 0), ("NaN", 0), ("", 0), ("٣", 0)],
)
def test_seconds_are_read_strictly(text: str, wait_s: int) -> None:
    assert asked_wait(text, NOW) == wait_s * SECOND


def test_a_date_is_read_and_one_in_the_past_is_no_wait() -> None:
    assert asked_wait(format_datetime(to_datetime(NOW + 90 * SECOND), usegmt=True), NOW) == (
        90 * SECOND
    )
    assert asked_wait(format_datetime(to_datetime(NOW - DAY), usegmt=True), NOW) == 0
