"""Several gateways on one PostgreSQL schema, in one process, with one receiver."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.clock import Clock, SteeredClock
from tillbell.config import load
from tillbell.deliver.publish import MessageDraft
from tillbell.errors import ConflictError, StoreUnavailable
from tillbell.model.endpoints import Endpoint, SigningSecret
from tillbell.model.messages import Message
from tillbell.model.records import Application
from tillbell.runtime import Runtime
from tillbell.storage.ports.outbound import Page
from tillbell.testing import Receiver
from tillbell.vault import Secret

APP = Application(id="app_1", name="shop", uid="shop")
T = TypeVar("T")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = "9f3c5b1e7a2d48f6b0c1d2e3f4a5968778695a4b3c2d1e0f1a2b3c4d5e6f7081"


class LocalFleet:
    """Gateways by number; each may come, go or die."""

    def __init__(self, url: str, folder: Path, **settings: Any) -> None:
        self.url = url
        self._settings = settings
        self._folder = folder
        self.gateways: list[Gateway] = []
        self._runtimes: dict[str, Runtime] = {}  # by member id
        self.receiver = Receiver()

    async def __aenter__(self) -> Self:
        await self.receiver.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(self.stop(gateway) for gateway in list(self.gateways)))
        await self.receiver.__aexit__(None, None, None)

    async def start(self, role: str = "all", machine: Clock | None = None) -> Gateway:
        """Start one more, on a machine with that clock."""
        folder = self._folder / f"{len(self.gateways)}{role}"
        folder.mkdir(exist_ok=True)
        settings = load(
            {
                "data_dir": folder,
                "dev": True,
                "disk_reserve_mb": 0,
                "database_url": self.url,
                "role": role,
                "master_key": Secret(KEY),
                **self._settings,
            },
            {},
        ).settings
        clock = SteeredClock(machine) if machine is not None else None
        gateway = Gateway.create(settings, clock)
        runtime = Runtime(gateway)
        await runtime.start()
        self.gateways.append(gateway)
        self._runtimes[gateway.cluster.id] = runtime
        if len(self.gateways) == 1:
            await gateway.config_cache.add(APP)
        return gateway

    async def stop(self, gateway: Gateway) -> None:
        """Stop one in order."""
        self.gateways.remove(gateway)
        runtime = self._runtimes.pop(gateway.cluster.id)
        await runtime.drain(5)
        await runtime.stop()

    async def endpoint(self, by: Gateway, path: str, **fields: Any) -> Endpoint:
        """Make an endpoint through one of them."""
        now = by.clock.now()
        id_ = by.ids.new("ep", now)
        secrets = (SigningSecret(sealed=by.vault.seal(SECRET, id_)),)
        given = {"url": self.receiver.url(path), "secrets": secrets, **fields}
        made = Endpoint(id=id_, scope=APP.id, created_at=now, updated_at=now, **given)
        await by.config_cache.add(made)
        return made

    async def publish(self, by: Gateway, payload: bytes = b'{"a":1}') -> Message:
        """Publish a message through one of them."""
        return await by.publisher.publish(APP, MessageDraft("order.paid", payload))

    async def knows(self, gateway: Gateway, endpoint_id: str) -> Endpoint:
        """Wait until a gateway knows an endpoint that another one made."""
        known = await eventually(lambda: gateway.config_cache.endpoint(APP.id, endpoint_id))
        assert known is not None
        return known

    def owner(self, endpoint_id: str) -> Gateway:
        """Return who makes an endpoint's deliveries; all must agree."""
        owners = [gateway for gateway in self.gateways if gateway.cluster.owns(endpoint_id)]
        assert len(owners) == 1, owners
        return owners[0]

    async def agreed(self, count: int) -> None:
        """Wait until everybody knows of that many that send."""
        for gateway in self.gateways:
            await eventually(partial(self._has_workers, gateway, count))

    async def _has_workers(self, gateway: Gateway, count: int) -> bool:
        return len(gateway.cluster.workers) == count

    async def attempts_of(self, message: Message) -> int:
        """Count the attempts of a message's deliveries."""
        found = await self.gateways[0].database.deliveries_of_message(APP.id, message.id)
        return sum(one.attempts for one in found)

    async def messages(self) -> int:
        """Count messages."""
        from tillbell.storage.ports.outbound import MessageFilter

        page = Page(limit=100_000)
        return len(await self.gateways[0].database.messages(APP.id, MessageFilter(), page))


async def publish_surely(by: Gateway, draft: MessageDraft) -> None:
    """Publish as a producer does who repeats what was not confirmed: a full machine is slow."""
    assert draft.event_id is not None, "or a repeat would be another message"
    while True:
        with contextlib.suppress(StoreUnavailable):
            with contextlib.suppress(ConflictError):  # it was stored, and its confirmation lost
                await by.publisher.publish(APP, draft)
            return


async def eventually(look: Callable[[], Awaitable[T]]) -> T:
    """Look until there is something, which other processes decide when."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await look()):
            await asyncio.sleep(0.01)
        return found
