"""Changes that no right program makes: they fail, and nothing of them is stored."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.store.inbound_harness import (
    APPROVED,
    CREDIT,
    DEBIT,
    DECLINED,
    ON_HOLD,
    RELEASE,
    RESERVE,
    InboundHarness,
)
from tillbell.model.callbacks import Outcome
from tillbell.model.transactions import Direction, TransactionStatus
from tillbell.storage.ports.inbound import ChangesCommitted, ChangeSet


async def fails(inbound: InboundHarness, *steps: Any, **parts: Any) -> None:
    """Expect an error, and that nothing was stored; what shared the commit is not disturbed."""
    news = inbound.publication()
    beside = ChangeSet(audit=(inbound.audit_entry("beside"),))
    found = await asyncio.gather(
        _alone(inbound, ChangeSet(transaction_writes=steps, publications=(news,), **parts)),
        inbound.store.commit_changes(beside),
        return_exceptions=True,
    )

    assert isinstance(found[0], Exception)
    assert found[1] == ChangesCommitted()
    assert await inbound.store.message(inbound.outbound.app, news.message.id) is None


async def _alone(inbound: InboundHarness, change: ChangeSet) -> object:
    return await inbound.store.commit_changes(change)


async def test_a_second_effect_of_a_kind_is_refused(inbound: InboundHarness) -> None:
    credited = await inbound.create(APPROVED, effects=(CREDIT,))
    overruled = await inbound.move(credited, DECLINED)
    await fails(inbound, inbound.step(overruled, APPROVED, effects=(CREDIT,)))

    assert await inbound.store.transaction(credited.app_id, credited.id) == overruled
    assert len(await inbound.store.effects(credited.app_id, credited.id)) == 1


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
    inbound: InboundHarness, statuses: tuple[TransactionStatus, ...], kind: Any
) -> None:
    before = await inbound.create()
    await fails(inbound, inbound.step(before, *statuses, effects=(kind,)))

    assert await inbound.store.transaction(before.app_id, before.id) == before
    assert await inbound.store.effects(before.app_id, before.id) == []


async def test_an_effect_of_another_step_than_the_last_is_refused(inbound: InboundHarness) -> None:
    step = inbound.step(await inbound.create(), APPROVED)
    late = inbound.effect(step.transaction, CREDIT, sequence=1)
    await fails(inbound, step._replace(effects=(late,)))

    reserve = inbound.effect(step.transaction, RESERVE, sequence=2)
    await fails(inbound, step._replace(effects=(reserve,)))


async def test_a_gap_in_the_sequence_is_refused(inbound: InboundHarness) -> None:
    before = await inbound.create()
    step = inbound.step(before, APPROVED)
    (transition,) = step.transitions
    for sequence in (1, 3):
        wrong = transition._replace(sequence=sequence)
        to = step.transaction._replace(sequence=sequence)
        await fails(inbound, step._replace(transaction=to, transitions=(wrong,)))

    assert await inbound.store.transaction(before.app_id, before.id) == before


async def test_a_transaction_that_does_not_follow_its_steps_is_refused(
    inbound: InboundHarness,
) -> None:
    before = await inbound.create()
    step = inbound.step(before, ON_HOLD)
    wrong = [
        step._replace(transitions=()),
        step._replace(transaction=step.transaction._replace(status=APPROVED)),
        step._replace(transaction=step.transaction._replace(version=1)),
        step._replace(transitions=(step.transitions[0]._replace(previous_status=APPROVED),)),
    ]
    for one in wrong:
        await fails(inbound, one)

    assert await inbound.store.transaction(before.app_id, before.id) == before


async def test_a_plain_step_out_of_a_terminal_status_is_refused(inbound: InboundHarness) -> None:
    before = await inbound.create(DECLINED)
    step = inbound.step(before, APPROVED)
    for supersedes in (None, 1):
        wrong = step.transitions[0]._replace(supersedes=supersedes)
        await fails(inbound, step._replace(transitions=(wrong,)))

    assert await inbound.store.transaction(before.app_id, before.id) == before


@pytest.mark.parametrize(
    "fields", [{"amount": 1}, {"currency": "USD"}, {"direction": Direction.PAY_OUT}]
)
async def test_the_nature_of_a_transaction_does_not_change(
    inbound: InboundHarness, fields: dict[str, Any]
) -> None:
    before = await inbound.create()
    await fails(inbound, inbound.step(before, **fields))

    assert await inbound.store.transaction(before.app_id, before.id) == before


async def test_a_refund_has_a_parent_and_a_payment_none(inbound: InboundHarness) -> None:
    payment = await inbound.captured()
    elsewhere = inbound.refund(payment, 1, app_id=inbound.outbound.other_app)

    await fails(inbound, inbound.opening(inbound.transaction(parent_id=payment.id)))
    await fails(inbound, inbound.opening(inbound.refund(payment, 1, parent_id=None)))
    await fails(inbound, inbound.opening(elsewhere))


async def test_only_what_is_unmatched_waits(inbound: InboundHarness) -> None:
    callback = await inbound.receive("k")
    wrong = inbound.conclusion(callback, Outcome.APPLIED, retry_at=inbound.outbound.now)
    await fails(inbound, conclusion=wrong)

    assert await inbound.reread(callback) == callback
