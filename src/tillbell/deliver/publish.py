"""Publish: store a message with its deliveries, then start them.

One commit holds the message, its bytes, its dedupe key and its deliveries. Only after the commit
is the caller answered (a 202 is a promise) and is anything sent. Deliveries that can start at once
are stored as leased by this process and go straight to their lanes; the others are claimed when
their lane has room.

After a crash before the commit the caller has no 202 and asks again. After a crash that follows
the commit the leases end, and attempts that were never sent are recorded as `interrupted`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from tillbell.clock import Clock, Micros
from tillbell.counters import Meters
from tillbell.deliver.application_views import ApplicationView
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.deliver.fanout import (
    Route,
    carrying,
    leased_delivery,
    waiting_delivery,
)
from tillbell.deliver.lanes import Lanes
from tillbell.deliver.leases import LEASE
from tillbell.deliver.schemas import Schemas
from tillbell.errors import ConflictError, NotFound, Unavailable
from tillbell.ids import IdMaker
from tillbell.model.construct import by_keyword
from tillbell.model.messages import Claim, Delivery, DeliveryState, Message
from tillbell.model.records import Application
from tillbell.storage.ports.outbound import (
    DuplicateEventId,
    IdempotencyUse,
    OutboundStore,
    Publication,
    PublicationStored,
)

_message = by_keyword(Message)
_publication = by_keyword(Publication)
_claim = by_keyword(Claim)


class MessageDraft(NamedTuple):
    """A message as its publisher wrote it. `payload` is stored and sent byte for byte."""

    event_type: str
    payload: bytes
    event_id: str | None = None
    channels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    deliver_at: Micros | None = None
    order_key: str | None = None
    expires_at: Micros | None = None
    content_type: str | None = None  # of a payload that is any text; None: it is a JSON object


# Takes a message and its number of deliveries. Returns the use of the request's idempotency key,
# with the answer for a repeat.
MakeIdempotencyUse = Callable[[Message, int], IdempotencyUse]


class PublishReceipt(NamedTuple):
    """The message that was stored, and how many deliveries it has."""

    message: Message
    deliveries: int


class Publisher:
    """Publishes messages, alone or in the commit of something else.

    While `refusal` is set, nothing is accepted and callers get that error.
    """

    def __init__(
        self,
        *,
        store: OutboundStore,
        config_cache: ConfigCache,
        lanes: Lanes,
        dispatcher: Dispatcher,
        clock: Clock,
        ids: IdMaker,
        meters: Meters,
    ) -> None:
        self._store = store
        self._config_cache = config_cache
        self._lanes = lanes
        self._dispatcher = dispatcher
        self._schemas = Schemas(config_cache)
        self._clock = clock
        self._ids = ids
        self._meters = meters
        self.refusal: Unavailable | None = None

    async def publish(self, app: Application, draft: MessageDraft) -> Message:
        """Store a message and start its deliveries; return it.

        `NotFound` if there is no such application, `ConflictError` if the event id was used.
        """
        view = await self._config_cache.view(app.id)
        if view is None:
            raise NotFound
        receipt = await self.publish_for(view, draft)
        assert isinstance(receipt, PublishReceipt)  # no idempotency key was given
        return receipt.message

    async def publish_for(
        self,
        view: ApplicationView,
        draft: MessageDraft,
        make_use: MakeIdempotencyUse | None = None,
    ) -> PublishReceipt | IdempotencyUse:
        """Publish for a known application; return the earlier use if the key was used."""
        if self.refusal is not None:
            raise self.refusal
        if view.application.check_schemas:
            await self._schemas.check(draft.event_type, draft.payload)
        submission = self.submit(view, draft, make_use)
        try:
            await submission.write
        except BaseException:
            submission.abandon()
            raise
        return submission.conclude()

    def submit(
        self,
        view: ApplicationView,
        draft: MessageDraft,
        make_use: MakeIdempotencyUse | None = None,
    ) -> Submission:
        """Hand a message to the store; its payload is checked against no schema.

        When `write` of what is returned has ended, the caller calls `conclude`.
        """
        if self.refusal is not None:
            raise self.refusal
        messages = self.prepared(view, (draft,))
        publication = messages.publications[0]
        try:
            if make_use is not None:
                use = make_use(publication.message, len(publication.deliveries))
                publication = publication._replace(idempotency=use)
            write = self._store.publish(publication)
        except BaseException:
            messages.release()
            raise
        return Submission(messages, write, self._meters)

    def prepared(self, view: ApplicationView, drafts: Sequence[MessageDraft]) -> PreparedMessages:
        """Prepare messages for the commit that is made inside the `with` block."""
        messages = PreparedMessages(self._dispatcher, self._lanes, self._meters)
        try:
            for draft in drafts:
                messages.publications.append(self._prepare(view, draft))
        except BaseException:
            messages.release()
            raise
        return messages

    def _prepare(self, view: ApplicationView, draft: MessageDraft) -> Publication:
        now = self._clock.now()
        message = self._message(view.application.id, draft, now)
        routes = view.routes(draft.event_type, draft.channels)
        router = view.payload_router
        if view.reads_payloads:
            routes = router.passing(routes, draft.payload)
        if message.content_type is not None:
            routes = carrying(routes, message, draft.payload)
        bodies = router.render(routes, message, draft.payload)
        # The deliveries come last, because they reserve places: nothing may fail after them.
        deliveries = [self._delivery(route, message, now) for route in routes]
        return _publication(message=message, bodies=bodies, deliveries=deliveries)

    def _message(self, app_id: str, draft: MessageDraft, now: Micros) -> Message:
        return _message(
            id=self._ids.new_message(now),
            app_id=app_id,
            event_type=draft.event_type,
            created_at=now,
            event_id=draft.event_id,
            channels=draft.channels,
            tags=draft.tags,
            deliver_at=draft.deliver_at,
            order_key=draft.order_key,
            expires_at=draft.expires_at,
            content_type=draft.content_type,
        )

    def _delivery(self, route: Route, message: Message, now: Micros) -> Delivery:
        if message.deliver_at is not None:
            return waiting_delivery(route, message, now, due_at=message.deliver_at)
        if self._dispatcher.reserve(route.compiled, now):
            return leased_delivery(route, message, now, lease_until=now + LEASE)
        return waiting_delivery(route, message, now, due_at=now)


class PreparedMessages:
    """Messages for one commit, with places reserved in lanes. A context manager.

    The messages already have their ids, and ids must be in the order of commits: the `with` block
    hands `publications` to the store at once. When they are stored it calls `start_deliveries`.
    If the block ends without that call, the places are free again.
    """

    __slots__ = ("_dispatcher", "_is_started", "_lanes", "_meters", "publications")

    def __init__(self, dispatcher: Dispatcher, lanes: Lanes, meters: Meters) -> None:
        self.publications: list[Publication] = []
        self._dispatcher = dispatcher
        self._lanes = lanes
        self._meters = meters
        self._is_started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_started:
            self.release()

    def release(self) -> None:
        """Free the reserved places: the messages are not stored."""
        for publication in self.publications:
            for delivery in publication.deliveries:
                if delivery.state is DeliveryState.SENDING:
                    self._dispatcher.unreserve(delivery.endpoint_id)

    def start_deliveries(self) -> None:
        """Send what has a place in a lane; announce the rest to the claimer."""
        self._is_started = True
        for message, bodies, deliveries, _ in self.publications:
            self._meters.accepted(len(deliveries))
            for delivery in deliveries:
                if delivery.state is DeliveryState.SENDING:
                    body = bodies[delivery.variant]
                    claim = _claim(delivery=delivery, message=message, body=body)
                    self._dispatcher.hand_over(claim)
                else:
                    due_at = delivery.due_at
                    self._lanes.note_due(delivery.app_id, delivery.endpoint_id, due_at)


class Submission:
    """A message on its way into the store."""

    __slots__ = ("_messages", "_meters", "write")

    def __init__(
        self,
        messages: PreparedMessages,
        write: asyncio.Future[PublicationStored | DuplicateEventId | IdempotencyUse],
        meters: Meters,
    ) -> None:
        self.write = write
        self._messages = messages
        self._meters = meters

    def abandon(self) -> None:
        """Free the places of a message that nobody waits for any more."""
        self._messages.release()

    def conclude(self) -> PublishReceipt | IdempotencyUse:
        """Start the deliveries of a message that is stored; else free their places.

        Return the earlier use if the idempotency key was used. `ConflictError` if the event id was
        used; the error of the store if it failed.
        """
        with self._messages as messages:
            outcome = self.write.result()
            message = messages.publications[0].message
            if isinstance(outcome, DuplicateEventId):
                self._meters.duplicate()
                raise ConflictError(
                    f"Event id {message.event_id!r} was already published as {outcome.message_id}."
                )
            if isinstance(outcome, IdempotencyUse):
                self._meters.duplicate()
                return outcome
            messages.start_deliveries()
        return PublishReceipt(message, len(messages.publications[0].deliveries))
