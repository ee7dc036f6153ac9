"""What the model keeps of messages, and how it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from tillbell.clock import HOUR, Micros
from tillbell.ids import first_of, made_at
from tillbell.model.messages import Attempt, Delivery, DeliveryState, Message
from tillbell.storage.ports.outbound import (
    ANY_STATE,
    AttemptFilter,
    DeliveryRow,
    DueLane,
    EndedAttempt,
    IdempotencyUse,
    LaneKey,
    MessageContent,
    MessageFilter,
    MissedPeriod,
    Page,
    Publication,
    StateFilter,
    Totals,
)


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)
OPEN_STATES = (DeliveryState.WAITING, DeliveryState.SENDING)


def in_order(rows: Iterable[T], page: Page) -> list[T]:
    """Sort by id. The simulations read whole lists, ascending."""
    in_order = sorted(rows, key=lambda row: row.id)
    assert page == Page(page.limit, ascending=True)
    assert len(in_order) <= page.limit
    return in_order


class ModelMessages:
    """Messages, deliveries, attempts and idempotency keys."""

    def __init__(self) -> None:
        super().__init__()
        self.known_messages: dict[str, Message] = {}
        self.bodies: dict[tuple[str, str], bytes] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.known_attempts: dict[str, Attempt] = {}
        self.uses: dict[str, tuple[IdempotencyUse, Micros]] = {}

    def published_as(self, message: Message) -> Message | None:
        """Return the message that has its event id already."""
        event = message.app_id, message.event_id
        known = (m for m in self.known_messages.values() if (m.app_id, m.event_id) == event)
        return next(known, None) if message.event_id is not None else None

    def keep(self, publication: Publication) -> None:
        """Store a message that is known to be new."""
        message = publication.message
        self.known_messages[message.id] = message
        self.bodies |= {(message.id, variant): b for variant, b in publication.bodies.items()}
        self.deliveries |= {d.id: d for d in publication.deliveries}
        if publication.idempotency is not None:
            self.uses[publication.idempotency.key] = publication.idempotency, message.created_at

    # ── reads: without filters, except by owner, and without pages ───────────────────────────────

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

    async def due_lanes(self) -> list[DueLane]:
        """See `OutboundReads.due_lanes`."""
        lanes: dict[str, DueLane] = {}
        for d in self.deliveries.values():
            if d.state in OPEN_STATES:
                lane = lanes.get(d.endpoint_id) or DueLane(d.app_id, d.endpoint_id, 2**63)
                due_at = d.due_at if self.may_go(d) else lane.due_at
                lanes[d.endpoint_id] = lane._replace(due_at=min(lane.due_at, due_at))
        return [lanes[endpoint_id] for endpoint_id in sorted(lanes)]

    async def next_due(self, lanes: Sequence[LaneKey]) -> dict[str, Micros]:
        """See `OutboundReads.next_due`."""
        due = await self.due_lanes()
        return {d.endpoint_id: d.due_at for d in due if (d.app_id, d.endpoint_id) in lanes}

    async def body(self, app_id: str, message_id: str, variant: str) -> bytes | None:
        """See `OutboundReads.body`."""
        message = self.known_messages.get(message_id)
        is_theirs = message is not None and message.app_id == app_id
        return self.bodies.get((message_id, variant)) if is_theirs else None

    async def messages(self, app_id: str, filter_: MessageFilter, page: Page) -> list[Message]:
        """See `OutboundLists.messages`."""
        assert filter_ == MessageFilter()
        of_app = [m for m in self.known_messages.values() if m.app_id == app_id]
        return in_order(of_app, page)

    async def deliveries_of_message(self, app_id: str, message_id: str) -> list[Delivery]:
        """See `OutboundReads.deliveries_of_message`."""
        deliveries = self.deliveries.values()
        return sorted(d for d in deliveries if (d.app_id, d.message_id) == (app_id, message_id))

    async def message_contents(self, messages: Sequence[Message]) -> dict[str, MessageContent]:
        """See `OutboundReads.message_contents`."""
        return {
            m.id: MessageContent(
                await self.deliveries_of_message(m.app_id, m.id),
                await self.body(m.app_id, m.id, ""),
            )
            for m in messages
        }

    async def ended_attempts(
        self, app_id: str | None, after: Micros, limit: int
    ) -> list[EndedAttempt]:
        """See `OutboundReads.ended_attempts`."""
        ended = sorted(
            (
                a._replace(response=b"", sent_headers="", answer_head=b"")
                for a in self.known_attempts.values()
                if a.ended_at > after and app_id in (None, a.app_id)
            ),
            key=lambda a: a.ended_at,
        )
        return [EndedAttempt(a, self.deliveries[a.delivery_id]) for a in ended[:limit]]

    def _of_endpoint(self, app_id: str, endpoint_id: str) -> list[Delivery]:
        deliveries = self.deliveries.values()
        return [d for d in deliveries if (d.app_id, d.endpoint_id) == (app_id, endpoint_id)]

    async def deliveries_of_endpoint(
        self, app_id: str, endpoint_id: str, filter_: MessageFilter, states: StateFilter, page: Page
    ) -> list[DeliveryRow]:
        """See `OutboundLists.deliveries_of_endpoint`."""
        assert (filter_, states) == (MessageFilter(), ANY_STATE)
        deliveries = in_order(self._of_endpoint(app_id, endpoint_id), page)
        return [DeliveryRow(d, self.known_messages[d.message_id]) for d in deliveries]

    async def attempts(self, app_id: str, filter_: AttemptFilter, page: Page) -> list[Attempt]:
        """See `OutboundLists.attempts`."""
        assert filter_._replace(message_id=None, endpoint_id=None) == AttemptFilter()
        of_owner = [
            a
            for a in self.known_attempts.values()
            if a.app_id == app_id
            and filter_.message_id in (None, a.message_id)
            and filter_.endpoint_id in (None, a.endpoint_id)
        ]
        assert page == Page(page.limit, ascending=True)
        return sorted(of_owner, key=lambda attempt: (attempt.started_at, attempt.id))

    async def missing_messages(
        self, period: MissedPeriod, after: str, limit: int
    ) -> tuple[list[Message], str | None]:
        """See `OutboundReads.missing_messages`."""
        low = max(first_of("msg", period.since), after)
        high = first_of("msg", period.until)
        of_app = [m for m in self.known_messages.values() if m.app_id == period.app_id]
        read = sorted(m for m in of_app if low < m.id < high)[:limit]
        sent = {d.message_id for d in self._of_endpoint(period.app_id, period.endpoint_id)}
        unsent = [m for m in read if m.id not in sent]
        return unsent, read[-1].id if len(read) == limit else None

    async def totals(
        self, app_id: str, endpoint_id: str | None, since: Micros, until: Micros
    ) -> Totals:
        """See `OutboundLists.totals`."""
        unit = HOUR if endpoint_id is None else 1_000
        return _count(
            d
            for d in self.deliveries.values()
            if d.app_id == app_id
            and endpoint_id in (None, d.endpoint_id)
            and since // unit * unit <= made_at(d.id) // unit * unit < until // 1_000 * 1_000
        )

    async def counts(self) -> Totals:
        """See `OutboundReads.counts`."""
        return _count(self.deliveries.values())


def _count(deliveries: Iterable[Delivery]) -> Totals:
    by_state = Counter(d.state for d in deliveries)
    return Totals(*(by_state[state] for state in DeliveryState))
