"""Publish: make a message safe, then let it go.

One commit holds the message, its bytes, its dedupe key and its deliveries. Only after it
has returned do we answer (a 202 is a promise) and does anything leave. Deliveries that can
start now are stored as leased by us and go straight to their lanes; the rest are claimed
when their lane has room.

A crash before the commit: the caller got no 202 and asks again. A crash after it: the lease
runs out and the attempt that never left shows as `interrupted`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tillbell.clock import Clock, Micros
from tillbell.counters import Meters
from tillbell.deliver.config_cache import ApplicationView, ConfigCache
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.deliver.fanout import Route, leased_delivery, render, waiting_delivery
from tillbell.deliver.schemas import Schemas
from tillbell.errors import ConflictError, NotFound, Unavailable
from tillbell.ids import IdMaker
from tillbell.model.messages import Claim, Delivery, DeliveryState, Message
from tillbell.model.records import Application
from tillbell.storage.ports.outbound import (
    DuplicateEventId,
    OutboundStore,
    Publication,
    RepeatedRequest,
)


class MessageDraft(NamedTuple):
    """A message as its publisher wrote it. `payload` is kept byte for byte."""

    event_type: str
    payload: bytes
    event_id: str | None = None
    channels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    deliver_at: Micros | None = None
    order_key: str | None = None
    expires_at: Micros | None = None


class Idempotency(NamedTuple):
    """An idempotency key, what it was used for, and how to write the answer it will repeat."""

    key: str
    fingerprint: str
    answer: Callable[[Message, int], bytes]


class PublishReceipt(NamedTuple):
    """What was stored, and how many deliveries it made."""

    message: Message
    deliveries: int


class Publisher:
    """See the module."""

    def __init__(
        self,
        *,
        store: OutboundStore,
        directory: ConfigCache,
        dispatcher: Dispatcher,
        schemas: Schemas,
        clock: Clock,
        ids: IdMaker,
        meters: Meters,
    ) -> None:
        self._store = store
        self._config_cache = directory
        self._dispatcher = dispatcher
        self._schemas = schemas
        self._clock = clock
        self._ids = ids
        self._meters = meters
        self.refusal: Unavailable | None = None  # set while nothing may be accepted

    async def publish(self, app: Application, draft: MessageDraft) -> Message:
        """Store a message and start its deliveries. `Conflict` on a repeated event id."""
        view = await self._config_cache.view(app.id)
        if view is None:
            raise NotFound
        published = await self.publish_for(view, draft)
        assert isinstance(published, PublishReceipt)
        return published.message

    async def publish_for(
        self, view: ApplicationView, draft: MessageDraft, idempotency: Idempotency | None = None
    ) -> PublishReceipt | RepeatedRequest:
        """Publish for an application at hand; `RepeatedRequest` if the key was used before."""
        if self.refusal is not None:
            raise self.refusal
        if view.application.check_schemas:
            self._schemas.check(draft.event_type, draft.payload)
        publication = self.prepare(view, draft, idempotency)
        stored = False
        try:
            added = await self._store.publish(publication)
            stored = not isinstance(added, DuplicateEventId | RepeatedRequest)
        finally:
            if not stored:
                self.release_reservations(publication)
        if isinstance(added, DuplicateEventId):
            self._meters.duplicate()
            raise ConflictError(f"Event id {draft.event_id!r} was published as {added.message_id}.")
        if isinstance(added, RepeatedRequest):
            self._meters.duplicate()
            return added
        self.start_deliveries(publication)
        return PublishReceipt(publication.message, len(publication.deliveries))

    # ── for those who commit a message together with something else ──────────────────────────────

    def prepare(
        self, view: ApplicationView, draft: MessageDraft, idempotency: Idempotency | None = None
    ) -> Publication:
        """Make a message with its bodies and deliveries, to be committed.

        It has places in lanes: whoever prepares it must `let_go` of it once it is stored, or
        `give_back` what it was promised.
        """
        now = self._clock.now()
        message = self._message(view.application.id, draft, now)
        found = view.routes(draft.event_type, draft.channels)
        bodies = render(found, message, draft.payload)
        deliveries = [self._delivery(route, message, now) for route in found]
        remembered = _idempotency_row(idempotency, message, len(deliveries))
        return Publication(message, bodies, deliveries, remembered)

    def release_reservations(self, publication: Publication) -> None:
        """Free the places in lanes: it was not stored."""
        for delivery in publication.deliveries:
            if delivery.state is DeliveryState.SENDING:
                self._dispatcher.unreserve(delivery.endpoint_id)

    def start_deliveries(self, publication: Publication) -> None:
        """Start its deliveries: it is stored."""
        message, bodies, deliveries, _ = publication
        self._meters.accepted(len(deliveries))
        for delivery in deliveries:
            if delivery.state is DeliveryState.SENDING:
                self._dispatcher.hand_over(Claim(delivery, message, bodies[delivery.variant]))
            else:
                self._dispatcher.note_due(delivery.app_id, delivery.endpoint_id, delivery.due_at)

    def _message(self, app_id: str, draft: MessageDraft, now: Micros) -> Message:
        return Message(
            self._ids.new_message(now),
            app_id,
            draft.event_type,
            now,
            draft.event_id,
            draft.channels,
            draft.tags,
            draft.deliver_at,
            draft.order_key,
            draft.expires_at,
        )

    def _delivery(self, route: Route, message: Message, now: Micros) -> Delivery:
        if message.deliver_at is not None:
            return waiting_delivery(route, message, message.deliver_at)._replace(created_at=now)
        if self._dispatcher.reserve(route.compiled):
            return leased_delivery(route, message, now, self._dispatcher.lease_until(now))
        return waiting_delivery(route, message, now)


def _idempotency_row(
    idempotency: Idempotency | None, message: Message, deliveries: int
) -> tuple[str, str, bytes] | None:
    if idempotency is None:
        return None
    answer = idempotency.answer(message, deliveries)
    return idempotency.key, idempotency.fingerprint, answer
