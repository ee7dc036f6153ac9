"""Retries: when a delivery is attempted again, and when it has failed for good."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from tillbell.clock import DAY, SECOND, Micros, from_datetime
from tillbell.model.messages import Result

RETRY_AFTER_MAX: Micros = DAY
OWN_WAIT_S = 60  # without a schedule


class Retry(NamedTuple):
    """The next attempt is at this instant."""

    at: Micros


class GiveUp(NamedTuple):
    """No more attempts: the delivery has failed."""

    reason: str


def next_attempt(
    tries: int,
    result: Result,
    schedule_s: Sequence[int],
    *,
    ended_at: Micros,
    retry_after: str = "",
) -> Retry | GiveUp:
    """Return what follows after the failed attempt number `tries` of a schedule.

    The wait counts from the end of that attempt. `Retry-After` can lengthen it, up to a day, but
    not shorten it. After `gone` there is no retry.

    >>> next_attempt(1, Result.REFUSED, (5, 300), ended_at=0)
    Retry(at=5000000)
    >>> next_attempt(1, Result.THROTTLED, (5, 300), ended_at=0, retry_after="60")
    Retry(at=60000000)
    >>> next_attempt(3, Result.REFUSED, (5, 300), ended_at=0)
    GiveUp(reason='exhausted')
    """
    if result is Result.GONE:
        return GiveUp("gone")
    if tries > len(schedule_s):
        return GiveUp("exhausted")
    wait = schedule_s[tries - 1] * SECOND
    if retry_after:
        wait = max(wait, min(asked_wait(retry_after, ended_at), RETRY_AFTER_MAX))
    return Retry(ended_at + wait)


def rest_until(retry_after: str, ended_at: Micros) -> Micros:
    """Return until when a receiver wants no request at all: full seconds, at most a day; or 0.

    >>> rest_until("60", 1), rest_until("soon", 1)
    (61000000, 0)
    """
    wait = min(asked_wait(retry_after, ended_at), RETRY_AFTER_MAX) if retry_after else 0
    return -(-(ended_at + wait) // SECOND) * SECOND if wait else 0


def after_own_failure(attempts: int, schedule_s: Sequence[int], ended_at: Micros) -> Micros:
    """Return when to try again after attempt number `attempts` failed by a fault of ours.

    It has used no try of the schedule, so attempts are counted instead: waits grow all the same.
    """
    wait = schedule_s[min(attempts, len(schedule_s)) - 1] if schedule_s else OWN_WAIT_S
    return ended_at + wait * SECOND


def asked_wait(retry_after: str, now: Micros) -> Micros:
    """Return the wait in a `Retry-After` header: seconds or HTTP date (RFC 9110 10.2.3), else 0.

    >>> asked_wait("120", 0) == 120 * SECOND
    True
    >>> asked_wait("-5", 0), asked_wait("soon", 0), asked_wait("9" * 400, 0) == 10**10 * SECOND
    (0, 0, True)
    """
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:11]), 10**10) * SECOND
    try:
        at = from_datetime(parsedate_to_datetime(text))
    except (ValueError, OverflowError):
        return 0
    return max(0, at - now)
