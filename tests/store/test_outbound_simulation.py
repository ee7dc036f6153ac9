"""Random writes of the outbound port, in a store and in the model: every row stays equal.

A crash takes the files as they are on disk and opens them elsewhere. A failing seed is in the
test's name; run it again with `-k seed_<n>_`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.scale import full_or_tenth, soak
from tests.store.crashable_store import CrashableStore
from tests.store.model import ModelStore
from tests.store.outbound_harness import (
    DISCARDED,
    FAILED,
    LEASE,
    SUCCEEDED,
    WAITING,
    OutboundHarness,
)
from tillbell.clock import DAY, HOUR, MINUTE, SECOND
from tillbell.model.messages import Attempt, Delivery, Message, Result
from tillbell.model.statistics import ALL as EVERYTHING
from tillbell.model.statistics import ENDPOINT, EVENT_TYPE, MESSAGES, CountedSeries
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import (
    ANY_STATE,
    RESENDABLE,
    AttemptFilter,
    FinishedAttempt,
    IdempotencyUse,
    MessageFilter,
    MissedPeriod,
    Page,
    Publication,
)
from tillbell.storage.ports.statistics import Period
from tillbell.testing import ManualClock
from tillbell.upkeep.statistics import RollupUpkeep

SEEDS = [
    *(("sqlite", n) for n in range(full_or_tenth(50))),
    *(("postgres", n) for n in range(full_or_tenth(10))),
]
STEPS = 60
ALL = Page(10_000, ascending=True)


class OutboundSimulation:
    """One store and the model of it, which get the same calls."""

    def __init__(
        self, seed: int, crashable: CrashableStore, real: Database, clock: ManualClock
    ) -> None:
        self.random = random.Random(seed)
        self.clock = clock
        self.crashable = crashable
        self.real = real
        self.model = ModelStore()
        self.outbound = OutboundHarness(real, clock)
        self.endpoints = [self.outbound.endpoint, self.outbound.second, self.outbound.new("ep")]
        self.owned = {
            self.outbound.app: self.endpoints[:2],
            self.outbound.other_app: self.endpoints[2:],
        }
        self.held: list[Delivery] = []
        self.past: list[FinishedAttempt] = []
        self.keys = 0
        self.began = clock.now()
        # All that ever was, also what is purged: statistics remember it.
        self.all_attempts: dict[str, Attempt] = {}
        self.all_messages: dict[str, Message] = {}

    def lanes(self) -> list[tuple[str, str]]:
        return [(app, endpoint) for app, owned in self.owned.items() for endpoint in owned]

    async def both(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        """Make one call to both; they must answer alike."""
        expected = await call(self.model)
        answer = await call(self.real)
        assert answer == expected
        self.remember_all()
        return answer

    def remember_all(self) -> None:
        self.all_attempts |= self.model.known_attempts
        self.all_messages |= self.model.known_messages

    async def step(self) -> None:
        await self.random.choice(
            [self.publish] * 4
            + [self.claim, self.settle] * 5
            + [self.settle_again, self.renew, self.release, self.resend, self.add] * 2
            + [self.wait, self.wait, self.jump, self.discard, self.expunge]
            + [self.purge, self.remember, self.crash, self.restart, self.add_up]
        )()

    def pick_ids(self) -> list[str]:
        known = sorted(self.model.deliveries)
        return self.random.sample(known, min(len(known), self.random.randint(0, 4)))

    async def publish(self) -> None:
        chance = self.random.random
        app = self.random.choice(list(self.owned))
        message = self.outbound.message(
            app=app,
            event_id=self.random.choice([None, None, "e1", "e2"]),
            order_key=self.random.choice([None, "k1", "k2"]),
            channels=self.random.choice([(), ("a",)]),
            expires_at=self.outbound.now + 40 * SECOND if chance() < 0.2 else None,
        )
        deliveries = []
        for endpoint in self.owned[app][: self.random.randint(0, 2)]:
            if chance() < 0.3 and message.order_key is None:
                deliveries.append(self.outbound.leased(message, endpoint))
            else:
                due_at = self.outbound.now + self.random.choice([0, 0, 30 * SECOND])
                variant = self.random.choice(["", "v"])
                deliveries.append(
                    self.outbound.waiting(message, endpoint, due_at=due_at, variant=variant)
                )
        name = f"key{self.random.randint(1, 3)}"
        key = IdempotencyUse(name, "print", b"answer") if chance() < 0.1 else None
        publication = Publication(message, {"": b"{}", "v": b"v"}, deliveries, key)
        await self.both(lambda store: store.publish(publication))
        self.held += [d for d in deliveries if d.started_at is not None]

    async def claim(self) -> None:
        wanted = {lane: self.random.randint(1, 3) for lane in self.random.sample(self.lanes(), 2)}
        now = self.outbound.now
        claims = await self.both(lambda store: store.claim(wanted, now, now + LEASE))
        self.held += [claim.delivery for claim in claims]

    async def settle(self) -> None:
        if not self.held:
            return
        delivery = self.held.pop(self.random.randrange(len(self.held)))
        state = self.random.choice([SUCCEEDED, SUCCEEDED, FAILED, WAITING, WAITING, DISCARDED])
        due_at = self.outbound.now + self.random.choice([0, 5, 300]) * SECOND
        settlement = self.outbound.result(delivery, state, due_at)
        self.past.append(settlement)
        await self.both(lambda store: store.finish_attempt(settlement))

    async def settle_again(self) -> None:
        """A commit whose answer was lost is repeated; a late worker speaks."""
        if self.past:
            settlement = self.random.choice(self.past)
            await self.both(lambda store: store.finish_attempt(settlement))

    async def renew(self) -> None:
        held = [(d.app_id, d.id, d.token) for d in self.held if self.random.random() < 0.5]
        until = self.outbound.now + LEASE
        await self.both(lambda store: store.renew(held, until))

    async def release(self) -> None:
        given = [d for d in self.held if self.random.random() < 0.3]
        self.held = [d for d in self.held if d not in given]
        claims = [(d.app_id, d.id, d.token) for d in given]
        now = self.outbound.now
        await self.both(lambda store: store.release(claims, now))

    async def resend(self) -> None:
        ids, now = self.pick_ids(), self.outbound.now
        app, states = self.outbound.app, self.random.choice([RESENDABLE, (FAILED,)])
        await self.both(lambda store: store.resend(app, ids, now, states=states))

    async def add(self) -> None:
        """Replay what an endpoint never had."""
        app, now = self.random.choice(list(self.owned)), self.outbound.now
        endpoint = self.random.choice(self.owned[app])
        missing, _ = await self.both(
            lambda store: store.missing_messages(MissedPeriod(app, endpoint, 0, now + DAY), "", 5)
        )
        deliveries = [self.outbound.waiting(m, endpoint, variant="w") for m in missing]
        bodies = {(m.id, "w"): b"w" for m in missing}
        await self.both(lambda store: store.add_deliveries(deliveries, bodies))

    async def wait(self) -> None:
        self.clock.advance(self.random.choice([1, 5, 15, 20]))

    async def jump(self) -> None:
        self.clock.advance(self.random.choice([3600, 86_400, 10 * 86_400]))

    async def discard(self) -> None:
        lane, now = self.random.choice(self.lanes()), self.outbound.now
        await self.both(lambda store: store.discard(*lane, now, 10_000))

    async def expunge(self) -> None:
        known = sorted(self.model.known_messages)
        if known:
            message_id = self.random.choice(known)
            await self.both(lambda store: store.expunge(self.outbound.app, message_id))

    async def purge(self) -> None:
        now = self.outbound.now
        bodies, history = self.random.choice([(HOUR, DAY), (DAY, 5 * DAY), (30 * DAY, 90 * DAY)])
        await self.both(
            lambda store: store.purge(
                bodies_before=now - bodies, history_before=now - history, now=now, limit=10_000
            )
        )

    async def remember(self) -> None:
        self.keys += 1
        key, print_, now = f"key{self.random.randint(1, 3)}", str(self.keys), self.outbound.now
        await self.both(
            lambda store: store.store_idempotent_answer(IdempotencyUse(key, print_, b"answer"), now)
        )
        await self.both(lambda store: store.idempotent_answer(key))

    async def restart(self) -> None:
        await self.crash()
        now = self.outbound.now
        await self.both(lambda store: store.release_all_leases(now))

    async def crash(self) -> None:
        self.real = await self.crashable.crash(self.real)

    async def add_up(self) -> None:
        """Add minutes up to hours, and delete minutes."""
        upkeep = RollupUpkeep(
            self.real,
            self.clock,
            minutes_kept=self.random.choice([2, 48]) * HOUR,
            hours_kept=DAY * 400,
        )
        await upkeep.run()

    async def compare_statistics(self) -> None:
        """Count again all attempts and messages that ever were."""
        self.remember_all()  # what a move has ended
        endings, attempts = Counter[tuple[CountedSeries, int]](), self.all_attempts.values()
        for a in attempts:
            code = (a.result is not Result.ACCEPTED) + 2 * (a.result is Result.INTERRUPTED)
            for series in (
                CountedSeries(a.app_id, ENDPOINT, a.endpoint_id),
                CountedSeries(a.app_id, EVENT_TYPE, a.event_type),
                CountedSeries(a.app_id, EVERYTHING),
                CountedSeries("", EVENT_TYPE, a.event_type),
                CountedSeries("", EVERYTHING),
            ):
                endings[series, code] += 1
        every = sorted({series for series, _ in endings})
        period = Period(self.began // HOUR * HOUR, self.outbound.now // MINUTE * MINUTE + MINUTE)
        counted = await self.real.rollups(every, period, 1000 * DAY)
        for each, rollups in zip(every, counted, strict=True):
            (rollup,) = rollups
            accepted, interrupted = rollup.counts.get(0, 0), rollup.counts.get(10, 0)
            refused = rollup.counts.get(3, 0)
            numbers = [endings[each, code] for code in (0, 1, 3)]
            assert [accepted, refused, interrupted] == numbers, each
        of_all = await self.real.rollups([CountedSeries("", EVERYTHING)], period, 1000 * DAY)
        messages = sum(rollup.counts.get(MESSAGES, 0) for rollup in of_all[0])
        assert messages == len(self.all_messages)

    async def compare(self) -> None:
        """Look at every delivery, attempt and total of both."""
        await self.compare_statistics()
        await self.both(lambda store: store.counts())
        await self.both(lambda store: store.due_lanes())
        await self.both(lambda store: store.next_due(self.lanes()))
        for app, endpoints in self.owned.items():
            await self.compare_app(app)
            for endpoint in endpoints:
                await self.compare_endpoint(app, endpoint)

    async def compare_app(self, app: str) -> None:
        until = self.outbound.now + DAY
        await self.both(lambda store: store.totals(app, None, 0, until))
        await self.both(lambda store: store.messages(app, MessageFilter(), ALL))

    async def compare_endpoint(self, app: str, endpoint: str) -> None:
        now = self.outbound.now
        await self.both(lambda store: store.totals(app, endpoint, now - DAY, now + DAY))
        await self.both(
            lambda store: store.deliveries_of_endpoint(
                app, endpoint, MessageFilter(), ANY_STATE, ALL
            )
        )
        wanted = AttemptFilter(endpoint_id=endpoint)
        await self.both(lambda store: store.attempts(app, wanted, ALL))

    async def compare_messages(self) -> None:
        """Look at every message from its own side."""
        for message in list(self.model.known_messages.values()):
            await self.compare_message(message.app_id, message.id)

    async def compare_message(self, app: str, id_: str) -> None:
        wanted = AttemptFilter(message_id=id_)
        await self.both(lambda store: store.deliveries_of_message(app, id_))
        await self.both(lambda store: store.attempts(app, wanted, ALL))
        await self.both(lambda store: store.body(app, id_, ""))
        await self.both(lambda store: store.body(app, id_, "v"))
        await self.both(lambda store: store.body(app, id_, "w"))


@soak
@pytest.mark.parametrize(("store", "seed"), SEEDS, ids=[f"{s}-seed_{n}_" for s, n in SEEDS])
async def test_random_outbound_writes_agree_with_the_model(
    store: str, seed: int, make_crashable: Callable[[str], CrashableStore], clock: ManualClock
) -> None:
    crashable = make_crashable(store)
    simulation = OutboundSimulation(seed, crashable, await crashable.begin(), clock)
    try:
        for number in range(STEPS):
            await simulation.step()
            if number % 6 == 5:
                await simulation.compare()
        await simulation.compare_messages()
    finally:
        await simulation.real.close()
