"""Messages, deliveries and finished attempts for tests of the outbound port."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tillbell.clock import SECOND, Micros
from tillbell.ids import IdMaker, attempt_id, delivery_id
from tillbell.model.messages import Attempt, Claim, Delivery, DeliveryState, Message, Result
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import FinishedAttempt, Publication, PublicationStored
from tillbell.testing import ManualClock

WAITING, SENDING, SUCCEEDED, FAILED, DISCARDED = DeliveryState
LEASE = 15 * SECOND
BODY = b'{"amount": 149.990}'


class OutboundHarness:
    """One application with two endpoints; another one to be kept apart from."""

    def __init__(self, store: Database, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.ids = IdMaker()
        self.app, self.other_app = self.new("app"), self.new("app")
        self.endpoint, self.second = self.new("ep"), self.new("ep")

    @property
    def now(self) -> Micros:
        return self.clock.now()

    def new(self, prefix: str) -> str:
        return self.ids.new(prefix, self.clock.now())

    def message(self, app: str | None = None, **fields: Any) -> Message:
        fields.setdefault("event_type", "order.paid")
        return Message(id=self.new("msg"), app_id=app or self.app, created_at=self.now, **fields)

    def waiting(self, message: Message, endpoint: str, **fields: Any) -> Delivery:
        return Delivery(
            id=delivery_id(message.id, endpoint),
            app_id=message.app_id,
            endpoint_id=endpoint,
            message_id=message.id,
            **{
                "variant": "",
                "state": WAITING,
                "due_at": self.now,
                "created_at": self.now,
                "order_key": message.order_key,
                **fields,
            },
        )

    def leased(self, message: Message, endpoint: str) -> Delivery:
        return self.waiting(
            message,
            endpoint,
            state=SENDING,
            due_at=self.now + LEASE,
            attempts=1,
            tries=1,
            token=1,
            started_at=self.now,
        )

    async def add(
        self, message: Message, deliveries: Iterable[Delivery] = (), **bodies: bytes
    ) -> Message:
        publication = Publication(message, {"": BODY, **bodies}, list(deliveries))
        assert await self.store.publish(publication) == PublicationStored()
        return message

    async def publish(self, *endpoints: str, **fields: Any) -> Message:
        """Store a message that waits for these endpoints (the first one, if none is named)."""
        message = self.message(**fields)
        return await self.add(
            message, [self.waiting(message, e) for e in endpoints or (self.endpoint,)]
        )

    async def hand_over(self, **fields: Any) -> Delivery:
        """Store a message whose delivery is born leased."""
        message = self.message(**fields)
        delivery = self.leased(message, self.endpoint)
        await self.add(message, [delivery])
        return delivery

    async def claim(self, limit: int = 10, endpoint: str | None = None) -> list[Claim]:
        wanted = {(self.app, endpoint or self.endpoint): limit}
        return await self.store.claim(wanted, self.now, self.now + LEASE)

    async def claimed(self) -> Delivery:
        (claim,) = await self.claim(1)
        return claim.delivery

    def result(
        self,
        delivery: Delivery,
        state: DeliveryState = SUCCEEDED,
        due_at: Micros = 0,
        **fields: Any,
    ) -> FinishedAttempt:
        """Make what a worker that holds this delivery would write."""
        attempt = Attempt(
            attempt_id(delivery.id, delivery.attempts),
            delivery.id,
            delivery.app_id,
            delivery.endpoint_id,
            delivery.message_id,
            **{
                "event_type": "order.paid",
                "number": delivery.attempts,
                "trigger": delivery.trigger,
                "result": Result.ACCEPTED if state is SUCCEEDED else Result.REFUSED,
                "started_at": delivery.started_at or self.now,
                "duration_us": 1_500,
                "url": "https://shop.example/hook",
                "status_code": 200 if state is SUCCEEDED else 500,
                "response": b"\xff answer",
                **fields,
            },
        )
        return FinishedAttempt(
            delivery.id, delivery.token, attempt, state, due_at, delivery.order_key
        )

    async def finish(self, message: Message, state: DeliveryState = SUCCEEDED) -> Delivery:
        """Bring a waiting delivery of the first endpoint to a terminal state."""
        for claim in await self.claim():
            if claim.message.id == message.id:
                assert await self.store.finish_attempt(self.result(claim.delivery, state))
        return await self.the_delivery(message)

    async def finish_message(self, state: DeliveryState) -> Message:
        """Store a message and bring its delivery to a terminal state."""
        message = await self.publish()
        await self.finish(message, state)
        return message

    async def deliveries(self, message: Message) -> list[Delivery]:
        return await self.store.deliveries_of_message(message.app_id, message.id)

    async def the_delivery(self, message: Message) -> Delivery:
        (found,) = await self.deliveries(message)
        return found

    async def reread(self, delivery: Delivery) -> Delivery:
        row = await self.store.delivery(delivery.app_id, delivery.id)
        assert row is not None
        return row.delivery

    async def attempts(self, delivery: Delivery) -> list[Attempt]:
        """Closed attempts of one delivery, oldest first."""
        found = []
        for number in range(1, delivery.attempts + 1):
            attempt = await self.store.attempt(delivery.app_id, attempt_id(delivery.id, number))
            found += [attempt] if attempt else []
        return found
