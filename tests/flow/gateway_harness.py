"""A whole gateway in one process, with real parts: SQLite, loopback HTTP, a clock to turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, Self

import msgspec

from tests import stores
from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.clock import Clock, SystemClock, iso
from tillbell.config import load
from tillbell.deliver.attempt import JudgedAttempt
from tillbell.deliver.lane import Lane
from tillbell.deliver.publish import MessageDraft
from tillbell.ids import attempt_cursor
from tillbell.model.endpoints import Endpoint, SigningSecret
from tillbell.model.messages import Attempt, Claim, Delivery, Message
from tillbell.model.records import Application
from tillbell.runtime import Runtime
from tillbell.storage.ports.outbound import ALL, AttemptFilter, MessageFilter, Page
from tillbell.testing import ManualClock, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
START = 1_760_000_000_000_000


class GatewayHarness:
    """A gateway, a receiver, one application, and ways to wait that are not sleeping."""

    def __init__(self, folder: Path, clock: Clock | None = None, **settings: Any) -> None:
        self.folder = folder
        self.clock = clock or SystemClock()
        defaults = {"data_dir": folder, "dev": True, "disk_reserve_mb": 0}
        self._settings = {**defaults, **stores.settings_of(folder), **settings}
        self.receiver = Receiver(clock=self.clock) if clock is None else Receiver()
        self.ended: asyncio.Queue[Attempt] = asyncio.Queue()
        self.app = Application(id="app_1", name="shop", uid="shop")

    async def __aenter__(self) -> Self:
        await self.receiver.__aenter__()
        await self.start()
        await self.gateway.config_cache.add(self.app)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop(0)  # nobody looks at what is under way
        await self.receiver.__aexit__(None, None, None)

    async def start(self) -> None:
        """Start a gateway on the folder."""
        settings = load(self._settings, {}).settings
        self.gateway = Gateway.create(settings, self.clock)
        if not stores.IS_POSTGRES:
            stores.copy_tables(self.folder / stores.FILE)
        after = self.gateway.dispatcher.on_attempt_ended

        def ended(lane: Lane, claim: Claim, end: JudgedAttempt) -> None:
            after(lane, claim, end)
            self.ended.put_nowait(end.finished.attempt)

        self.gateway.dispatcher.on_attempt_ended = ended
        self.runtime = Runtime(self.gateway)
        await self.runtime.start()

    async def stop(self, timeout_s: float = 5) -> None:
        """Stop it in order."""
        await self.runtime.drain(timeout_s)
        await self.runtime.stop()

    async def endpoint(self, path: str = "/ok", uid: str | None = None, **fields: Any) -> Endpoint:
        """Make an endpoint of the application at a path of the receiver."""
        now = self.clock.now()
        id_ = self.gateway.ids.new("ep", now)
        secret = fields.pop("secret", SECRET)
        secrets = (SigningSecret(sealed=self.gateway.vault.seal(secret, id_)),) if secret else ()
        fields = {"url": self.receiver.url(path), "secrets": secrets, **fields}
        made = Endpoint(
            id=id_, scope=self.app.id, uid=uid, created_at=now, updated_at=now, **fields
        )
        await self.gateway.config_cache.add(made)
        return made

    async def change(self, endpoint: Endpoint, **fields: Any) -> Endpoint:
        """Change an endpoint as its owner would."""
        changed = await self.gateway.config_cache.change(
            Endpoint,
            endpoint.scope,
            endpoint.id,
            lambda present: msgspec.structs.replace(present, **fields),
        )
        return changed.record

    async def publish(
        self, payload: bytes = b'{"a":1}', event_type: str = "order.paid", **more: Any
    ) -> Message:
        """Publish a message of the application."""
        return await self.gateway.publisher.publish(
            self.app, MessageDraft(event_type, payload, **more)
        )

    async def next_ended(self, count: int = 1) -> list[Attempt]:
        """Wait for that many attempts to end and be recorded."""
        found = [await asyncio.wait_for(self.ended.get(), PATIENCE_S) for _ in range(count)]
        await self.gateway.leases.flush()
        await self.gateway.health_monitor.wait_idle()
        return found

    @property
    def manual_clock(self) -> ManualClock:
        """The clock, if the test sets it."""
        assert isinstance(self.clock, ManualClock)
        return self.clock

    async def pass_time(self, seconds: float) -> None:
        """Turn the clock and let what became due begin."""
        self.manual_clock.advance(seconds)
        if self.gateway.cluster.is_shared:  # it did not die in that moment
            await self.gateway.cluster.heartbeat()
        await self.settle()

    async def settle(self) -> None:
        """Let the loop run until nothing is claimed, in flight or on its way to the store."""
        for _ in range(20):
            await asyncio.sleep(0)
        while not self.gateway.claimer.is_idle:
            await asyncio.sleep(0)
        await self.gateway.leases.flush()
        await self.gateway.health_monitor.wait_idle()
        await self.gateway.endpoint_discarder.wait_idle()

    async def settle_attempts(self) -> None:
        """Wait until attempts under way have ended and what they led to has begun."""
        for _ in range(3):
            while self.gateway.dispatcher.in_flight:
                await asyncio.wait_for(self.ended.get(), PATIENCE_S)
                await self.gateway.leases.flush()
            await self.settle()
        while not self.ended.empty():
            self.ended.get_nowait()

    async def operational(self, path: str) -> Endpoint:
        """Subscribe a path of the receiver to operational webhooks."""
        endpoint = await self.endpoint(path)
        moved = msgspec.structs.replace(endpoint, id=endpoint.id + "op", scope="operational")
        sealed = self.gateway.vault.seal(SECRET, moved.id)
        moved = msgspec.structs.replace(moved, secrets=(SigningSecret(sealed=sealed),))
        await self.gateway.config_cache.remove(Endpoint, endpoint.id, endpoint.scope)
        await self.gateway.config_cache.add(moved)
        return moved

    async def deliveries(self, message: Message) -> list[Delivery]:
        """Return a message's deliveries."""
        return await self.gateway.database.deliveries_of_message(self.app.id, message.id)

    async def attempts(self, **filters: Any) -> list[Attempt]:
        """Return recorded attempts, oldest first."""
        return await self.gateway.database.attempts(
            self.app.id, AttemptFilter(**filters), Page(limit=5000, ascending=True)
        )

    async def attempts_of(self, endpoint: Endpoint) -> list[Attempt]:
        """Return every attempt recorded for an endpoint, page by page."""
        found: list[Attempt] = []
        while True:
            last = attempt_cursor(found[-1].id, found[-1].started_at) if found else None
            page = Page(500, last, ascending=True)
            filter_ = AttemptFilter(endpoint_id=endpoint.id)
            batch = await self.gateway.database.attempts(self.app.id, filter_, page)
            found += batch
            if len(batch) < 500:
                return found

    async def messages(self) -> list[Message]:
        """Return all messages."""
        return await self.gateway.database.messages(self.app.id, MessageFilter(), ALL)

    async def accounts(self) -> Counter[str]:
        """Count deliveries by state."""
        totals = await self.gateway.database.counts()
        return Counter({k: v for k, v in totals._asdict().items() if v})

    def when(self) -> str:
        """Say what time it is."""
        return iso(self.clock.now())
