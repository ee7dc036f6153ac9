"""Decisions: decided again while what they rest on changes, and stored as a whole or not at all."""

from __future__ import annotations

import pytest

from tests.flow.gateway_harness import GatewayHarness
from tillbell.errors import ConflictError, NotFound
from tillbell.model.transactions import Direction, Transaction, TransactionStatus
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import TRIES_MAX
from tillbell.process.manual.actions import NewTransaction
from tillbell.process.manual.audited import ActionReason
from tillbell.rules.payments.booking import NoticeDetails
from tillbell.rules.payments.conflicts import new_conflict
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

    def __init__(self, harness: GatewayHarness, id_: str, interruptions: int) -> None:
        self._world = harness
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


async def create(harness: GatewayHarness) -> Transaction:
    new = NewTransaction(Direction.PAY_IN, 100, "EUR")
    transaction, _ = await harness.gateway.manual_actions.create(harness.app.id, new, "key_1")
    return transaction


async def read(harness: GatewayHarness, id_: str) -> Transaction:
    transaction = await harness.gateway.database.transaction(harness.app.id, id_)
    assert transaction is not None
    return transaction


async def test_what_has_changed_meanwhile_is_decided_again(harness: GatewayHarness) -> None:
    created = await create(harness)
    canceller = Canceller(harness, created.id, interruptions=2)
    after = await harness.gateway.decisions.commit(harness.app.id, BY, canceller.decide)

    assert canceller.seen == [PENDING, ON_HOLD, PENDING]
    assert after == await read(harness, created.id)
    assert (after.status, after.sequence) == (CANCELLED, 4)


async def test_what_changes_all_the_time_is_given_up(harness: GatewayHarness) -> None:
    created = await create(harness)
    canceller = Canceller(harness, created.id, interruptions=TRIES_MAX)
    with pytest.raises(ConflictError, match="changed at the same time"):
        await harness.gateway.decisions.commit(harness.app.id, BY, canceller.decide)

    assert len(canceller.seen) == TRIES_MAX
    assert (await read(harness, created.id)).sequence == 1 + TRIES_MAX


async def test_what_is_given_up_names_the_precondition_that_failed(harness: GatewayHarness) -> None:
    created = await create(harness)

    async def decide(decision: Decision) -> None:
        conflict = new_conflict(PENDING, "stuck", "never stored")
        decision.resolve_conflict(
            conflict._replace(id="cfl_0", app_id=harness.app.id, transaction_id=created.id),
            "keep",
            "",
        )

    with pytest.raises(ConflictError, match="The conflict is resolved already"):
        await harness.gateway.decisions.commit(harness.app.id, BY, decide)


async def test_a_decision_that_fails_stores_nothing(harness: GatewayHarness) -> None:
    created = await create(harness)

    async def decide(decision: Decision) -> None:
        decision.write_audit_entry("transaction.cancel", created.id, "by mistake")
        decision.advance(created, CANCELLED, NoticeDetails())
        raise NotFound("There is no such conflict.")

    with pytest.raises(NotFound):
        await harness.gateway.decisions.commit(harness.app.id, BY, decide)

    assert await read(harness, created.id) == created
    assert await harness.gateway.database.audit(harness.app.id, Page(limit=10)) == []


async def test_a_decision_that_records_nothing_commits_nothing(harness: GatewayHarness) -> None:
    committed: list[Decision] = []
    harness.gateway.decisions.on_committed = committed.append

    async def decide(decision: Decision) -> str:
        return decision.app_id

    decisions = harness.gateway.decisions
    assert await decisions.commit(harness.app.id, BY, decide) == harness.app.id
    assert not committed
