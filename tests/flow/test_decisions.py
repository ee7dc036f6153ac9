"""Decisions: decided again while what they rest on changes, and stored as a whole or not at all."""

from __future__ import annotations

import pytest

from tests.flow.world import World
from tillbell.errors import ConflictError, NotFound
from tillbell.model.transactions import Direction, Transaction, TransactionStatus
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import TRIES_MAX
from tillbell.process.manual.actions import NewTransaction
from tillbell.process.manual.audited import ActionReason
from tillbell.rules.payments.booking import NoticeDetails
from tillbell.storage.ports.outbound import Page

BY = DecidedBy(actor="key_1")
ACT = ActionReason(actor="key_2", reason="it looks strange")
PENDING, ON_HOLD, CANCELLED = (
    TransactionStatus.PENDING,
    TransactionStatus.ON_HOLD,
    TransactionStatus.CANCELLED,
)


class Canceller:
    """Cancels a transaction that another actor holds or releases so many times in between."""

    def __init__(self, world: World, id_: str, interruptions: int) -> None:
        self._world = world
        self._id = id_
        self._left = interruptions
        self.seen: list[TransactionStatus] = []

    async def decide(self, decision: Decision) -> Transaction:
        transaction = await read(self._world, self._id)
        self.seen.append(transaction.status)
        if self._left:
            self._left -= 1
            action = "release" if transaction.status is ON_HOLD else "hold"
            actions = self._world.gateway.manual_actions
            await actions.change_status(self._world.app.id, self._id, action, ACT)
        return decision.advance(transaction, CANCELLED, NoticeDetails())


async def create(world: World) -> Transaction:
    new = NewTransaction(Direction.PAY_IN, 100, "EUR")
    transaction, _ = await world.gateway.manual_actions.create(world.app.id, new, "key_1")
    return transaction


async def read(world: World, id_: str) -> Transaction:
    transaction = await world.gateway.database.transaction(world.app.id, id_)
    assert transaction is not None
    return transaction


async def test_what_has_changed_meanwhile_is_decided_again(world: World) -> None:
    created = await create(world)
    canceller = Canceller(world, created.id, interruptions=2)
    after = await world.gateway.decisions.commit(world.app.id, BY, canceller.decide)

    assert canceller.seen == [PENDING, ON_HOLD, PENDING]
    assert after == await read(world, created.id)
    assert (after.status, after.sequence) == (CANCELLED, 4)


async def test_what_changes_all_the_time_is_given_up(world: World) -> None:
    created = await create(world)
    canceller = Canceller(world, created.id, interruptions=TRIES_MAX)
    with pytest.raises(ConflictError, match="changing all the time"):
        await world.gateway.decisions.commit(world.app.id, BY, canceller.decide)

    assert len(canceller.seen) == TRIES_MAX
    assert (await read(world, created.id)).sequence == 1 + TRIES_MAX


async def test_a_decision_that_fails_stores_nothing(world: World) -> None:
    created = await create(world)

    async def decide(decision: Decision) -> None:
        decision.write_audit_entry("transaction.cancel", created.id, "by mistake")
        decision.advance(created, CANCELLED, NoticeDetails())
        raise NotFound("There is no such conflict.")

    with pytest.raises(NotFound):
        await world.gateway.decisions.commit(world.app.id, BY, decide)

    assert await read(world, created.id) == created
    assert await world.gateway.database.audit(world.app.id, Page(limit=10)) == []


async def test_a_decision_that_records_nothing_commits_nothing(world: World) -> None:
    committed: list[Decision] = []
    world.gateway.decisions.on_committed = committed.append

    async def decide(decision: Decision) -> str:
        return decision.app_id

    decisions = world.gateway.decisions
    assert await decisions.commit(world.app.id, BY, decide) == world.app.id
    assert not committed
