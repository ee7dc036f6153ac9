"""Whole lives of payments at real providers: signed requests, in every order, and the books after.

A life is a list of events and what the provider's own balance says when all of them are told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import factorial
from typing import Any, NamedTuple

from tests.money.payment_harness import PaymentHarness
from tests.providers.pinned import pinned
from tests.scale import IS_WHOLE, orders_played, seed
from tillbell.model.sources import Source
from tillbell.model.transactions import TERMINAL
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SimulationCase, SourceSetup
from tillbell.receive.reading_pool import PLACES_OF_ADDRESS

SECRET = "secret-of-the-merchant-01"
SECRETS = {  # where it has another form; "": none
    "worldpay-access": "00112233445566778899aabbccddeeff",
    "worldpay": "",
    "brite": "",
    "kopa": "",
}
URL = "https://hooks.example/api/webhooks/x/token"


class Event(NamedTuple):
    """What a provider sends: the fields of its body, and headers; or a body that nobody signs."""

    fields: Mapping[str, Any]
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Life(NamedTuple):
    """The events of one payment, and what follows from all of them.

    `events` makes them for a number, which is in every id. `balance` is what is left at the
    provider, in minor units. `children` are the statuses of what is linked to the payment; None:
    they differ from order to order.
    """

    name: str
    events: Callable[[int], Sequence[Event]]
    balance: int
    status: str = "Approved"
    children: tuple[str, ...] | None = ()
    amount: int = 10_000
    config: Mapping[str, Any] = {}
    first: int = 0  # how many events keep their place at the beginning


class Account:
    """A source of a real provider in a gateway."""

    def __init__(self, payments: PaymentHarness, source: Source) -> None:
        self.payments = payments
        self.source = source
        self.provider = PROVIDERS[source.provider]
        self.setup = SourceSetup(
            (secret_of(source.provider),), {**pinned(source.provider), **source.config}
        )

    async def send(self, event: Event) -> None:
        """Let the provider send an event; wait until all that follows has happened."""
        await self.begin(event)
        await self.payments.idle()

    async def send_all(self, events: Sequence[Event]) -> None:
        """Let the provider send events at once, as many as a source takes from one address."""
        for start in range(0, len(events), PLACES_OF_ADDRESS):
            batch = events[start : start + PLACES_OF_ADDRESS]
            await asyncio.gather(*(self.begin(event) for event in batch))
            await self.payments.idle()

    async def begin(self, event: Event) -> None:
        """Let the provider send an event."""
        now = self.payments.harness.clock.now()
        own_id = str(event.fields.get("id") or SimulationCase(event.fields).id)
        case = SimulationCase(event.fields, headers=event.headers, id=own_id, at=now)
        incoming = self.provider.sign(case, self.setup, URL)._replace(received_at=now)
        if event.body:
            incoming = incoming._replace(body=event.body)
        compiled = self.payments.gateway.source_cache.compiled(self.source.id)
        assert compiled is not None
        answer = await self.payments.gateway.receiver.receive(compiled, incoming)
        assert answer.status in (200, 204), event


async def account(payments: PaymentHarness, provider: str, **config: Any) -> Account:
    """Make a source of a real provider."""
    secrets = [secret] if (secret := secret_of(provider)) else []
    source = await payments.source_at(provider, *secrets, **{**pinned(provider), **config})
    return Account(payments, source)


def secret_of(provider: str) -> str:
    """Return the secret of a source of that provider."""
    return SECRETS.get(provider, SECRET)


def orders_of(life: Life, most: int = 6) -> Iterator[tuple[int, ...]]:
    """Yield orders of a life's events: as they happened, backwards, and others.

    At most so many, or all that a soak plays.
    """
    count = len(life.events(0))
    firsts, rest = tuple(range(life.first)), range(life.first, count)
    yield (*firsts, *rest)
    yield (*firsts, *reversed(rest))
    chance = random.Random(seed())
    count_played = orders_played(factorial(len(rest)))
    for _ in range((count_played if IS_WHOLE else min(count_played, most)) - 2):
        yield (*firsts, *chance.sample(rest, len(rest)))


class PlayedLife(NamedTuple):
    """A payment, the order in which its events are sent, and the events as they happened."""

    payment_id: str
    order: tuple[int, ...]
    events: Sequence[Event]


async def play(payments: PaymentHarness, provider: str, life: Life, most: int = 6) -> None:
    """Play a life in several orders, each event twice, and compare the books with its end.

    Each order has a payment of its own. Those payments live at the same time. The events of one
    more payment come at the same moment.
    """
    at = await account(payments, provider, **life.config)
    played = [
        PlayedLife(
            (await payments.create(f"{number}", amount=life.amount)).id, order, life.events(number)
        )
        for number, order in enumerate(orders_of(life, most), start=1_000)
    ]
    for place in range(len(life.events(0))):
        for _ in range(2):
            await at.send_all([one.events[one.order[place]] for one in played])
    played.append(await _play_at_once(at, life))
    await at.send_all([event for one in played for event in one.events])  # all again
    for one in played:
        children = await payments.children(one.payment_id)
        seen = (
            await payments.balance(one.payment_id),
            str(await payments.status(one.payment_id)),
            None if life.children is None else sorted(str(child.status) for child in children),
            [conflict.why for conflict in await payments.conflicts(one.payment_id)],
        )
        linked = None if life.children is None else sorted(life.children)
        ends: tuple[object, ...] = (life.balance, life.status, linked, [])
        assert seen == ends, (life.name, one.order, seen)
        assert all(child.status in TERMINAL for child in children)


async def _play_at_once(at: Account, life: Life) -> PlayedLife:
    """Play a life whose events come at the same moment, each twice."""
    number = 2_000
    events = life.events(number)
    payment = await at.payments.create(f"{number}", amount=life.amount)
    for event in events[: life.first]:
        await at.send(event)
    await at.send_all([event for event in events[life.first :] for _ in range(2)])
    return PlayedLife(payment.id, tuple(range(len(events))), events)
