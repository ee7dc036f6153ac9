"""Changes that no right program makes: they fail, and nothing of them is stored."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.store.till import (
    APPROVED,
    CREDIT,
    DEBIT,
    DECLINED,
    ON_HOLD,
    RELEASE,
    RESERVE,
    Till,
)
from tillbell.model.callbacks import Outcome
from tillbell.model.transactions import Direction, TransactionStatus
from tillbell.storage.ports.inbound import ChangesCommitted, ChangeSet


async def fails(till: Till, *steps: Any, **parts: Any) -> None:
    """Expect an error, and that nothing was stored; what shared the commit is not disturbed."""
    news = till.publication()
    beside = ChangeSet(audit=(till.audit_entry("beside"),))
    found = await asyncio.gather(
        _alone(till, ChangeSet(transaction_writes=steps, publications=(news,), **parts)),
        till.store.commit_changes(beside),
        return_exceptions=True,
    )

    assert isinstance(found[0], Exception)
    assert found[1] == ChangesCommitted()
    assert await till.store.message(till.world.app, news.message.id) is None


async def _alone(till: Till, change: ChangeSet) -> object:
    return await till.store.commit_changes(change)


async def test_a_second_effect_of_a_kind_is_refused(till: Till) -> None:
    credited = await till.create(APPROVED, effects=(CREDIT,))
    overruled = await till.move(credited, DECLINED)
    await fails(till, till.step(overruled, APPROVED, effects=(CREDIT,)))

    assert await till.store.transaction(credited.app_id, credited.id) == overruled
    assert len(await till.store.effects(credited.app_id, credited.id)) == 1


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ((), CREDIT),
        ((ON_HOLD,), DEBIT),
        ((ON_HOLD,), RELEASE),
        ((DECLINED,), CREDIT),
        ((DECLINED,), DEBIT),
        ((APPROVED,), RELEASE),
    ],
)
async def test_an_effect_without_the_step_that_allows_it_is_refused(
    till: Till, statuses: tuple[TransactionStatus, ...], kind: Any
) -> None:
    before = await till.create()
    await fails(till, till.step(before, *statuses, effects=(kind,)))

    assert await till.store.transaction(before.app_id, before.id) == before
    assert await till.store.effects(before.app_id, before.id) == []


async def test_an_effect_of_another_step_than_the_last_is_refused(till: Till) -> None:
    step = till.step(await till.create(), APPROVED)
    late = till.effect(step.transaction, CREDIT, sequence=1)
    await fails(till, step._replace(effects=(late,)))

    reserve = till.effect(step.transaction, RESERVE, sequence=2)
    await fails(till, step._replace(effects=(reserve,)))


async def test_a_gap_in_the_sequence_is_refused(till: Till) -> None:
    before = await till.create()
    step = till.step(before, APPROVED)
    (transition,) = step.transitions
    for sequence in (1, 3):
        wrong = transition._replace(sequence=sequence)
        to = step.transaction._replace(sequence=sequence)
        await fails(till, step._replace(transaction=to, transitions=(wrong,)))

    assert await till.store.transaction(before.app_id, before.id) == before


async def test_a_transaction_that_does_not_follow_its_steps_is_refused(till: Till) -> None:
    before = await till.create()
    step = till.step(before, ON_HOLD)
    wrong = [
        step._replace(transitions=()),
        step._replace(transaction=step.transaction._replace(status=APPROVED)),
        step._replace(transaction=step.transaction._replace(version=1)),
        step._replace(transitions=(step.transitions[0]._replace(previous_status=APPROVED),)),
    ]
    for one in wrong:
        await fails(till, one)

    assert await till.store.transaction(before.app_id, before.id) == before


async def test_a_plain_step_out_of_a_terminal_status_is_refused(till: Till) -> None:
    before = await till.create(DECLINED)
    step = till.step(before, APPROVED)
    for supersedes in (None, 1):
        wrong = step.transitions[0]._replace(supersedes=supersedes)
        await fails(till, step._replace(transitions=(wrong,)))

    assert await till.store.transaction(before.app_id, before.id) == before


@pytest.mark.parametrize(
    "fields", [{"amount": 1}, {"currency": "USD"}, {"direction": Direction.PAY_OUT}]
)
async def test_the_nature_of_a_transaction_does_not_change(
    till: Till, fields: dict[str, Any]
) -> None:
    before = await till.create()
    await fails(till, till.step(before, **fields))

    assert await till.store.transaction(before.app_id, before.id) == before


async def test_a_refund_has_a_parent_and_a_payment_none(till: Till) -> None:
    payment = await till.captured()
    elsewhere = till.refund(payment, 1, app_id=till.world.other_app)

    await fails(till, till.opening(till.transaction(parent_id=payment.id)))
    await fails(till, till.opening(till.refund(payment, 1, parent_id=None)))
    await fails(till, till.opening(elsewhere))


async def test_only_what_is_unmatched_waits(till: Till) -> None:
    callback = await till.receive("k")
    wrong = till.conclusion(callback, Outcome.APPLIED, retry_at=till.world.now)
    await fails(till, conclusion=wrong)

    assert await till.reread(callback) == callback
