"""A random life of a few payments agrees with a pure model of it (model.py), faults and all.

The gateway runs whole, on a real store that now and then does not confirm a commit: sometimes it
was made, sometimes not. After every step each account shows exactly what the model says.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.flow.gateway_harness import START, GatewayHarness
from tests.money.model import PRICE, ExpectedTransaction, Family, Said
from tests.money.payment_harness import (
    APPROVED,
    CANCELLED,
    EVERYTHING,
    FAILED,
    PENDING,
    PaymentHarness,
    linked,
    news,
)
from tests.scale import IS_SOAK, full_or_tenth, seed, soak
from tillbell.errors import StoreUnavailable
from tillbell.model.callbacks import Outcome, ProviderAmount, TransactionNotice
from tillbell.model.sources import Source, Trust
from tillbell.model.transactions import Direction, Transaction, TransactionKind, TransactionStatus
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import (
    CallbackFilter,
    ChangesCommitted,
    ChangeSet,
    PreconditionFailed,
)
from tillbell.storage.ports.outbound import Page
from tillbell.testing import ManualClock

T = TypeVar("T")
SETTINGS = settings(
    max_examples=full_or_tenth(200),
    stateful_step_count=30,
    database=None,  # an example would not be the one that a seed repeats
    suppress_health_check=list(HealthCheck),
)
COPIES = st.integers(1, 3)
NAMES = st.sampled_from(["first", "second"])
# Most payments are paid as asked: else few lives come as far as refunds.
STATUSES = st.sampled_from([*TransactionStatus, *[APPROVED] * 4])
TOLD_AMOUNTS = st.sampled_from([*[None, PRICE] * 4, PRICE - 1, PRICE + 1])


class Fickle:
    """A store that does not confirm one decision about a callback when it is told so."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self._database = database
        self._clock = clock
        self.fault: str | None = None
        self.has_failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def change(self, change: ChangeSet) -> ChangesCommitted | PreconditionFailed:
        if self.fault is None or change.conclusion is None:
            return await self._database.commit_changes(change)
        fault, self.fault, self.has_failed = self.fault, None, True
        if fault == "after":
            await self._database.commit_changes(change)
        asyncio.get_running_loop().call_soon(self._clock.advance, 2)  # it is tried again then
        raise StoreUnavailable("It is not known whether it was stored.")


class Bench:
    """One gateway for all examples; each has payments of its own."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.clock = ManualClock(START)
        self.payments, self.psp = self.run(self._open(folder))
        self.store = Fickle(self.payments.books, self.clock)
        self.payments.gateway.decisions.database = self.store
        self.numbers = itertools.count()

    async def _open(self, folder: Path) -> tuple[PaymentHarness, Source]:
        self.harness = await GatewayHarness(folder, self.clock).__aenter__()
        payments = PaymentHarness(self.harness)
        return payments, await payments.source()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        self.run(self.harness.__aexit__(None, None, None))
        self.runner.close()


class PaymentMachine(RuleBasedStateMachine):
    """Two payments that may not be there yet, and what their provider tells of them."""

    bench: ClassVar[Bench]

    def __init__(self) -> None:
        super().__init__()
        self.payments, self.store = self.bench.payments, self.bench.store
        self.life = next(self.bench.numbers)
        self.bench.clock.advance(1)
        self.began_at = self.bench.clock.now()
        self.families = {"first": Family(), "second": Family()}
        self.touched: set[str] = set()

    def uid(self, name: str) -> str:
        return f"{name} {self.life}"

    @rule(name=NAMES, direction=st.sampled_from(Direction), reserves=st.booleans())
    def create(self, name: str, direction: Direction, reserves: bool) -> None:
        if self.families[name].payment is not None:
            return
        reserves = reserves and direction is Direction.PAY_OUT
        self.touched.add(name)
        self.families[name].create(direction, reserves=reserves)
        self.bench.run(self.payments.create(self.uid(name), direction, reserves=reserves))

    @rule(name=NAMES, status=STATUSES, amount=TOLD_AMOUNTS, copies=COPIES)
    def tell(self, name: str, status: TransactionStatus, amount: int | None, copies: int) -> None:
        self._hear(name, Said(status, amount), copies)

    @rule(
        name=NAMES,
        own_id=st.sampled_from(["R1", "R2", "R3"]),
        status=st.sampled_from([PENDING, APPROVED, APPROVED, FAILED, CANCELLED]),
        amount=st.sampled_from([None, 3_000, 6_000]),
        copies=COPIES,
    )
    def refund(
        self, name: str, own_id: str, status: TransactionStatus, amount: int | None, copies: int
    ) -> None:
        self._hear(name, Said(status, amount, own_id), copies)

    @rule(name=NAMES, status=STATUSES, trust=st.sampled_from([Trust.NONE, Trust.SECRET]))
    def claim(self, name: str, status: TransactionStatus, trust: Trust) -> None:
        """Tell what is not proven: it changes nothing."""
        if self.families[name].payment is not None:
            notice = news(self.uid(name), status)
            self.bench.run(self.payments.send(self.bench.psp, notice, trust=trust))
            self.touched.add(name)

    @rule(fault=st.sampled_from(["before", "after"]))
    def fail(self, fault: str) -> None:
        self.store.fault = fault

    def _hear(self, name: str, said: Said, copies: int) -> None:
        self.families[name].hear(said)
        self.touched.add(name)
        notice, key = notice_of(self.uid(name), said), f"told {next(self.bench.numbers)}"
        for _ in range(copies):
            self.bench.clock.advance(0.01)  # of one instant, nobody knows which came first
            self.bench.run(self.payments.send(self.bench.psp, notice, key=key))

    @invariant()
    def accounts_agree(self) -> None:
        touched, self.touched = self.touched, set()
        if touched:
            self.bench.run(self._agree(touched))

    async def _agree(self, touched: set[str]) -> None:
        await self._settle()
        for name in touched:
            if self.families[name].payment is not None:
                await assert_agree(self.payments, self.uid(name), self.families[name])

    async def _settle(self) -> None:
        """Let all that was sent be decided, and what a fault left asleep be looked at."""
        await self.payments.idle()
        if not self.store.has_failed:
            return
        self.store.has_failed = False
        filter_ = CallbackFilter(outcomes=(Outcome.UNMATCHED,), after=self.began_at)
        for callback in await self.payments.books.callbacks(
            self.payments.app_id, filter_, EVERYTHING
        ):
            await self.payments.gateway.reprocessor.reprocess(callback)
            await self.payments.idle()


def notice_of(uid: str, said: Said) -> TransactionNotice:
    amount = (
        ProviderAmount(str(said.amount), "EUR", is_minor=True) if said.amount is not None else None
    )
    if said.own_id is None:
        return news(uid, said.status, amount=amount)
    own_id = f"{said.own_id} of {uid}"
    return linked(uid, TransactionKind.REFUND, own_id, status=said.status, amount=amount)


async def assert_agree(payments: PaymentHarness, uid: str, family: Family) -> None:
    assert family.payment is not None
    payment = await payments.read(uid)
    await assert_same(payments, payment, family.payment)
    refunds = {str(one.psp_transaction_id).split()[0]: one for one in await payments.children(uid)}
    assert refunds.keys() == family.refunds.keys()
    for own_id, refund in refunds.items():
        await assert_same(payments, refund, family.refunds[own_id])
    named = {payment.id: "payment"} | {one.id: own_id for own_id, one in refunds.items()}
    page = Page(50)
    shown = {
        (named[one.transaction_id], one.kind, one.status)
        for id_ in named
        for one in await payments.books.conflicts(payments.app_id, page, id_, open_only=True)
        if one.kind != "unconfirmed"
    }
    assert shown == family.conflicts


async def assert_same(
    payments: PaymentHarness, found: Transaction, expected: ExpectedTransaction
) -> None:
    effects = [one.kind.value for one in await payments.books.effects(found.app_id, found.id)]
    steps = await payments.steps(found.id)
    assert (found.status, effects) == (expected.status, expected.effects)
    assert [one.sequence for one in steps] == list(range(1, expected.steps + 1))
    assert found.sequence == expected.steps


@pytest.mark.sqlite
@soak
def test_a_random_life_agrees_with_the_model(tmp_path: Path) -> None:
    begun_with = seed()
    print(f"To repeat these lives: TEST_SEED={begun_with} TEST_SOAK={int(IS_SOAK)}")
    PaymentMachine.bench = Bench(tmp_path)
    try:
        run_state_machine_as_test(hypothesis.seed(begun_with)(PaymentMachine), settings=SETTINGS)
    finally:
        PaymentMachine.bench.close()
