"""Random writes of the inbound port, in a store and in the model: every row stays equal.

Right decisions, late ones that cross, and wrong ones that must fail in both. A crash takes the
files as they are on disk. A failing seed is in the test's name; run it with `-k seed_<n>_`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.scale import full_or_tenth, soak
from tests.store.crashable_store import CrashableStore
from tests.store.inbound_harness import (
    CREDIT,
    DEBIT,
    PENDING,
    RELEASE,
    REQUEST,
    RESERVE,
    UNMATCHED,
    InboundHarness,
)
from tests.store.model import ModelStore
from tests.store.outbound_harness import OutboundHarness
from tillbell.clock import DAY, HOUR
from tillbell.model.callbacks import Callback, Outcome, References
from tillbell.model.records import Application
from tillbell.model.sources import Trust
from tillbell.model.transactions import (
    Direction,
    PaymentAttempt,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import (
    CallbackFilter,
    ChangeSet,
    ReceivedCallback,
    TransactionFilter,
    TransactionWrite,
)
from tillbell.storage.ports.outbound import Page
from tillbell.testing import ManualClock

SEEDS = [
    *(("sqlite", n) for n in range(full_or_tenth(40))),
    *(("postgres", n) for n in range(full_or_tenth(10))),
]
STEPS = 60
ALL = Page(10_000, ascending=True)
NAMES = ["a", "b", "c", None]
TRIES = ["try 1", "try 2", "try 3"]
ATTEMPTS = 4  # of one payment, at most
FAILURE = "it failed"


class InboundSimulation:
    """One store and the model of it, which get the same calls."""

    def __init__(
        self, seed: int, crashable: CrashableStore, real: Database, clock: ManualClock
    ) -> None:
        self.random = random.Random(seed)
        self.clock = clock
        self.crashable = crashable
        self.real = real
        self.model = ModelStore()
        self.inbound = InboundHarness(OutboundHarness(real, clock))
        self.apps = [self.inbound.outbound.app, self.inbound.outbound.other_app]
        self.sources = [self.inbound.source, self.inbound.second]
        self.past: list[ChangeSet] = []

    async def both(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        """Make one call to both; they must answer alike, or both fail."""
        expected = await _answer(call, self.model)
        assert await _answer(call, self.real) == expected
        return expected

    async def step(self) -> None:
        await self.random.choice(
            [self.receive, self.create, self.move, self.link] * 5
            + [self.conclude] * 4
            + [self.again, self.wrong, self.burst, self.resolve] * 2
            + [self.wait, self.purge, self.reopen, self.crash, self.remove]
        )()

    # ── what comes in ────────────────────────────────────────────────────────────────────────────

    def arrival(self) -> ReceivedCallback:
        choice = self.random.choice
        refused = self.random.random() < 0.1
        callback = self.inbound.callback(
            choice(["k1", "k2", "k3", None]),
            app_id=self.apps[0],
            source_id=choice(self.sources),
            provider=choice(["kopa", "chipcard"]),
            trust=None if refused else Trust.SIGNED,
            outcome=Outcome.UNAUTHENTICATED if refused else None,
        )
        return ReceivedCallback(
            callback,
            choice([REQUEST, None]),
            is_bulk=self.random.random() < 0.2,
            searched=choice([None, References(("a", "b"), ("c", "psp-1"))]),
        )

    async def receive(self) -> None:
        arrival = self.arrival()
        for _ in range(self.random.choice([1, 1, 1, 2])):  # 2: its first answer was lost
            await self.both(lambda store: store.receive(arrival))

    async def burst(self) -> None:
        """Share a commit: callbacks, and decisions that may cross each other."""
        arrivals = [self.arrival() for _ in range(5)]
        changes = [ChangeSet(transaction_writes=(self.any_step(),)) for _ in range(5)]

        async def tell(store: Database) -> list[Any]:
            writes = [*map(store.receive, arrivals), *map(store.commit_changes, changes)]
            found = await asyncio.gather(*writes, return_exceptions=True)
            return [FAILURE if isinstance(one, Exception) else one for one in found]

        await self.both(tell)

    def pick(self, rows: dict[str, Any]) -> Any:
        return self.random.choice(sorted(rows.values())) if rows else None

    async def conclude(self) -> None:
        callback: Callback | None = self.pick(self.model.known_callbacks)
        if callback is None:
            return
        outcome = self.random.choice([*Outcome, UNMATCHED, UNMATCHED, UNMATCHED])
        told = self.inbound.conclusion(callback, outcome)
        if outcome is UNMATCHED and self.random.random() < 0.7:
            names = tuple(name for name in self.random.sample(NAMES, 2) if name)
            told = told._replace(
                retry_at=self.inbound.outbound.now + HOUR, awaited_references=names
            )
        item = (callback.source_id, self.random.choice("xyz"))
        item_keys = (item,) if self.random.random() < 0.3 else ()
        await self.change(conclusion=told, item_keys=item_keys)

    async def reopen(self) -> None:
        callback = self.pick(self.model.known_callbacks)
        if callback is not None:
            await self.both(lambda store: store.reopen_callback(callback.app_id, callback.id))

    # ── money ────────────────────────────────────────────────────────────────────────────────────

    async def change(self, **parts: Any) -> None:
        """Make a change, often with more that could cross."""
        chance, inbound = self.random.random, self.inbound
        if chance() < 0.2:
            parts["publications"] = (inbound.publication(event_id=self.random.choice(["e", None])),)
        if chance() < 0.2:
            parts["audit"] = (inbound.audit_entry(self.random.choice("st")),)
        known = self.pick(self.model.known_transactions)
        if known is not None and chance() < 0.1:
            parts["conflicts"] = (inbound.conflict(known),)
        change = ChangeSet(**parts)
        self.past.append(change)
        await self.both(lambda store: store.commit_changes(change))

    def opening(self) -> TransactionWrite:
        choice = self.random.choice
        direction = choice(list(Direction))
        new = self.inbound.transaction(
            app_id=choice(self.apps),
            direction=direction,
            amount=choice([100, 1_000]),
            uid=choice([None, "u1", "u2", "u3", "u4"]),
            order_id=choice(NAMES),
            merchant_reference=choice(NAMES),
            psp_transaction_id=choice(NAMES),
            source_id=choice([*self.sources, None]),
            user_id=choice(["ann", "bob"]),
            check_at=choice([None, self.inbound.outbound.now + HOUR]),
        )
        reserves = direction is Direction.PAY_OUT and choice([True, False])
        new = new._replace(reserves=reserves)
        return self.inbound.opening(new, effects=(RESERVE,) if reserves else ())

    def following(self, before: Transaction) -> TransactionWrite:
        to = self.random.choice([*TransactionStatus, TransactionStatus.APPROVED, None])
        effects: tuple[Any, ...] = ()
        if to is TransactionStatus.APPROVED:
            effects = (CREDIT,) if before.direction is Direction.PAY_IN else (DEBIT,)
        elif (
            to not in (None, PENDING, TransactionStatus.ON_HOLD, TransactionStatus.PROCESSING)
            and before.reserves
        ):
            effects = (RELEASE,)
        statuses = (to,) if to else ()
        fields = {
            "metadata": {"n": self.random.randint(0, 3)},
            "message": "moved",
            "attempts": (*before.attempts, self.attempt())[:ATTEMPTS],
        }
        return self.inbound.step(before, *statuses, effects=effects, **fields)

    def attempt(self) -> PaymentAttempt:
        name, source_id = self.random.choice(TRIES), self.random.choice(self.sources)
        return PaymentAttempt(
            name, PENDING, self.inbound.outbound.now, source_id, captures={"c": 5}
        )

    def any_step(self) -> TransactionWrite:
        known = self.pick(self.model.known_transactions)
        return self.following(known) if known and self.random.random() < 0.7 else self.opening()

    async def create(self) -> None:
        await self.change(transaction_writes=(self.opening(),))

    async def move(self) -> None:
        known = self.pick(self.model.known_transactions)
        if known is not None:
            await self.change(transaction_writes=(self.following(known),))

    async def link(self) -> None:
        """Refund a payment, perhaps too much of it or for the second time."""
        known: Transaction | None = self.pick(self.model.known_transactions)
        if known is None or known.kind is not TransactionKind.PAYMENT:
            return
        amount = self.random.choice([10, 60, 100])
        psp = self.random.choice(["r1", "r2", None])
        refund = self.inbound.refunding(known, amount, app_id=known.app_id, psp_transaction_id=psp)
        await self.change(transaction_writes=(refund,))

    async def again(self) -> None:
        """Say once more what was said: a commit whose answer was lost, or a late decision."""
        if self.past:
            change = self.random.choice(self.past)
            await self.both(lambda store: store.commit_changes(change))

    async def wrong(self) -> None:
        """Break one thing of a step; both must refuse it."""
        step = self.any_step()
        transaction = step.transaction
        broken = self.random.choice(
            [
                step._replace(transaction=transaction._replace(sequence=transaction.sequence + 1)),
                step._replace(effects=(self.inbound.effect(transaction, RELEASE, sequence=9),)),
                step._replace(transaction=transaction._replace(version=0)),
                step._replace(transitions=step.transitions[:-1] or (step.transitions * 2)),
            ]
        )
        await self.both(lambda store: store.commit_changes(ChangeSet(transaction_writes=(broken,))))

    async def resolve(self) -> None:
        conflict = self.pick({c.id: c.id for c in self.model.known_conflicts.values()})
        if conflict is not None:
            known = self.model.known_conflicts[conflict]
            resolved = known._replace(resolved_at=self.inbound.outbound.now, resolution="keep")
            await self.change(resolved=(resolved,))

    # ── time ─────────────────────────────────────────────────────────────────────────────────────

    async def wait(self) -> None:
        self.clock.advance(self.random.choice([1, 3_600, 86_400, 50 * 86_400]))

    async def purge(self) -> None:
        now, limit = self.inbound.outbound.now, self.random.choice([3, 10_000])
        requests, callbacks = self.random.choice([(HOUR, DAY), (DAY, 5 * DAY)])
        await self.both(
            lambda store: store.purge_inbound(
                requests_before=now - requests,
                callbacks_before=now - callbacks,
                now=now,
                limit=limit,
            )
        )

    async def remove(self) -> None:
        if self.random.random() < 0.2:
            app = self.apps[1]
            await self.both(lambda store: store.put(Application(id=app, name="x")))
            await self.both(lambda store: store.remove(Application, app))

    async def crash(self) -> None:
        self.real = await self.crashable.crash(self.real)

    # ── comparing ────────────────────────────────────────────────────────────────────────────────

    async def compare(self) -> None:
        """Look at every row of both."""
        soon = self.inbound.outbound.now + 2 * HOUR
        await self.both(lambda store: store.unprocessed_callbacks("", 10_000))
        await self.both(lambda store: store.callbacks_to_retry(soon, 10_000))
        await self.both(lambda store: store.transactions_to_check(soon, 10_000))
        await self.both(lambda store: store.counts())
        for source in self.sources:
            for app in self.apps:
                await self.compare_item_keys(app, source)
        for app in self.apps:
            await self.compare_app(app)
        for known in list(self.model.known_transactions.values()):
            for app in self.apps:
                await self.compare_transaction(app, known.id)
        for callback in list(self.model.known_callbacks.values()):
            await self.compare_request(callback)

    async def compare_item_keys(self, app: str, source: str) -> None:
        await self.both(lambda store: store.new_item_keys(app, source, list("xyz")))

    async def compare_transaction(self, app: str, id_: str) -> None:
        await self.both(lambda store: store.transitions(app, id_))
        await self.both(lambda store: store.effects(app, id_))
        await self.both(lambda store: store.linked_transactions(app, id_))

    async def compare_request(self, callback: Callback) -> None:
        await self.both(lambda store: store.callback_request(callback.app_id, callback.id))

    async def compare_app(self, app: str) -> None:
        named = References(("a", "u1"), ("b", "c", "try 1"))
        reference = TransactionFilter(reference="a")
        await self.both(lambda store: store.callbacks(app, CallbackFilter(), ALL))
        await self.both(lambda store: store.transactions(app, TransactionFilter(), ALL))
        await self.both(lambda store: store.transactions(app, reference, ALL))
        await self.both(lambda store: store.candidate_transactions(app, self.sources[0], named))
        await self.both(lambda store: store.callbacks_awaiting(app, ["a", "b", "c"]))
        await self.both(lambda store: store.conflicts(app, ALL))
        await self.both(lambda store: store.audit(app, ALL))


async def _answer(call: Callable[[Any], Awaitable[Any]], store: Any) -> Any:
    try:
        return await call(store)
    except Exception as error:
        return FAILURE if error else None


@soak
@pytest.mark.parametrize(("store", "seed"), SEEDS, ids=[f"{s}-seed_{n}_" for s, n in SEEDS])
async def test_random_inbound_writes_agree_with_the_model(
    store: str, seed: int, make_crashable: Callable[[str], CrashableStore], clock: ManualClock
) -> None:
    crashable = make_crashable(store)
    simulation = InboundSimulation(seed, crashable, await crashable.begin(), clock)
    try:
        for number in range(STEPS):
            await simulation.step()
            if number % 6 == 5:
                await simulation.compare()
    finally:
        await simulation.real.close()
