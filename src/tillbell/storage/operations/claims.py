"""Claims: deliveries that are due are leased, those whose lease ran out among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.messages import Claim, Delivery, DeliveryState
from tillbell.storage.operations import message_rows
from tillbell.storage.operations.claim_window import ClaimBounds
from tillbell.storage.operations.messages import interrupt, tries_without_interruption
from tillbell.storage.ports.outbound import LaneKey
from tillbell.storage.session.transaction import DbTransaction

WAITING, SENDING = DeliveryState.WAITING, DeliveryState.SENDING


class ClaimRequest(NamedTuple):
    """How many claims are wanted of each lane, and from where on to look for them."""

    by_lane: Mapping[LaneKey, int]
    now: Micros
    lease_until: Micros
    bounds: ClaimBounds


class ClaimResult(NamedTuple):
    """What was claimed, and how far that went."""

    claims: list[Claim]
    claimed_until: dict[LaneKey, Micros]  # what was due before was taken
    leases_until: Micros  # the same of lost leases, of all lanes


def claim(transaction: DbTransaction, requests: Sequence[ClaimRequest]) -> list[ClaimResult]:
    """Lease due deliveries."""
    return [_claim(transaction, wanted) for wanted in requests]


def _claim(transaction: DbTransaction, wanted: ClaimRequest) -> ClaimResult:
    taken = ClaimResult([], {}, wanted.now)
    lost: list[tuple[Delivery, str]] = []
    found, leases_left = _due(transaction, wanted)
    for lane, due in found.items():
        is_all = len(due) < wanted.by_lane[lane]
        taken.claimed_until[lane] = wanted.now if is_all else due[-1][message_rows.DUE_AT]
        for row in due:
            delivery, message = message_rows.delivery_and_message(row)
            if delivery.state is SENDING:
                lost.append((delivery, message.event_type))
            else:
                transaction.totals_delta.count_move(delivery[:3], WAITING, SENDING)
            if delivery.order_key is not None:
                transaction.ordered_lanes.add(lane)  # who waits behind it may go by another's hand
            taken.claims.append(Claim(_opened(delivery, wanted), message, row[-1]))
    interrupt(transaction, lost)
    leases = [(d.app_id, d.id, wanted.lease_until, wanted.now, d.tries) for d, *_ in taken.claims]
    transaction.execute_bulk("lease", leases)
    return taken._replace(leases_until=leases_left)


def _due(
    transaction: DbTransaction, wanted: ClaimRequest
) -> tuple[dict[LaneKey, list[message_rows.Row]], Micros]:
    """Read what may be claimed: of each lane what waits and what a lost lease left.

    With the time from which on lost leases are left to others.
    """
    limits, now = wanted.by_lane, wanted.now
    lost, leases_left = _lost(transaction, wanted)
    due: dict[LaneKey, list[message_rows.Row]] = {lane: [] for lane in limits}
    waiting = [(*lane, now, limit, wanted.bounds.since(lane)) for lane, limit in limits.items()]
    waits = transaction.query_bulk_later("due_deliveries", waiting)
    leases = transaction.query_bulk_later("deliveries_with_expired_leases", lost)
    for row in waits():
        due[row[message_rows.LANE]].append(row)
    for row in leases():
        due[row[message_rows.LANE]].append(row)
    taken: dict[LaneKey, list[message_rows.Row]] = {}
    for lane, found in due.items():
        found.sort(key=_by_due_time)
        taken[lane] = found[: limits[lane]]
        no_room = [
            row[message_rows.DUE_AT]
            for row in found[limits[lane] :]
            if row[message_rows.STATE] == SENDING
        ]
        leases_left = min([leases_left, *no_room])
    return taken, leases_left


def _lost(
    transaction: DbTransaction, wanted: ClaimRequest
) -> tuple[list[tuple[str, str, Micros]], Micros]:
    limits, now = dict(wanted.by_lane), wanted.now
    lost: list[tuple[str, str, Micros]] = []
    left = now
    for app_id, endpoint_id, id_, due_at in transaction.query(
        "expired_leases", (now, wanted.bounds.leases)
    ):
        lane = app_id, endpoint_id
        if limits.get(lane, 0) > 0:
            limits[lane] -= 1
            lost.append((app_id, id_, now))
        else:
            left = min(left, due_at)
    return lost, left


def _by_due_time(row: message_rows.Row) -> tuple[Micros, str]:
    return row[message_rows.DUE_AT], row[0]


def _opened(delivery: Delivery, wanted: ClaimRequest) -> Delivery:
    used = tries_without_interruption(delivery) if delivery.state is SENDING else delivery.tries
    return delivery._replace(
        state=SENDING,
        due_at=wanted.lease_until,
        started_at=wanted.now,
        attempts=delivery.attempts + 1,
        tries=used + 1,
        token=delivery.token + 1,
    )
