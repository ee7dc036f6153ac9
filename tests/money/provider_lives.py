"""Whole lives of payments at a real provider: signed requests, in any order, and more than once.

After each life the books are compared with what the provider's own balance says.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from math import factorial
from typing import Any, NamedTuple

from tests.money.payment_harness import PaymentHarness
from tests.scale import orders_played, seed
from tillbell.model.sources import Source
from tillbell.model.transactions import Direction, TransactionStatus
from tillbell.process.unmatched import BATCH_SIZE
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SimulationCase, SourceSetup

URL = "https://hooks.example/api/webhooks/x/token"
WAIT_S = 120  # in which a callback that waits is decided again at least once
AT_ONCE = 64  # payments whose events are sent at the same time


class Event(NamedTuple):
    """One request of the provider, and by how much its balance moves with it, in minor units."""

    fields: dict[str, Any]
    moves: int = 0


Life = Callable[[str], Sequence[Event]]  # of the payment with that uid


class ProviderAccount:
    """An account at a provider, and the source that hears of it."""

    def __init__(self, payments: PaymentHarness, source: Source, setup: SourceSetup) -> None:
        self.payments = payments
        self._source = source
        self._setup = setup
        self._sent = 0

    async def send(self, event: Event) -> None:
        """Let the provider send a request."""
        harness = self.payments.harness
        self._sent += 1
        case = SimulationCase(event.fields, id=f"tr_{self._sent}", at=harness.clock.now())
        signed = PROVIDERS[self._source.provider].sign(case, self._setup, URL)
        origin, _, path = URL.removeprefix("https://").partition("/")
        request = signed._replace(
            received_at=harness.clock.now(), origin=f"https://{origin}", target=f"/{path}"
        )
        compiled = harness.gateway.source_cache.compiled(self._source.id)
        assert compiled is not None
        await harness.gateway.receiver.receive(compiled, request)

    async def open_children(self, uid: str) -> list[str]:
        """Return what is linked to a payment and has not reached an end."""
        children = await self.payments.children(uid)
        return [c.kind.value for c in children if c.status is TransactionStatus.PENDING]


async def account_at(
    payments: PaymentHarness, provider: str, secret: str, **config: Any
) -> ProviderAccount:
    """Return an account at a provider."""
    source = await payments.source_at(provider, secret, **config)
    return ProviderAccount(payments, source, SourceSetup((secret,), config))


def orders(count: int) -> Iterator[Sequence[int]]:
    """Yield orders of so many events: as they happened, backwards, and others."""
    places = range(count)
    yield places
    yield places[::-1]
    chance = random.Random(seed())
    for _ in range(orders_played(factorial(count)) - 2):
        yield chance.sample(places, count)


async def assert_books_agree(
    account: ProviderAccount,
    life: Life,
    direction: Direction = Direction.PAY_IN,
    prefix: str = "",
) -> None:
    """Play a life in many orders, each event twice, and compare the books with the balance."""
    played: dict[str, list[Event]] = {}
    for number, order in enumerate(orders(len(life("")))):
        uid = f"{prefix}life-{number}"
        events = life(uid)
        played[uid] = [events[place] for place in order]
        await account.payments.create(uid, direction)
    lives = list(played.values())
    for start in range(0, len(lives), AT_ONCE):
        batch = lives[start : start + AT_ONCE]
        await asyncio.gather(*(_play(account, events) for events in batch))
    for _ in range(4):
        await account.payments.pass_time(WAIT_S)
        for _ in range(1 + len(lives) * len(life("")) // BATCH_SIZE):
            await account.payments.gateway.unmatched_callbacks.retry_due()
            await account.payments.idle()
    for uid, events in played.items():
        told = [event.fields for event in events]
        assert await account.payments.balance(uid) == sum(event.moves for event in events), told
        assert await account.open_children(uid) == [], told


async def _play(account: ProviderAccount, events: Sequence[Event]) -> None:
    for event in events:
        await account.send(event)
        await account.send(event)
    await account.payments.idle()
