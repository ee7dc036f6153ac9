"""Claims: deliveries that are due are leased, those whose lease ran out among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.messages import Claim, Delivery, DeliveryState
from tillbell.storage.operations import message_rows
from tillbell.storage.operations.claim_window import View
from tillbell.storage.operations.messages import interrupt, tries_without
from tillbell.storage.ports.outbound import LaneKey
from tillbell.storage.session.transaction import Transaction

WAITING, SENDING = DeliveryState.WAITING, DeliveryState.SENDING


class Wanted(NamedTuple):
    """How many claims are wanted of each lane, and from where on to look for them."""

    by_lane: Mapping[LaneKey, int]
    now: Micros
    lease_until: Micros
    view: View


class Taken(NamedTuple):
    """What was claimed, and how far that went."""

    claims: list[Claim]
    reached: dict[LaneKey, Micros]  # what was due before was taken
    leases_left: Micros  # the same of lost leases, of all lanes


def claim(transaction: Transaction, requests: Sequence[Wanted]) -> list[Taken]:
    """Lease due deliveries."""
    return [_claim(transaction, wanted) for wanted in requests]


def _claim(transaction: Transaction, wanted: Wanted) -> Taken:
    taken = Taken([], {}, wanted.now)
    lost: list[tuple[Delivery, str]] = []
    found, leases_left = _due(transaction, wanted)
    for lane, due in found.items():
        is_all = len(due) < wanted.by_lane[lane]
        taken.reached[lane] = wanted.now if is_all else due[-1][message_rows.DUE_AT]
        for row in due:
            delivery, message = message_rows.delivery_and_message(row)
            if delivery.state is SENDING:
                lost.append((delivery, message.event_type))
            else:
                transaction.tally.moved(delivery[:3], WAITING, SENDING)
            if delivery.order_key is not None:
                transaction.ordered.add(lane)  # who waits behind it may go by another's hand
            taken.claims.append(Claim(_opened(delivery, wanted), message, row[-1]))
    interrupt(transaction, lost)
    leases = [(d.app_id, d.id, wanted.lease_until, wanted.now, d.tries) for d, *_ in taken.claims]
    transaction.bulk("lease", leases)
    return taken._replace(leases_left=leases_left)


def _due(
    transaction: Transaction, wanted: Wanted
) -> tuple[dict[LaneKey, list[message_rows.Row]], Micros]:
    """Read what may be claimed: of each lane what waits and what a lost lease left.

    With the time from which on lost leases are left to others.
    """
    limits, now = wanted.by_lane, wanted.now
    lost, leases_left = _lost(transaction, wanted)
    due: dict[LaneKey, list[message_rows.Row]] = {lane: [] for lane in limits}
    waiting = [(*lane, now, limit, wanted.view.of(lane)) for lane, limit in limits.items()]
    waits = transaction.bulk_ask("due_deliveries", waiting)
    leases = transaction.bulk_ask("lost_deliveries", lost)
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


def _lost(transaction: Transaction, wanted: Wanted) -> tuple[list[tuple[str, str, Micros]], Micros]:
    limits, now = dict(wanted.by_lane), wanted.now
    lost: list[tuple[str, str, Micros]] = []
    left = now
    for app_id, endpoint_id, id_, due_at in transaction.rows(
        "lost_leases", (now, wanted.view.leases)
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


def _opened(delivery: Delivery, wanted: Wanted) -> Delivery:
    used = tries_without(delivery) if delivery.state is SENDING else delivery.tries
    return delivery._replace(
        state=SENDING,
        due_at=wanted.lease_until,
        started_at=wanted.now,
        attempts=delivery.attempts + 1,
        tries=used + 1,
        token=delivery.token + 1,
    )
