"""A decision becomes true as a whole."""

from __future__ import annotations

import asyncio

from tests.store.inbound_harness import (
    APPLIED,
    APPROVED,
    CREDIT,
    DECLINED,
    ON_HOLD,
    PENDING,
    RELEASE,
    RESERVE,
    UNMATCHED,
    InboundHarness,
)
from tests.store.outbound_harness import BODY
from tillbell.clock import HOUR
from tillbell.model.sources import Source
from tillbell.model.transactions import Direction, TransactionStatus
from tillbell.storage.ports.inbound import (
    ChangesCommitted,
    ChangeSet,
    PreconditionFailed,
    RecordWrite,
)
from tillbell.storage.ports.outbound import ALL


async def test_a_change_makes_all_of_a_decision_true(inbound: InboundHarness) -> None:
    before = await inbound.create(uid="order-1")
    callback = await inbound.receive("k")
    news = inbound.publication(event_id="e1")
    step = inbound.step(before, APPROVED, effects=(CREDIT,), metadata={"a": [1, None]})
    conflict, entry = (
        inbound.conflict(before, callback_id=callback.id),
        inbound.audit_entry(before.id),
    )
    told = inbound.conclusion(callback, transaction_id=before.id, message_ids=(news.message.id,))
    record = inbound.record()
    await inbound.do(
        transaction_writes=(step,),
        conclusion=told,
        conflicts=(conflict,),
        record_writes=(RecordWrite(record, 0),),
        publications=(news,),
        item_keys=((inbound.source, "item"),),
        audit=(entry,),
    )
    store, app = inbound.store, inbound.outbound.app

    assert await store.transaction(app, "order-1") == step.transaction
    assert [t.status for t in await store.transitions(before.app_id, before.id)] == [
        PENDING,
        APPROVED,
    ]
    assert await store.effects(before.app_id, before.id) == list(step.effects)
    assert (await inbound.reread(callback)).outcome is APPLIED
    assert (await inbound.reread(callback)).message_ids == (news.message.id,)
    assert await store.conflicts(app, ALL) == [conflict]
    assert await store.get(Source, record.id, app) == record
    assert await store.message(app, "e1") == news.message
    assert await store.body(news.message.app_id, news.message.id) == BODY
    assert (await store.counts()).waiting == 1
    assert await store.new_item_keys(inbound.outbound.app, inbound.source, ["item", "other"]) == {
        "other"
    }
    assert await store.audit(app, ALL) == [entry]
    assert await store.unprocessed_callbacks("", 10) == []


async def test_what_is_kept_of_a_transaction_is_all_of_it(inbound: InboundHarness) -> None:
    full = inbound.transaction(
        uid="u",
        direction=Direction.PAY_OUT,
        amount=2**53 + 1,
        currency="KWD",
        substate="created",
        reason="r",
        raw_status="raw",
        message="m",
        settlement_amount=1,
        settlement_currency="USD",
        psp_transaction_id="psp",
        psp_reference="ref",
        provider="kopa",
        user_id="user",
        merchant_reference="mref",
        order_id="order",
        metadata={"deep": {"b": [1, "2", None, True]}},
        reserves=True,
        news_at=1,
        news_sequence=2,
        check_at=3,
        checks=4,
        if_silent=TransactionStatus.FAILED,
    )
    step = inbound.opening(full, ON_HOLD, effects=(RESERVE,))
    await inbound.do(transaction_writes=(step,))

    assert await inbound.store.transaction(full.app_id, full.id) == step.transaction
    assert await inbound.store.transitions(full.app_id, full.id) == list(step.transitions)
    assert await inbound.store.effects(full.app_id, full.id) == list(step.effects)


async def test_a_change_without_a_transition_raises_only_the_version(
    inbound: InboundHarness,
) -> None:
    before = await inbound.create()
    after = await inbound.move(before, psp_transaction_id="psp-1", check_at=None)

    assert (after.version, after.sequence) == (2, 1)
    assert await inbound.store.transaction(before.app_id, before.id) == after
    assert len(await inbound.store.transitions(before.app_id, before.id)) == 1


async def test_a_pay_out_reserves_and_releases(inbound: InboundHarness) -> None:
    before = await inbound.create(effects=(RESERVE,), direction=Direction.PAY_OUT, reserves=True)
    await inbound.move(before, DECLINED, effects=(RELEASE,))

    assert [e.kind for e in await inbound.store.effects(before.app_id, before.id)] == [
        RESERVE,
        RELEASE,
    ]


async def test_a_superseding_step_leaves_a_terminal_status(inbound: InboundHarness) -> None:
    declined = await inbound.create(DECLINED)
    approved = await inbound.move(declined, APPROVED, effects=(CREDIT,))

    assert approved.sequence == 3
    assert [
        t.supersedes for t in await inbound.store.transitions(declined.app_id, declined.id)
    ] == [
        None,
        None,
        2,
    ]


async def test_a_delivery_of_a_change_can_be_claimed(inbound: InboundHarness) -> None:
    news = inbound.publication()
    await inbound.do(publications=(news,))

    (claim,) = await inbound.outbound.claim()
    assert (claim.message, claim.body) == (news.message, BODY)


async def test_many_changes_in_one_group_commit_are_all_done(inbound: InboundHarness) -> None:
    opened = [inbound.opening(inbound.transaction(uid=f"u{n}")) for n in range(300)]
    moved = [inbound.step(s.transaction, APPROVED, effects=(CREDIT,)) for s in opened]
    first = [inbound.store.commit_changes(ChangeSet(transaction_writes=(step,))) for step in opened]
    then = [inbound.store.commit_changes(ChangeSet(transaction_writes=(step,))) for step in moved]

    assert set(await asyncio.gather(*first, *then)) == {ChangesCommitted()}
    for step in moved:
        assert (
            await inbound.store.transaction(inbound.outbound.app, step.transaction.id)
            == step.transaction
        )
        assert len(await inbound.store.effects(step.transaction.app_id, step.transaction.id)) == 1


# ── waiting for a transaction ────────────────────────────────────────────────────────────────────


async def test_an_unmatched_callback_waits_under_its_references(inbound: InboundHarness) -> None:
    callback = await inbound.receive("k")
    retry_at = inbound.outbound.now + HOUR
    waiting = await inbound.conclude(
        callback, UNMATCHED, retry_at=retry_at, awaited_references=("order-1", "psp-1", "order-1")
    )
    app = inbound.outbound.app

    assert (waiting.outcome, waiting.retry_at) == (UNMATCHED, retry_at)
    assert await inbound.store.callbacks_awaiting(app, ["other", "psp-1", "order-1"]) == [waiting]
    assert await inbound.store.callbacks_awaiting(app, ["other"]) == []
    assert await inbound.store.callbacks_awaiting(app, []) == []
    assert await inbound.store.callbacks_awaiting(inbound.outbound.other_app, ["order-1"]) == []
    assert await inbound.store.callbacks_to_retry(retry_at - 1, 10) == []
    assert await inbound.store.callbacks_to_retry(retry_at, 10) == [waiting]


async def test_a_callback_that_waits_is_concluded_again(inbound: InboundHarness) -> None:
    callback = await inbound.receive("k")
    at = inbound.outbound.now
    await inbound.conclude(callback, UNMATCHED, retry_at=at, awaited_references=("a", "b"))
    await inbound.conclude(callback, UNMATCHED, retry_at=at + 1, awaited_references=("b", "c"))

    assert await inbound.store.callbacks_awaiting(inbound.outbound.app, ["a"]) == []
    assert len(await inbound.store.callbacks_awaiting(inbound.outbound.app, ["b", "c"])) == 1
    assert await inbound.store.callbacks_to_retry(at, 10) == []

    last = await inbound.conclude(callback, UNMATCHED)
    assert await inbound.store.callbacks_awaiting(inbound.outbound.app, ["b", "c"]) == []
    assert await inbound.store.callbacks_to_retry(at + HOUR, 10) == []
    assert last.retry_at is None
    late = ChangeSet(conclusion=inbound.conclusion(callback))
    assert await inbound.store.commit_changes(late) == PreconditionFailed("concluded")
