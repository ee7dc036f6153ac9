"""Writes of claims: due deliveries are leased, and a lease ends in one of several ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.ids import attempt_id
from tillbell.model.messages import Attempt, Claim, Delivery, DeliveryState, Result, Trigger
from tillbell.rules.delivery.advice import advise_failure
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.methods import read, write, write_batched
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.operations import message_rows
from tillbell.storage.operations.claim_window import UNBOUNDED, ClaimBounds
from tillbell.storage.operations.order_keys import release_next_after, release_next_in_order
from tillbell.storage.ports.outbound import (
    INTERRUPTIONS_NOT_COUNTED,
    RESENDABLE,
    FinishedAttempt,
    LaneKey,
    LeaseKey,
    ResendCounts,
)
from tillbell.storage.session.connection import DbReader, json_rows
from tillbell.storage.session.transaction import DbTransaction

WAITING, SENDING = DeliveryState.WAITING, DeliveryState.SENDING
SUCCEEDED = DeliveryState.SUCCEEDED
INTERRUPTED_DETAIL = "The process that made this attempt ended before it could record an answer."


class ClaimMethods:
    """The methods of claims for a database without a claim window."""

    writer: Writer
    readers: ReadPool

    async def claim(
        self, wanted: Mapping[LaneKey, int], now: Micros, lease_until: Micros
    ) -> list[Claim]:
        """Lease due deliveries."""
        result = await claim(self, ClaimRequest(wanted, now, lease_until, UNBOUNDED))
        return result.claims

    async def next_due(self, lanes: Sequence[LaneKey]) -> dict[str, Micros]:
        """Read when each lane's first open delivery is due."""
        return await next_due(self, lanes, UNBOUNDED)


@read
def next_due(db: DbReader, lanes: Sequence[LaneKey], bounds: ClaimBounds) -> dict[str, Micros]:
    """Read when each lane's first open delivery is due."""
    lanes_since = json_rows((*lane, str(bounds.since(lane))) for lane in lanes)
    return dict(db.query("next_due", {"lanes": lanes_since, "leases": bounds.leases}))


# ── claim ────────────────────────────────────────────────────────────────────────────────────────


class ClaimRequest(NamedTuple):
    """How many claims are wanted of each lane, and from where on to look for them."""

    by_lane: Mapping[LaneKey, int]
    now: Micros
    lease_until: Micros
    bounds: ClaimBounds


class ClaimResult(NamedTuple):
    """What was claimed, and up to which due time there is nothing left to claim."""

    claims: list[Claim]
    claimed_until: dict[LaneKey, Micros]
    leases_until: Micros  # of expired leases in any lane


@write(optimistic=True, no_timeout=True)
def claim(db: DbTransaction, request: ClaimRequest) -> ClaimResult:
    """Lease due deliveries."""
    claims: list[Claim] = []
    claimed_until: dict[LaneKey, Micros] = {}
    interrupted: list[tuple[Delivery, str]] = []
    due, leases_until = _due(db, request)
    for lane, rows in due.items():
        is_all = len(rows) < request.by_lane[lane]
        claimed_until[lane] = request.now if is_all else rows[-1][message_rows.DUE_AT]
        for row in rows:
            delivery, message = message_rows.delivery_and_message(row)
            if delivery.state is SENDING:
                interrupted.append((delivery, message.event_type))
            else:
                _count_move(db, delivery, SENDING)
            if delivery.order_key is not None:
                # Another process may release the next delivery of this order key.
                db.ordered_lanes.add(lane)
            body = row[message_rows.BODY]
            claims.append(Claim(delivery=_leased(delivery, request), message=message, body=body))
    interrupt(db, interrupted)
    leased = [claim.delivery for claim in claims]
    leases = [(d.app_id, d.id, request.lease_until, request.now, d.tries) for d in leased]
    db.execute_bulk("lease", leases)
    return ClaimResult(claims, claimed_until, leases_until)


def _due(
    db: DbTransaction, request: ClaimRequest
) -> tuple[dict[LaneKey, list[message_rows.Row]], Micros]:
    """Read what may be claimed of each lane: waiting deliveries, and those of expired leases.

    The second value is the time before which no expired lease is left.
    """
    limits, now = request.by_lane, request.now
    expired, leases_until = _expired_leases(db, request)
    waiting = [(*lane, now, limit, request.bounds.since(lane)) for lane, limit in limits.items()]
    results = [
        db.query_bulk_later("due_deliveries", waiting),
        db.query_bulk_later("deliveries_with_expired_leases", expired),
    ]
    due: dict[LaneKey, list[message_rows.Row]] = {lane: [] for lane in limits}
    for row in (row for result in results for row in result.rows()):
        due[row[message_rows.LANE]].append(row)
    for lane, rows in due.items():
        rows.sort(key=_by_due_time)
        due[lane], too_many = rows[: limits[lane]], rows[limits[lane] :]
        leases = [row for row in too_many if row[message_rows.STATE] == SENDING]
        leases_until = min([leases_until, *(row[message_rows.DUE_AT] for row in leases)])
    return due, leases_until


def _expired_leases(
    db: DbTransaction, request: ClaimRequest
) -> tuple[list[tuple[str, str, Micros]], Micros]:
    """Read expired leases, as many as are wanted of each lane: application, delivery, now."""
    limits, now = dict(request.by_lane), request.now
    expired: list[tuple[str, str, Micros]] = []
    leases_until = now
    for app_id, endpoint_id, delivery_id, due_at in db.query(
        "expired_leases", (now, request.bounds.leases)
    ):
        lane = app_id, endpoint_id
        if limits.get(lane, 0) > 0:
            limits[lane] -= 1
            expired.append((app_id, delivery_id, now))
        else:
            leases_until = min(leases_until, due_at)
    return expired, leases_until


def _by_due_time(row: message_rows.Row) -> tuple[Micros, str]:
    return row[message_rows.DUE_AT], row[message_rows.ID]


def _leased(delivery: Delivery, request: ClaimRequest) -> Delivery:
    is_interrupted = delivery.state is SENDING
    tries = tries_without_interruption(delivery) if is_interrupted else delivery.tries
    return delivery._replace(
        state=SENDING,
        due_at=request.lease_until,
        started_at=request.now,
        attempts=delivery.attempts + 1,
        tries=tries + 1,
        token=delivery.token + 1,
    )


# ── how a lease ends ─────────────────────────────────────────────────────────────────────────────


class StaleToken(Exception):
    """Not every finished attempt of a run has the present token."""


@write_batched(no_timeout=True)
def finish_attempt(db: DbTransaction, finished: Sequence[FinishedAttempt]) -> list[bool]:
    """Close attempts and move deliveries; False where the token is not the present one.

    A run is written as if all were valid, which nearly always is so. If one is not, it is
    undone (`StaleToken`), and the writer repeats it one by one.
    """
    uncounted = [f for f in finished if not f.uses_try]
    if uncounted:
        finished = [_keeping_success(db, f) for f in finished]
    moves = [(f.attempt.app_id, f.delivery_id, f.token, f.state, f.due_at) for f in finished]
    if db.execute_bulk("finish_attempt", moves).rowcount != len(moves):
        if len(moves) > 1:
            raise StaleToken
        return [False]
    db.execute_bulk("insert_attempt", [f.attempt for f in finished])
    count_move = db.totals_delta.count_move
    for f in finished:
        count_move(f.attempt.app_id, f.attempt.endpoint_id, f.delivery_id, SENDING, f.state)
    db.rollup_delta.count_finished(finished)
    if uncounted:
        db.execute_each("return_try", [(f.attempt.app_id, f.delivery_id) for f in uncounted])
    lines = {
        (f.attempt.app_id, f.attempt.endpoint_id, f.order_key)
        for f in finished
        if f.order_key is not None
    }
    release_next_in_order(db, lines)
    return [True] * len(moves)


def _keeping_success(db: DbTransaction, finished: FinishedAttempt) -> FinishedAttempt:
    """Return a finished attempt that does not overwrite a success by what was no try."""
    if finished.uses_try or finished.state is not DeliveryState.FAILED:
        return finished
    app_id, delivery_id = finished.attempt.app_id, finished.delivery_id
    return finished._replace(state=_end_state(db, app_id, delivery_id, finished.state))


@write(optimistic=True, no_timeout=True)
def renew(db: DbTransaction, leases: Sequence[LeaseKey], lease_until: Micros) -> list[str]:
    """Extend leases; return the deliveries of those that were lost."""
    renewed = db.execute_bulk("renew", [(*lease, lease_until) for lease in leases])
    if renewed.rowcount == len(leases):
        return []
    return [
        delivery_id
        for app_id, delivery_id, token in leases
        if not db.query("is_leased", (app_id, delivery_id, token))
    ]


@write(optimistic=True, no_timeout=True)
def release(db: DbTransaction, leases: Sequence[LeaseKey], now: Micros) -> None:
    """Make claimed deliveries wait again, due now, as if they had not been claimed."""
    released = db.query_bulk_later("release", [(*lease, now) for lease in leases])
    for delivery_id, app_id, endpoint_id in released.rows():
        db.totals_delta.count_move(app_id, endpoint_id, delivery_id, SENDING, WAITING)
        db.endpoints_to_wake.add(endpoint_id)
    release_next_after(db, [(app_id, delivery_id) for app_id, delivery_id, _ in leases])


@write()
def release_all_leases(db: DbTransaction, now: Micros) -> int:
    """Make every leased delivery wait, due now."""
    return release_leases(db, now)


def release_leases(db: DbTransaction, now: Micros) -> int:
    """Make every leased delivery wait, due now, and close its attempt as interrupted."""
    leased = _with_event_type(db.query("leased_deliveries"))
    interrupt(db, leased)
    requeued = [(d.app_id, d.id, now, tries_without_interruption(d)) for d, _ in leased]
    db.execute_each("requeue", requeued)
    for delivery, _ in leased:
        _count_move(db, delivery, WAITING)
    release_next_after(db, [(d.app_id, d.id) for d, _ in leased])
    return len(leased)


def end_deliveries(
    db: DbTransaction, rows: Iterable[message_rows.Row], state: DeliveryState
) -> int:
    """Move open deliveries (rows with event type) to a terminal state without an attempt.

    One that was accepted before, and was only to be sent again, has succeeded.
    """
    ended = _with_event_type(rows)
    interrupt(db, [(d, event_type) for d, event_type in ended if d.state is SENDING])
    for delivery, _ in ended:
        end = _end_state(db, delivery.app_id, delivery.id, state)
        db.query("end", (delivery.app_id, delivery.id, end))
        _count_move(db, delivery, end)
    release_next_after(db, [(d.app_id, d.id) for d, _ in ended])
    return len(ended)


def _end_state(
    db: DbTransaction, app_id: str, delivery_id: str, state: DeliveryState
) -> DeliveryState:
    """Return in which state a delivery ends that cannot be sent: a success stays one."""
    (row,) = db.query("has_accepted_attempt", (app_id, delivery_id))
    return SUCCEEDED if row[0] else state


def _with_event_type(rows: Iterable[message_rows.Row]) -> list[tuple[Delivery, str]]:
    return [(message_rows.delivery(columns), event_type) for *columns, event_type in rows]


def _count_move(db: DbTransaction, delivery: Delivery, to: DeliveryState) -> None:
    db.totals_delta.count_move(
        delivery.app_id, delivery.endpoint_id, delivery.id, delivery.state, to
    )


def tries_without_interruption(delivery: Delivery) -> int:
    """Count the tries of a delivery whose open attempt was interrupted.

    An interruption is our fault, so it uses no try up. After `INTERRUPTIONS_NOT_COUNTED` attempts
    it does: perhaps the delivery itself ends the processes that send it.
    """
    return delivery.tries - (delivery.attempts < INTERRUPTIONS_NOT_COUNTED)


def interrupt(db: DbTransaction, interrupted: Iterable[tuple[Delivery, str]]) -> None:
    """Close the open attempts of lost leases; (delivery, event type) of each."""
    attempts = [_interrupted_attempt(d, event_type) for d, event_type in interrupted]
    db.execute_bulk("insert_attempt", attempts)
    db.rollup_delta.count_interrupted(attempts)


def _interrupted_attempt(delivery: Delivery, event_type: str) -> Attempt:
    assert delivery.started_at is not None
    return Attempt(
        id=attempt_id(delivery.id, delivery.attempts),
        delivery_id=delivery.id,
        app_id=delivery.app_id,
        endpoint_id=delivery.endpoint_id,
        message_id=delivery.message_id,
        event_type=event_type,
        number=delivery.attempts,
        trigger=delivery.trigger,
        result=Result.INTERRUPTED,
        started_at=delivery.started_at,
        duration_us=0,
        error="interrupted",
        detail=advise_failure("interrupted", INTERRUPTED_DETAIL),
    )


# ── by hand ──────────────────────────────────────────────────────────────────────────────────────


@write()
def resend(
    db: DbTransaction,
    app_id: str,
    delivery_ids: Sequence[str],
    now: Micros,
    trigger: Trigger = Trigger.MANUAL,
    states: Sequence[DeliveryState] = RESENDABLE,
) -> ResendCounts:
    """Make deliveries due now."""
    movable = set(states) - {SENDING}
    rows = [
        row for id_ in dict.fromkeys(delivery_ids) for row in db.query("resendable", (app_id, id_))
    ]
    chosen = [row for row in rows if row[2] in movable]
    moved = [(id_, endpoint, state) for id_, endpoint, state, has_body in chosen if has_body]
    db.execute_each("resend", [(app_id, id_, now, trigger) for id_, _, _ in moved])
    for id_, endpoint_id, state in moved:
        db.totals_delta.count_move(app_id, endpoint_id, id_, state, WAITING)
        db.endpoints_to_wake.add(endpoint_id)
    release_next_after(db, [(app_id, id_) for id_, _, _ in moved])
    return ResendCounts(len(moved), missing_payload=len(chosen) - len(moved))


@write()
def cancel(db: DbTransaction, app_id: str, delivery_ids: Sequence[str]) -> int:
    """End waiting deliveries without another attempt."""
    rows = [
        row for id_ in dict.fromkeys(delivery_ids) for row in db.query("cancelable", (app_id, id_))
    ]
    return end_deliveries(db, rows, DeliveryState.DISCARDED)


@write()
def discard(db: DbTransaction, app_id: str, endpoint_id: str, now: Micros, limit: int) -> int:
    """Discard open deliveries of a removed endpoint."""
    rows = db.query("discardable", (app_id, endpoint_id, now, limit))
    return end_deliveries(db, rows, DeliveryState.DISCARDED)
