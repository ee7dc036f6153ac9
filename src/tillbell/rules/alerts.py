"""When an alert is sent: digest, rate, quiet hours, and tries after a failure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tillbell.clock import HOUR, MINUTE, Micros, from_datetime, to_datetime
from tillbell.model.alerts import AlertQueue, AlertSubscription

RETRY_FIRST = MINUTE
RETRY_MAX = HOUR
TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def due_at(subscription: AlertSubscription, queue: AlertQueue, now: Micros) -> Micros | None:
    """Return when what waits is to be sent; None: nothing waits, or nothing may be sent."""
    if subscription.paused or not queue.lines:
        return None
    at = queue.lines[0].at + subscription.digest_minutes * MINUTE
    at = max(at, queue.retry_at, queue.claimed_until)
    recent = [sent_at for sent_at in queue.sent_at if sent_at > now - HOUR]
    if len(recent) >= subscription.hourly_max:
        at = max(at, recent[-subscription.hourly_max] + HOUR)
    return after_quiet_hours(subscription, max(at, now))


def after_quiet_hours(subscription: AlertSubscription, at: Micros) -> Micros:
    """Return the time itself, or the end of the quiet hours that it falls into."""
    if subscription.quiet_from is None or subscription.quiet_until is None:
        return at
    zone = ZoneInfo(subscription.time_zone)
    local = to_datetime(at).astimezone(zone)
    begin, end = _minutes(subscription.quiet_from), _minutes(subscription.quiet_until)
    minute = local.hour * 60 + local.minute
    is_quiet = begin <= minute < end if begin <= end else minute >= begin or minute < end
    if not is_quiet:
        return at
    day = local.date() + timedelta(days=1 if minute >= end else 0)
    ends_at = datetime(day.year, day.month, day.day, end // 60, end % 60, tzinfo=zone)
    return max(at, from_datetime(ends_at))


def retry_after(failures: int) -> Micros:
    """Return how long to wait after that many failures in a row.

    >>> retry_after(1) == MINUTE, retry_after(3) == 4 * MINUTE, retry_after(99) == HOUR
    (True, True, True)
    """
    return int(min(RETRY_FIRST * 2 ** min(failures - 1, 16), RETRY_MAX))


def _minutes(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)
