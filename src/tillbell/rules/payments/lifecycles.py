"""The small lifecycles beside money: parcels and e-mails.

| a parcel that is | becomes |
| --- | --- |
| created | in_transit, exception, delivered, returned, cancelled |
| in_transit, exception | each other, delivered, returned, cancelled |
| delivered, returned, cancelled | nothing else: final |

Steps may be left out, because carriers lose news, and come late, because they send out of order:
what is older than what we know is stale, by the carrier's time and then by its count.

| an e-mail that is | becomes |
| --- | --- |
| sent | delivered, bounced, complained |
| delivered | complained |

An address that bounced for good, or whose owner complained, is not written to again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tillbell.clock import HOUR, Micros
from tillbell.model.callbacks import EmailNotice, Outcome, ShipmentNotice

CREATED, IN_TRANSIT, EXCEPTION = "created", "in_transit", "exception"
DELIVERED, RETURNED, CANCELLED = "delivered", "returned", "cancelled"
FINAL = frozenset({DELIVERED, RETURNED, CANCELLED})
# What follows what. A status may follow itself: then its substate is another.
MOVES: Mapping[str, frozenset[str]] = {
    CREATED: FINAL | {CREATED, IN_TRANSIT, EXCEPTION},
    IN_TRANSIT: FINAL | {IN_TRANSIT, EXCEPTION},
    EXCEPTION: FINAL | {IN_TRANSIT, EXCEPTION},
    **dict.fromkeys(FINAL, frozenset()),
}
STATES = tuple(MOVES)

SENT, BOUNCED, COMPLAINED = "sent", "bounced", "complained"
EMAIL_MOVES: Mapping[str, frozenset[str]] = {
    SENT: frozenset({DELIVERED, BOUNCED, COMPLAINED}),
    DELIVERED: frozenset({COMPLAINED}),
    BOUNCED: frozenset(),
    COMPLAINED: frozenset(),
}


class ParcelState(NamedTuple):
    """Where a parcel is, and since when by the carrier's clock and count."""

    status: str
    substate: str | None
    at: Micros | None
    sequence: int | None


class LifecycleJudgement(NamedTuple):
    """What became of news, and why, for a person."""

    outcome: Outcome
    why: str


# ── parcels ──────────────────────────────────────────────────────────────────────────────────────


def judge_parcel(current: ParcelState | None, news: ShipmentNotice) -> LifecycleJudgement:
    """Say what becomes of news of a parcel."""
    if news.status is None:
        return LifecycleJudgement(
            Outcome.UNMAPPED, f"The status {news.raw_status[:50]!r} is in no table."
        )
    if current is None:
        return LifecycleJudgement(Outcome.APPLIED, f"New parcel: {news.status}.")
    if (news.status, news.substate) == (current.status, current.substate):
        return LifecycleJudgement(Outcome.DUPLICATE, f"It is {current.status} already.")
    if current.status in FINAL:
        return LifecycleJudgement(Outcome.STALE, f"It has ended as {current.status}.")
    if _is_older(current, news):
        return LifecycleJudgement(Outcome.STALE, f"It is older than what made it {current.status}.")
    if news.status not in MOVES[current.status]:
        return LifecycleJudgement(Outcome.STALE, f"{news.status} comes before {current.status}.")
    return LifecycleJudgement(Outcome.APPLIED, f"{current.status} → {news.status}")


def _is_older(current: ParcelState, news: ShipmentNotice) -> bool:
    """Compare by time; by the carrier's count where times are equal or cannot tell.

    Of a local time that a clock change repeats the earlier instant is taken, so it may be an
    hour too early.
    """
    if current.at is not None and news.occurred_at is not None:
        behind = current.at - news.occurred_at
        if behind != 0 and not (news.is_time_ambiguous and 0 < behind <= HOUR):
            return behind > 0
    if current.sequence is not None and news.sequence is not None:
        return news.sequence < current.sequence
    return False


def shipment_event(status: str) -> str:
    """Return the event type that tells a state.

    >>> shipment_event("returned")
    'shipment.returned'
    """
    return f"shipment.{status}"


# ── e-mails ──────────────────────────────────────────────────────────────────────────────────────


def judge_email(current: str | None, event: str) -> LifecycleJudgement:
    """Say what becomes of an event of an e-mail; mail services send them in any order.

    >>> judge_email("complained", "delivered").outcome
    <Outcome.STALE: 'stale'>
    """
    if event not in EMAIL_MOVES:
        return LifecycleJudgement(Outcome.NOTED, f"{event} does not change where it is.")
    if current is None:
        return LifecycleJudgement(Outcome.APPLIED, f"New e-mail: {event}.")
    if event == current:
        return LifecycleJudgement(Outcome.DUPLICATE, f"It is {current} already.")
    if event not in EMAIL_MOVES[current]:
        return LifecycleJudgement(Outcome.STALE, f"It is {current}; {event} changes nothing.")
    return LifecycleJudgement(Outcome.APPLIED, f"{current} → {event}")


def suppression_reason(notice: EmailNotice) -> str | None:
    """Say why an address must not be written to again; None if it may."""
    if notice.event == COMPLAINED:
        return COMPLAINED
    if notice.event == BOUNCED and notice.bounce_type == "permanent":
        return BOUNCED
    return None
