"""Reads: the queries behind `OutboundReads`, each on one connection of the readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from tillbell.clock import HOUR, Micros
from tillbell.ids import first_of, span
from tillbell.model.messages import Attempt, Delivery, DeliveryState, Message
from tillbell.storage.operations import message_rows
from tillbell.storage.operations.claim_window import ClaimBounds
from tillbell.storage.ports.outbound import (
    AttemptFilter,
    DeliveryRow,
    DeliverySelection,
    DueLane,
    LaneKey,
    MessageFilter,
    Page,
    RepeatedRequest,
    Totals,
)
from tillbell.storage.session.connection import Bindings, Row, json_list, json_rows

T = TypeVar("T")
LAST = "~"  # sorts after every id
FOREVER: Micros = 2**62
ANY_STATUS = (0, 2**31)
FAILED_ONLY = (DeliveryState.FAILED,)


class Reader(Protocol):
    """Runs a named statement, in one of its forms, and returns its rows."""

    def __call__(self, name: str, bindings: Bindings = (), *chosen: int) -> list[Row]:
        """Return all rows."""
        ...


class PageBounds(NamedTuple):
    """A page as bounds on ids, both exclusive."""

    low: str
    high: str
    ascending: int  # of the query: a page backwards is read the other way round
    is_backwards: bool
    limit: int

    @property
    def bindings(self) -> dict[str, Any]:
        """What the statements bind."""
        return {"low": self.low, "high": self.high, "limit": self.limit}

    def in_order(self, found: list[T]) -> list[T]:
        """Put what was read into the list's order."""
        return found[::-1] if self.is_backwards else found


def bounds(
    page: Page, prefix: str = "", after: Micros | None = None, before: Micros | None = None
) -> PageBounds:
    """Turn a page, and a time that ids were made in, into bounds on ids."""
    low = first_of(prefix, after) if after is not None else ""
    high = first_of(prefix, before) if before is not None else LAST
    is_up = page.ascending is not page.backwards
    if page.iterator is not None:
        low, high = (max(low, page.iterator), high) if is_up else (low, min(high, page.iterator))
    return PageBounds(low, high, int(is_up), page.backwards, page.limit)


def _filter(filter_: MessageFilter | AttemptFilter | DeliverySelection) -> dict[str, Any]:
    return {
        "event_types": None if filter_.event_types is None else json_list(filter_.event_types),
        "channel": filter_.channel,
        "tag": filter_.tag,
    }


# ── work ─────────────────────────────────────────────────────────────────────────────────────────


def due_lanes(reader: Reader, after: str, limit: int) -> list[DueLane]:
    """Read the lanes with open deliveries."""
    return [DueLane(*row) for row in reader("due_lanes", {"after": after, "limit": limit})]


def next_due(reader: Reader, lanes: Sequence[LaneKey], view: ClaimBounds) -> dict[str, Micros]:
    """Read when each lane's first open delivery is due."""
    lanes_since = json_rows((*lane, str(view.since(lane))) for lane in lanes)
    return dict(reader("next_due", {"lanes": lanes_since, "leases": view.leases}))


def idempotent_answer(reader: Reader, key: str) -> RepeatedRequest | None:
    """Read what an idempotency key was answered."""
    found = reader("find_idempotency", (key,))
    return RepeatedRequest(*found[0]) if found else None


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


def message(reader: Reader, app_id: str, key: str) -> Message | None:
    """Read a message by id or event id."""
    found = reader("message", {"app_id": app_id, "key": key})
    return message_rows.message(found[0]) if found else None


def body(reader: Reader, app_id: str, message_id: str, variant: str) -> bytes | None:
    """Read a body."""
    found = reader("body", (app_id, message_id, variant))
    return found[0][0] if found else None


def messages(reader: Reader, app_id: str, filter_: MessageFilter, page: Page) -> list[Message]:
    """Read a page of messages."""
    cut = bounds(page, "msg", filter_.after, filter_.before)
    bindings = cut.bindings | _filter(filter_) | {"app_id": app_id}
    return cut.in_order(
        [message_rows.message(r) for r in reader("messages", bindings, cut.ascending)]
    )


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────


def _delivery_row(row: Row) -> DeliveryRow:
    return DeliveryRow(*message_rows.delivery_and_message(row))


def delivery(reader: Reader, app_id: str, delivery_id: str) -> DeliveryRow | None:
    """Read a delivery."""
    found = reader("delivery", {"app_id": app_id, "id": delivery_id})
    return _delivery_row(found[0]) if found else None


def deliveries_of_message(reader: Reader, app_id: str, message_id: str) -> list[Delivery]:
    """Read a message's deliveries."""
    low, high = span("dlv", message_id)
    found = reader("deliveries_of_message", {"app_id": app_id, "low": low, "high": high})
    return [message_rows.delivery(row) for row in found]


class EndpointDeliveryQuery(NamedTuple):
    """Which deliveries of an endpoint are listed."""

    app_id: str
    endpoint_id: str
    filter: MessageFilter
    states: tuple[DeliveryState, ...] | None
    page: Page


def deliveries_of_endpoint(reader: Reader, wanted: EndpointDeliveryQuery) -> list[DeliveryRow]:
    """Read a page of an endpoint's deliveries."""
    cut = bounds(wanted.page, "dlv", wanted.filter.after, wanted.filter.before)
    bindings = cut.bindings | _filter(wanted.filter)
    bindings |= {"app_id": wanted.app_id, "endpoint_id": wanted.endpoint_id}
    found = _by_state(reader, "deliveries_of_endpoint", bindings, wanted.states, cut.ascending)
    return cut.in_order([_delivery_row(row) for row in found])


def _by_state(
    reader: Reader,
    name: str,
    bindings: dict[str, Any],
    states: Sequence[DeliveryState] | None,
    *chosen: int,
) -> list[Row]:
    """Use the index of failed deliveries when nothing else is asked for."""
    if states is not None and tuple(states) == FAILED_ONLY:
        return reader(name, bindings, *chosen, 1)
    bindings["states"] = json_list(DeliveryState if states is None else states)
    return reader(name, bindings, *chosen, 0)


def select(reader: Reader, selection: DeliverySelection, after: str, limit: int) -> list[str]:
    """Read ids of deliveries for a bulk operation."""
    page = Page(limit, after or None, ascending=True)
    cut = bounds(page, "dlv", selection.since, selection.until)
    lowest, highest = selection.status_codes or (None, None)
    bindings = cut.bindings | _filter(selection)
    bindings |= {"app_id": selection.app_id, "endpoint_id": selection.endpoint_id}
    bindings |= {"lowest": lowest, "highest": highest}
    return [id_ for (id_,) in _by_state(reader, "select_deliveries", bindings, selection.states)]


class MissingQuery(NamedTuple):
    """Where deliveries are missing."""

    app_id: str
    endpoint_id: str
    since: Micros
    until: Micros
    after: str
    limit: int


def missing_messages(reader: Reader, gap: MissingQuery) -> tuple[list[Message], str | None]:
    """Look at some messages; return those without delivery, and where to go on."""
    page = Page(gap.limit, gap.after or None, ascending=True)
    cut = bounds(page, "msg", gap.since, gap.until)
    tail = {"app_id": gap.app_id, "endpoint_tail": gap.endpoint_id[-10:]}
    found = reader("messages_with_sent_flag", cut.bindings | tail)
    unsent = [message_rows.message(message) for *message, is_sent in found if not is_sent]
    return unsent, found[-1][0] if len(found) == gap.limit else None


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────


def attempt(reader: Reader, app_id: str, attempt_id: str) -> Attempt | None:
    """Read a closed attempt."""
    found = reader("attempt", {"app_id": app_id, "id": attempt_id})
    return message_rows.attempt(found[0]) if found else None


def attempts(reader: Reader, app_id: str, filter_: AttemptFilter, page: Page) -> list[Attempt]:
    """Read a page of attempts of a message or of an endpoint."""
    cut = bounds(page)
    lowest, highest = filter_.status_codes or ANY_STATUS
    bindings = cut.bindings | _filter(filter_)
    bindings |= {
        "app_id": app_id,
        "endpoint_id": filter_.endpoint_id,
        "succeeded": filter_.succeeded,
        "lowest": lowest,
        "highest": highest,
        "since": filter_.after or 0,
        "until": FOREVER if filter_.before is None else filter_.before,
    }
    if filter_.message_id is not None:
        low, high = span("atmpt", filter_.message_id)
        bindings |= {"low": max(low, cut.low), "high": min(high, cut.high)}
        found = reader("attempts_of_message", bindings, cut.ascending)
    else:
        assert filter_.endpoint_id is not None, "attempts are listed of a message or an endpoint"
        bindings |= {"first_delivery": _delivery_of(cut.low), "last_delivery": _last(cut.high)}
        found = reader("attempts_of_endpoint", bindings, cut.ascending)
    return cut.in_order([message_rows.attempt(row) for row in found])


def _delivery_of(attempt_id: str) -> str:
    """Return the delivery an attempt's id begins with; "" for no attempt."""
    return f"dlv_{attempt_id[6:-4]}" if attempt_id else ""


def _last(high: str) -> str:
    return LAST if high == LAST else _delivery_of(high)


# ── totals ───────────────────────────────────────────────────────────────────────────────────────


class CountQuery(NamedTuple):
    """Of whom, and of which time, deliveries are counted."""

    app_id: str
    endpoint_id: str | None
    since: Micros
    until: Micros


def totals(reader: Reader, period: CountQuery) -> Totals:
    """Read sums over whole hours."""
    first = period.since // HOUR * HOUR
    bindings = (period.app_id, period.endpoint_id or "", first, period.until)
    return Totals(*reader("totals", bindings)[0])


def counts(reader: Reader) -> Totals:
    """Read the totals of everything."""
    return Totals(*reader("totals", ("", "", 0, FOREVER))[0])
