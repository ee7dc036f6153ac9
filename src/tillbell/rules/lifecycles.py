"""The small lifecycles beside money: parcels and e-mails.

A parcel: created → in_transit → delivered | exception; exception → in_transit | delivered |
returned. Delivered, returned and cancelled are final: later news of lower rank is stale.
Carriers send out of order, so news older than what we have is stale too.

An e-mail address that bounced for good, or whose owner complained, is not written to again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tillbell.callbacks import EmailNotice, Outcome, ShipmentNotice
from tillbell.clock import Micros

CREATED, IN_TRANSIT, EXCEPTION = "created", "in_transit", "exception"
DELIVERED, RETURNED, CANCELLED = "delivered", "returned", "cancelled"
FINAL = frozenset({DELIVERED, RETURNED, CANCELLED})
STATES = (CREATED, IN_TRANSIT, EXCEPTION, DELIVERED, RETURNED, CANCELLED)

# The event type that a state is told by; what the catalogue has no type of its own for is an
# exception to how a parcel should travel.
_TOLD_AS: Mapping[str, str] = {RETURNED: EXCEPTION, CANCELLED: EXCEPTION}


class Parcel(NamedTuple):
    """Where a parcel is, and since when by the carrier's clock and count."""

    status: str
    substate: str | None
    at: Micros | None
    sequence: int | None


class Moved(NamedTuple):
    """What became of news of a parcel."""

    outcome: Outcome
    why: str


def judge_parcel(current: Parcel | None, news: ShipmentNotice) -> Moved:
    """Say what becomes of news of a parcel."""
    if news.status is None:
        return Moved(Outcome.UNMAPPED, f"The status {news.raw_status[:50]!r} is in no table.")
    if current is None:
        return Moved(Outcome.APPLIED, f"New parcel: {news.status}.")
    if (news.status, news.substate) == (current.status, current.substate):
        return Moved(Outcome.DUPLICATE, f"It is {current.status} already.")
    if current.status in FINAL:
        return Moved(Outcome.STALE, f"It has ended as {current.status}.")
    if _is_older(current, news):
        return Moved(Outcome.STALE, f"It is older than what made it {current.status}.")
    if news.status == CREATED:
        return Moved(Outcome.STALE, f"It is {current.status} already.")
    return Moved(Outcome.APPLIED, f"{current.status} → {news.status}")


def _is_older(current: Parcel, news: ShipmentNotice) -> bool:
    if current.at is not None and news.occurred_at is not None and current.at != news.occurred_at:
        return news.occurred_at < current.at and not news.is_time_ambiguous
    if current.sequence is not None and news.sequence is not None:
        return news.sequence < current.sequence
    return False


def shipment_event(status: str) -> str:
    """Return the event type that tells a state: `shipment.delivered`.

    >>> shipment_event("returned")
    'shipment.exception'
    """
    return f"shipment.{_TOLD_AS.get(status, status)}"


def suppression_reason(notice: EmailNotice) -> str | None:
    """Say why an address must not be written to again; None if it may."""
    if notice.event == "complained":
        return "complained"
    if notice.event == "bounced" and notice.bounce_type == "permanent":
        return "bounced"
    return None
