"""Reads of messages, deliveries and attempts: the port's `OutboundReads`, promised there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tillbell.clock import HOUR, Micros
from tillbell.ids import attempt_id, first_of, read_attempt_cursor, span
from tillbell.model.messages import Attempt, AttemptEnd, Delivery, DeliveryState, Message
from tillbell.storage.engine.methods import read
from tillbell.storage.operations import message_rows
from tillbell.storage.operations.pages import LAST, page_bounds
from tillbell.storage.ports.outbound import (
    AttemptFilter,
    CountedSpan,
    DeliveryFacts,
    DeliveryRow,
    DeliverySelection,
    DueLane,
    EndedAttempt,
    MessageContent,
    MessageFilter,
    MissedPeriod,
    Page,
    StateFilter,
    Totals,
)
from tillbell.storage.session.connection import DbReader, Row, json_list, json_rows

FOREVER: Micros = 2**62
ANY_STATUS = (0, 2**31)
FAILED_ONLY = (DeliveryState.FAILED,)


def _filter(filter_: MessageFilter | AttemptFilter | DeliverySelection) -> dict[str, Any]:
    return {
        "event_types": None if filter_.event_types is None else json_list(filter_.event_types),
        "channel": filter_.channel,
        "tag": filter_.tag,
    }


@read
def due_lanes(db: DbReader, after: str = "", limit: int = 10_000) -> list[DueLane]:
    """Read the lanes with open deliveries."""
    return [DueLane(*row) for row in db.query("due_lanes", {"after": after, "limit": limit})]


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


@read
def message(db: DbReader, app_id: str, id_or_event_id: str) -> Message | None:
    """Read a message."""
    rows = db.query("message", {"app_id": app_id, "key": id_or_event_id})
    return next(map(message_rows.message, rows), None)


@read
def body(db: DbReader, app_id: str, message_id: str, variant: str = "") -> bytes | None:
    """Read a payload or rendered body."""
    return next((bytes_ for (bytes_,) in db.query("body", (app_id, message_id, variant))), None)


@read
def messages(db: DbReader, app_id: str, filter_: MessageFilter, page: Page) -> list[Message]:
    """Read a page of messages."""
    bounds = page_bounds(page, "msg", filter_.after, filter_.before)
    bindings = bounds.bindings | _filter(filter_) | {"app_id": app_id}
    rows = db.query("messages", bindings, bounds.order)
    return bounds.in_list_order([message_rows.message(row) for row in rows])


@read
def missing_messages(
    db: DbReader, period: MissedPeriod, after: str, limit: int
) -> tuple[list[Message], str | None]:
    """Read some messages of a period: those without delivery, and the id to go on after."""
    page = Page(limit, after or None, ascending=True)
    bounds = page_bounds(page, "msg", period.since, period.until)
    tail = {"app_id": period.app_id, "endpoint_tail": period.endpoint_id[-10:]}
    rows = db.query("messages_with_sent_flag", bounds.bindings | tail)
    missing = [message_rows.message(row) for *row, is_sent in rows if not is_sent]
    return missing, rows[-1][0] if len(rows) == limit else None


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────


def delivery_row(row: Row) -> DeliveryRow:
    """Read a delivery with its message."""
    return DeliveryRow(*message_rows.delivery_and_message(row))


@read
def delivery(db: DbReader, app_id: str, delivery_id: str) -> DeliveryRow | None:
    """Read a delivery."""
    return next(
        map(delivery_row, db.query("delivery", {"app_id": app_id, "id": delivery_id})), None
    )


@read
def deliveries_of_message(db: DbReader, app_id: str, message_id: str) -> list[Delivery]:
    """Read a message's deliveries."""
    low, high = span("dlv", message_id)
    rows = db.query("deliveries_of_message", {"app_id": app_id, "low": low, "high": high})
    return [message_rows.delivery(row) for row in rows]


@read
def message_contents(db: DbReader, messages: Sequence[Message]) -> dict[str, MessageContent]:
    """Read the deliveries and payloads of messages, each kind with one statement."""
    keys = {"messages": json_rows((message.app_id, message.id) for message in messages)}
    bodies: dict[str, bytes] = dict(db.query("bodies_of_messages", keys))
    contents = {m.id: MessageContent([], bodies.get(m.id)) for m in messages}
    for row in db.query("deliveries_of_messages", keys):
        delivery = message_rows.delivery(row)
        contents[delivery.message_id].deliveries.append(delivery)
    return contents


@read
def attempt_ends(db: DbReader, attempts: Sequence[tuple[str, str]]) -> dict[str, AttemptEnd]:
    """Read how attempts ended, with one statement."""
    return _attempt_ends(db, attempts)


def _attempt_ends(db: DbReader, attempts: Sequence[tuple[str, str]]) -> dict[str, AttemptEnd]:
    rows = db.query("attempt_ends", {"attempts": json_rows(attempts)})
    return {end.id: end for end in map(AttemptEnd._make, rows)}


@read
def delivery_facts(db: DbReader, deliveries: Sequence[Delivery]) -> dict[str, DeliveryFacts]:
    """Read what is stored about deliveries, with two statements."""
    keys = json_rows(
        (d.app_id, d.id, d.message_id, d.endpoint_id, d.order_key or "") for d in deliveries
    )
    last = {d.id: attempt_id(d.id, d.attempts_ended) for d in deliveries if d.attempts_ended}
    ends = _attempt_ends(db, [(d.app_id, last[d.id]) for d in deliveries if d.id in last])
    return {
        id_: DeliveryFacts(bool(has_body), ahead, ends.get(last.get(id_, "")))
        for id_, has_body, ahead in db.query("delivery_facts", {"deliveries": keys})
    }


@read
def deliveries_of_endpoint(
    db: DbReader,
    app_id: str,
    endpoint_id: str,
    filter_: MessageFilter,
    states: StateFilter,
    page: Page,
) -> list[DeliveryRow]:
    """Read a page of an endpoint's deliveries."""
    bounds = page_bounds(page, "dlv", filter_.after, filter_.before)
    bindings = bounds.bindings | _filter(filter_) | _states(states.states)
    bindings |= {"app_id": app_id, "endpoint_id": endpoint_id, "tried": states.tried}
    rows = db.query("deliveries_of_endpoint", bindings, bounds.order, _state_form(states.states))
    return bounds.in_list_order([delivery_row(row) for row in rows])


@read
def select(db: DbReader, selection: DeliverySelection, after: str, limit: int) -> list[str]:
    """Read ids of deliveries for a bulk operation."""
    page = Page(limit, after or None, ascending=True)
    bounds = page_bounds(page, "dlv", selection.since, selection.until)
    lowest, highest = selection.status_codes or (None, None)
    bindings = bounds.bindings | _filter(selection) | _states(selection.states)
    bindings |= {"app_id": selection.app_id, "endpoint_id": selection.endpoint_id}
    bindings |= {"lowest": lowest, "highest": highest, "tried": selection.tried}
    rows = db.query("select_deliveries", bindings, _state_form(selection.states))
    return [id_ for (id_,) in rows]


def _states(states: Sequence[DeliveryState] | None) -> dict[str, str]:
    return {"states": json_list(DeliveryState if states is None else states)}


def _state_form(states: Sequence[DeliveryState] | None) -> str:
    """Use the index of failed deliveries when nothing else is asked for."""
    is_failed_only = states is not None and tuple(states) == FAILED_ONLY
    return "failed_only" if is_failed_only else "any_of_states"


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────


@read
def attempt(db: DbReader, app_id: str, attempt_id: str) -> Attempt | None:
    """Read a closed attempt."""
    rows = db.query("attempt", {"app_id": app_id, "id": attempt_id})
    return next(map(message_rows.attempt, rows), None)


@read
def ended_attempts(
    db: DbReader, app_id: str | None, after: Micros, limit: int
) -> list[EndedAttempt]:
    """Read attempts in the order of their ends."""
    rows = db.query("ended_attempts", {"app_id": app_id, "after": after, "limit": limit})
    width = message_rows.ATTEMPT_WIDTH
    return [
        EndedAttempt(message_rows.attempt(row[:width]), message_rows.delivery(row[width:]))
        for row in rows
    ]


@read
def attempts(db: DbReader, app_id: str, filter_: AttemptFilter, page: Page) -> list[Attempt]:
    """Read a page of attempts of a message or of an endpoint."""
    bounds = _bounds_by_time(filter_, page)
    lowest, highest = filter_.status_codes or ANY_STATUS
    bindings = _filter(filter_) | {
        "app_id": app_id,
        "limit": page.limit,
        "low_at": bounds.low[0],
        "low": bounds.low[1],
        "high_at": bounds.high[0],
        "high": bounds.high[1],
        "endpoint_id": filter_.endpoint_id,
        "succeeded": filter_.succeeded,
        "lowest": lowest,
        "highest": highest,
    }
    if filter_.message_id is not None:
        first, last = span("atmpt", filter_.message_id)
        bindings |= {"first": first, "last": last}
        rows = db.query("attempts_of_message", bindings, bounds.order)
    else:
        assert filter_.endpoint_id is not None, "attempts are listed of a message or an endpoint"
        rows = db.query("attempts_of_endpoint", bindings, bounds.order)
    listed = [message_rows.attempt(row) for row in rows]
    return listed[::-1] if page.backwards else listed


class _TimeBounds(NamedTuple):
    """A page of attempts as bounds on their start and id, both exclusive."""

    low: tuple[Micros, str]
    high: tuple[Micros, str]
    order: str


def _bounds_by_time(filter_: AttemptFilter, page: Page) -> _TimeBounds:
    low = (-1, "") if filter_.after is None else (filter_.after - 1, LAST)
    high = (FOREVER, "") if filter_.before is None else (filter_.before, "")
    is_ascending = page.ascending is not page.backwards
    if page.iterator is not None and is_ascending:
        low = max(low, read_attempt_cursor(page.iterator))
    elif page.iterator is not None:
        high = min(high, read_attempt_cursor(page.iterator))
    return _TimeBounds(low, high, "ascending" if is_ascending else "descending")


# ── totals ───────────────────────────────────────────────────────────────────────────────────────


@read
def totals(
    db: DbReader, app_id: str, endpoint_id: str | None, since: Micros, until: Micros
) -> Totals:
    """Read sums over whole hours, and count what is in the parts of hours at the ends."""
    return _totals(db, CountedSpan(app_id, endpoint_id, since, until))


@read
def totals_of(db: DbReader, spans: Sequence[CountedSpan]) -> list[Totals]:
    """Do the same for several spans."""
    return [_totals(db, each) for each in spans]


def _totals(db: DbReader, span_: CountedSpan) -> Totals:
    app_id, endpoint_id, since, until = span_
    if endpoint_id is None:
        return _summed(db, app_id, "", since // HOUR * HOUR, until)
    first, last = -(-since // HOUR) * HOUR, until // HOUR * HOUR
    if first > last:  # both are in the same hour
        return _counted(db, app_id, endpoint_id, since, until)
    parts = (
        _counted(db, app_id, endpoint_id, since, first),
        _summed(db, app_id, endpoint_id, first, last),
        _counted(db, app_id, endpoint_id, last, until),
    )
    return Totals._make(map(sum, zip(*parts, strict=True)))


def _summed(db: DbReader, app_id: str, endpoint_id: str, first: Micros, last: Micros) -> Totals:
    return Totals(*db.query("totals", (app_id, endpoint_id, first, last))[0])


def _counted(db: DbReader, app_id: str, endpoint_id: str, since: Micros, until: Micros) -> Totals:
    if since == until:
        return Totals()
    bindings = {"app_id": app_id, "endpoint_id": endpoint_id}
    bindings |= {"low": first_of("dlv", since), "high": first_of("dlv", until)}
    numbers = {DeliveryState(state): number for state, number in db.query("by_state", bindings)}
    return Totals._make(numbers.get(state, 0) for state in DeliveryState)


@read
def counts(db: DbReader) -> Totals:
    """Read the totals of everything."""
    return Totals(*db.query("totals", ("", "", 0, FOREVER))[0])
