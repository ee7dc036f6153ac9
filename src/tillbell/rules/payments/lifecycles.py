"""Lifecycles: what is reported about parcels and e-mails, and what it does.

| a parcel that is | becomes |
| --- | --- |
| created | in_transit, exception, delivered, returned, cancelled |
| in_transit, exception | each other, delivered, returned, cancelled |
| delivered, returned, cancelled | nothing else: final |

Carriers lose notices, so statuses may be missing, and send them out of order. A notice is stale
if it is older than the last one: by the carrier's time, then by its count.

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
from tillbell.model.callbacks import EmailNotice, Judgement, Outcome, ShipmentNotice

CREATED, IN_TRANSIT, EXCEPTION = "created", "in_transit", "exception"
DELIVERED, RETURNED, CANCELLED = "delivered", "returned", "cancelled"
FINAL = frozenset({DELIVERED, RETURNED, CANCELLED})
# Which statuses may follow one. One may follow itself, with another substate.
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
    """How a parcel stands, and since when by the carrier's time and count."""

    status: str
    substate: str | None
    at: Micros | None
    sequence: int | None


# ── parcels ──────────────────────────────────────────────────────────────────────────────────────


def judge_parcel(current: ParcelState | None, notice: ShipmentNotice) -> Judgement:
    """Say what a notice does to a parcel. None: we do not know it yet."""
    if notice.status is None:
        why = f"The status {notice.raw_status[:50]!r} is not mapped."
        return Judgement(Outcome.UNMAPPED, why)
    if current is None:
        return Judgement(Outcome.APPLIED, f"New parcel: {notice.status}.")
    if (notice.status, notice.substate) == (current.status, current.substate):
        return Judgement(Outcome.DUPLICATE, f"It is {current.status} already.")
    if current.status in FINAL:
        return Judgement(Outcome.STALE, f"It has ended as {current.status}.")
    if _is_older(notice, current):
        return Judgement(Outcome.STALE, f"It is older than what made it {current.status}.")
    if notice.status not in MOVES[current.status]:
        return Judgement(Outcome.STALE, f"{notice.status} comes before {current.status}.")
    return Judgement(Outcome.APPLIED, f"{current.status} → {notice.status}")


def _is_older(notice: ShipmentNotice, current: ParcelState) -> bool:
    """Compare by time; by the carrier's count if the times are equal or ambiguous.

    An ambiguous time is a local one that a clock change repeats. It was read as the earlier of
    the two, so it may be an hour too early.
    """
    if current.at is not None and notice.occurred_at is not None:
        behind = current.at - notice.occurred_at
        if behind != 0 and not (notice.is_time_ambiguous and 0 < behind <= HOUR):
            return behind > 0
    if current.sequence is not None and notice.sequence is not None:
        return notice.sequence < current.sequence
    return False


def shipment_event(status: str) -> str:
    """Return the event type of a parcel's status.

    >>> shipment_event("returned")
    'shipment.returned'
    """
    return f"shipment.{status}"


# ── e-mails ──────────────────────────────────────────────────────────────────────────────────────


def judge_email(current: str | None, event: str) -> Judgement:
    """Say what an event does to an e-mail's status. None: we do not know the e-mail yet.

    >>> judge_email("complained", "delivered").outcome
    <Outcome.STALE: 'stale'>
    """
    if event not in EMAIL_MOVES:
        return Judgement(Outcome.NOTED, f"{event} does not change where it is.")
    if current is None:
        return Judgement(Outcome.APPLIED, f"New e-mail: {event}.")
    if event == current:
        return Judgement(Outcome.DUPLICATE, f"It is {current} already.")
    if event not in EMAIL_MOVES[current]:
        return Judgement(Outcome.STALE, f"It is {current}; {event} changes nothing.")
    return Judgement(Outcome.APPLIED, f"{current} → {event}")


def suppression_reason(notice: EmailNotice) -> str | None:
    """Say why an address must not be written to again; None if it may."""
    if notice.event == COMPLAINED:
        return COMPLAINED
    if notice.event == BOUNCED and notice.bounce_type == "permanent":
        return BOUNCED
    return None
