"""The other half of the memory store: records, lists and counts, by looking at everything."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from tillbell.clock import HOUR, Micros
from tillbell.errors import ConflictError, VersionConflict
from tillbell.ids import first_of, made_at
from tillbell.model.messages import OPEN_STATES, Attempt, Delivery, DeliveryState, Message
from tillbell.model.records import Application, Record
from tillbell.storage.ports.outbound import (
    ALL,
    AttemptFilter,
    DeliveryRow,
    DeliverySelection,
    DueLane,
    LaneKey,
    MessageFilter,
    MissedPeriod,
    Page,
    Publication,
    RepeatedRequest,
    Totals,
)

R = TypeVar("R", bound=Record)
Key = tuple[str, str, str]  # kind, scope, id


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)
V = TypeVar("V")


def done(value: V) -> asyncio.Future[V]:
    """Return a future that has ended."""
    future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


def failed(error: Exception) -> asyncio.Future[Any]:
    """Return a future that has failed."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


def page_of(found: Iterable[T], page: Page) -> list[T]:
    """Sort by id and cut one page out."""
    rows = sorted(found, key=lambda row: row.id, reverse=not page.ascending)
    if page.iterator is None:
        return rows[-page.limit :] if page.backwards else rows[: page.limit]
    smaller = [row for row in rows if row.id < page.iterator]
    greater = [row for row in rows if row.id > page.iterator]
    before, after = (smaller, greater) if page.ascending else (greater, smaller)
    return before[-page.limit :] if page.backwards else after[: page.limit]


def made_within(prefix: str, after: Micros | None, before: Micros | None) -> Callable[[str], bool]:
    """Return the test whether an id was made in that time, to the millisecond."""
    low = first_of(prefix, after) if after is not None else ""
    high = first_of(prefix, before) if before is not None else "~"
    return lambda id_: low < id_ < high


def _wants(filter_: MessageFilter | AttemptFilter | DeliverySelection, message: Message) -> bool:
    return (
        (filter_.event_types is None or message.event_type in filter_.event_types)
        and (filter_.channel is None or filter_.channel in message.channels)
        and (filter_.tag is None or filter_.tag in message.tags)
    )


class MemoryRegistry:
    """`Registry` over a dict."""

    records: dict[Key, Record]

    async def put(self, *records: Record, expected_version: int = 0) -> None:
        """See `Registry.put`."""
        changed = dict(self.records)
        for record in records:
            key = type(record).__name__, record.scope, record.id
            present = changed.get(key)
            if expected_version != (present.version if present is not None else 0):
                raise VersionConflict
            others = (r for k, r in changed.items() if k[:2] == key[:2] and k != key)
            if record.uid is not None and record.uid in {r.uid for r in others}:
                raise ConflictError
            changed[key] = record
        self.records = changed

    async def get(self, kind: type[R], id_or_uid: str, scope: str | None = "") -> R | None:
        """See `Registry.get`."""
        if scope is None:
            return next((r for r in self._of(kind, None) if r.id == id_or_uid), None)
        found = [r for r in self._of(kind, scope) if id_or_uid in (r.id, r.uid)]
        return min(found, key=lambda r: r.id != id_or_uid, default=None)

    def _of(self, kind: type[R], scope: str | None) -> list[R]:
        return [
            r for r in self.records.values() if isinstance(r, kind) and scope in (None, r.scope)
        ]

    async def remove(self, kind: type[Record], id_: str, scope: str = "") -> bool:
        """See `Registry.remove`."""
        if self.records.pop((kind.__name__, scope, id_), None) is None:
            return False
        if kind is Application:
            self.records = {k: r for k, r in self.records.items() if r.scope != id_}
        return True

    async def list(self, kind: type[R], scope: str | None = "", page: Page = ALL) -> list[R]:
        """See `Registry.list`."""
        return page_of(self._of(kind, scope), page)


class MemoryMessages:
    """What is kept of messages."""

    known_messages: dict[str, Message]
    bodies: dict[tuple[str, str], bytes]
    deliveries: dict[str, Delivery]
    known_attempts: dict[str, Attempt]
    answers: dict[str, tuple[RepeatedRequest, Micros]]

    def published_as(self, message: Message) -> Message | None:
        """Return the message that has its event id already."""
        event = message.app_id, message.event_id
        known = (m for m in self.known_messages.values() if (m.app_id, m.event_id) == event)
        return next(known, None) if message.event_id is not None else None

    def keep(self, publication: Publication) -> None:
        """Store a message that is known to be new."""
        message, bodies, deliveries, idempotency = publication
        self.known_messages[message.id] = message
        self.bodies |= {(message.id, variant): body for variant, body in bodies.items()}
        self.deliveries |= {d.id: d for d in deliveries}
        if idempotency is not None:
            key, fingerprint, answer = idempotency
            self.answers[key] = RepeatedRequest(fingerprint, answer), message.created_at


class MemoryOutboundReads(MemoryMessages):
    """`OutboundReads` over dicts."""

    def may_go(self, delivery: Delivery) -> bool:
        """Whether its order key lets an open delivery go: one at a time, then the first."""
        line = [
            d
            for d in self.deliveries.values()
            if d.state in OPEN_STATES
            and (d.endpoint_id, d.order_key) == (delivery.endpoint_id, delivery.order_key)
        ]
        if delivery.order_key is None:
            return True
        sending = [d for d in line if d.state is DeliveryState.SENDING]
        return delivery in (sending or [min(line, key=lambda d: d.id)])

    async def due_lanes(self, after: str = "", limit: int = 10_000) -> list[DueLane]:
        """See `OutboundReads.due_lanes`."""
        lanes: dict[str, DueLane] = {}
        for d in self.deliveries.values():
            if d.state not in OPEN_STATES or d.endpoint_id <= after:
                continue
            lane = lanes.get(d.endpoint_id) or DueLane(d.app_id, d.endpoint_id, 2**63)
            due_at = d.due_at if self.may_go(d) else lane.due_at
            lanes[d.endpoint_id] = lane._replace(due_at=min(lane.due_at, due_at))
        return [lanes[endpoint_id] for endpoint_id in sorted(lanes)][:limit]

    async def next_due(self, lanes: Sequence[LaneKey]) -> dict[str, Micros]:
        """See `OutboundReads.next_due`."""
        found = await self.due_lanes()
        return {lane.endpoint_id: lane.due_at for lane in found if lane[:2] in lanes}

    async def message(self, app_id: str, id_or_event_id: str) -> Message | None:
        """See `OutboundReads.message`."""
        found = [
            m
            for m in self.known_messages.values()
            if m.app_id == app_id and id_or_event_id in (m.id, m.event_id)
        ]
        return min(found, key=lambda m: m.id != id_or_event_id, default=None)

    async def body(self, app_id: str, message_id: str, variant: str = "") -> bytes | None:
        """See `OutboundReads.body`."""
        message = self.known_messages.get(message_id)
        is_theirs = message is not None and message.app_id == app_id
        return self.bodies.get((message_id, variant)) if is_theirs else None

    async def messages(self, app_id: str, filter_: MessageFilter, page: Page) -> list[Message]:
        """See `OutboundLists.messages`."""
        is_in_time = made_within("msg", filter_.after, filter_.before)
        found = [m for m in self.known_messages.values() if m.app_id == app_id]
        return page_of([m for m in found if is_in_time(m.id) and _wants(filter_, m)], page)

    async def delivery(self, app_id: str, delivery_id: str) -> DeliveryRow | None:
        """See `OutboundReads.delivery`."""
        found = self.deliveries.get(delivery_id)
        if found is None or found.app_id != app_id:
            return None
        return DeliveryRow(found, self.known_messages[found.message_id])

    async def deliveries_of_message(self, app_id: str, message_id: str) -> list[Delivery]:
        """See `OutboundReads.deliveries_of_message`."""
        found = [d for d in self.deliveries.values() if d.message_id == message_id]
        return sorted(d for d in found if d.app_id == app_id)

    def _of_endpoint(self, app_id: str, endpoint_id: str) -> list[Delivery]:
        return [
            d
            for d in self.deliveries.values()
            if (d.app_id, d.endpoint_id) == (app_id, endpoint_id)
        ]

    async def deliveries_of_endpoint(
        self,
        app_id: str,
        endpoint_id: str,
        filter_: MessageFilter,
        states: tuple[DeliveryState, ...] | None,
        page: Page,
    ) -> list[DeliveryRow]:
        """See `OutboundLists.deliveries_of_endpoint`."""
        is_in_time = made_within("dlv", filter_.after, filter_.before)
        found = [
            d
            for d in self._of_endpoint(app_id, endpoint_id)
            if is_in_time(d.id)
            and (states is None or d.state in states)
            and _wants(filter_, self.known_messages[d.message_id])
        ]
        return [DeliveryRow(d, self.known_messages[d.message_id]) for d in page_of(found, page)]

    async def attempt(self, app_id: str, attempt_id: str) -> Attempt | None:
        """See `OutboundReads.attempt`."""
        found = self.known_attempts.get(attempt_id)
        return found if found is not None and found.app_id == app_id else None

    async def attempts(self, app_id: str, filter_: AttemptFilter, page: Page) -> list[Attempt]:
        """See `OutboundLists.attempts`."""
        lowest, highest = filter_.status_codes or (0, 999)
        found = [
            a
            for a in self.known_attempts.values()
            if a.app_id == app_id
            and filter_.message_id in (None, a.message_id)
            and filter_.endpoint_id in (None, a.endpoint_id)
            and filter_.succeeded in (None, a.result == "accepted")
            and lowest <= a.status_code <= highest
            and (filter_.after is None or filter_.after <= a.started_at)
            and (filter_.before is None or a.started_at < filter_.before)
            and _wants(filter_, self.known_messages[a.message_id])
        ]
        return page_of(found, page)

    async def select(self, selection: DeliverySelection, after: str, limit: int) -> list[str]:
        """See `OutboundReads.select`."""
        is_in_time = made_within("dlv", selection.since, selection.until)
        found = [
            d.id
            for d in self._of_endpoint(selection.app_id, selection.endpoint_id)
            if d.id > after
            and is_in_time(d.id)
            and d.state in selection.states
            and _wants(selection, self.known_messages[d.message_id])
            and self._ended_with(d, selection.status_codes)
        ]
        return sorted(found)[:limit]

    def _ended_with(self, delivery: Delivery, status_codes: tuple[int, int] | None) -> bool:
        if status_codes is None:
            return True
        made = [a for a in self.known_attempts.values() if a.delivery_id == delivery.id]
        if not made:
            return False
        return status_codes[0] <= max(made).status_code <= status_codes[1]

    async def missing_messages(
        self, gap: MissedPeriod, after: str, limit: int
    ) -> tuple[list[Message], str | None]:
        """See `OutboundReads.missing_messages`."""
        page = Page(limit, after or None, ascending=True)
        looked_at = await self.messages(
            gap.app_id, MessageFilter(after=gap.since, before=gap.until), page
        )
        sent = {d.message_id for d in self._of_endpoint(gap.app_id, gap.endpoint_id)}
        unsent = [m for m in looked_at if m.id not in sent]
        return unsent, looked_at[-1].id if len(looked_at) == limit else None

    async def totals(
        self, app_id: str, endpoint_id: str | None, since: Micros, until: Micros
    ) -> Totals:
        """See `OutboundLists.totals`."""
        return _count(
            d
            for d in self.deliveries.values()
            if d.app_id == app_id
            and endpoint_id in (None, d.endpoint_id)
            and since // HOUR * HOUR <= made_at(d.id) // HOUR * HOUR < until
        )

    async def counts(self) -> Totals:
        """See `OutboundReads.counts`."""
        return _count(self.deliveries.values())


def _count(deliveries: Iterable[Delivery]) -> Totals:
    by_state = Counter(d.state for d in deliveries)
    return Totals(*(by_state[state] for state in DeliveryState))
