"""A decision becomes true as a whole."""

from __future__ import annotations

import asyncio

from tests.store.till import (
    APPLIED,
    APPROVED,
    CREDIT,
    DECLINED,
    ON_HOLD,
    PENDING,
    RELEASE,
    RESERVE,
    UNMATCHED,
    Till,
)
from tests.store.world import BODY
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


async def test_a_change_makes_all_of_a_decision_true(till: Till) -> None:
    before = await till.create(uid="order-1")
    callback = await till.receive("k")
    news = till.publication(event_id="e1")
    step = till.step(before, APPROVED, effects=(CREDIT,), metadata={"a": [1, None]})
    conflict, entry = till.conflict(before, callback_id=callback.id), till.audit_entry(before.id)
    told = till.conclusion(callback, transaction_id=before.id, message_ids=(news.message.id,))
    record = till.record()
    await till.do(
        transaction_writes=(step,),
        conclusion=told,
        conflicts=(conflict,),
        record_writes=(RecordWrite(record, 0),),
        publications=(news,),
        item_keys=((till.source, "item"),),
        audit=(entry,),
    )
    store, app = till.store, till.world.app

    assert await store.transaction(app, "order-1") == step.transaction
    assert [t.status for t in await store.transitions(before.app_id, before.id)] == [
        PENDING,
        APPROVED,
    ]
    assert await store.effects(before.app_id, before.id) == list(step.effects)
    assert (await till.reread(callback)).outcome is APPLIED
    assert (await till.reread(callback)).message_ids == (news.message.id,)
    assert await store.conflicts(app, ALL) == [conflict]
    assert await store.get(Source, record.id, app) == record
    assert await store.message(app, "e1") == news.message
    assert await store.body(news.message.app_id, news.message.id) == BODY
    assert (await store.counts()).waiting == 1
    assert await store.new_item_keys(till.world.app, till.source, ["item", "other"]) == {"other"}
    assert await store.audit(app, ALL) == [entry]
    assert await store.unprocessed_callbacks("", 10) == []


async def test_what_is_kept_of_a_transaction_is_all_of_it(till: Till) -> None:
    full = till.transaction(
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
    step = till.opening(full, ON_HOLD, effects=(RESERVE,))
    await till.do(transaction_writes=(step,))

    assert await till.store.transaction(full.app_id, full.id) == step.transaction
    assert await till.store.transitions(full.app_id, full.id) == list(step.transitions)
    assert await till.store.effects(full.app_id, full.id) == list(step.effects)


async def test_a_change_without_a_transition_raises_only_the_version(till: Till) -> None:
    before = await till.create()
    after = await till.move(before, psp_transaction_id="psp-1", check_at=None)

    assert (after.version, after.sequence) == (2, 1)
    assert await till.store.transaction(before.app_id, before.id) == after
    assert len(await till.store.transitions(before.app_id, before.id)) == 1


async def test_a_pay_out_reserves_and_releases(till: Till) -> None:
    before = await till.create(effects=(RESERVE,), direction=Direction.PAY_OUT, reserves=True)
    await till.move(before, DECLINED, effects=(RELEASE,))

    assert [e.kind for e in await till.store.effects(before.app_id, before.id)] == [
        RESERVE,
        RELEASE,
    ]


async def test_a_superseding_step_leaves_a_terminal_status(till: Till) -> None:
    declined = await till.create(DECLINED)
    approved = await till.move(declined, APPROVED, effects=(CREDIT,))

    assert approved.sequence == 3
    assert [t.supersedes for t in await till.store.transitions(declined.app_id, declined.id)] == [
        None,
        None,
        2,
    ]


async def test_a_delivery_of_a_change_can_be_claimed(till: Till) -> None:
    news = till.publication()
    await till.do(publications=(news,))

    (claim,) = await till.world.claim()
    assert (claim.message, claim.body) == (news.message, BODY)


async def test_many_changes_in_one_group_commit_are_all_done(till: Till) -> None:
    opened = [till.opening(till.transaction(uid=f"u{n}")) for n in range(300)]
    moved = [till.step(s.transaction, APPROVED, effects=(CREDIT,)) for s in opened]
    first = [till.store.commit_changes(ChangeSet(transaction_writes=(step,))) for step in opened]
    then = [till.store.commit_changes(ChangeSet(transaction_writes=(step,))) for step in moved]

    assert set(await asyncio.gather(*first, *then)) == {ChangesCommitted()}
    for step in moved:
        assert await till.store.transaction(till.world.app, step.transaction.id) == step.transaction
        assert len(await till.store.effects(step.transaction.app_id, step.transaction.id)) == 1


# ── waiting for a transaction ────────────────────────────────────────────────────────────────────


async def test_an_unmatched_callback_waits_under_its_references(till: Till) -> None:
    callback = await till.receive("k")
    retry_at = till.world.now + HOUR
    waiting = await till.conclude(
        callback, UNMATCHED, retry_at=retry_at, awaited_references=("order-1", "psp-1", "order-1")
    )
    app = till.world.app

    assert (waiting.outcome, waiting.retry_at) == (UNMATCHED, retry_at)
    assert await till.store.callbacks_awaiting(app, ["other", "psp-1", "order-1"]) == [waiting]
    assert await till.store.callbacks_awaiting(app, ["other"]) == []
    assert await till.store.callbacks_awaiting(app, []) == []
    assert await till.store.callbacks_awaiting(till.world.other_app, ["order-1"]) == []
    assert await till.store.callbacks_to_retry(retry_at - 1, 10) == []
    assert await till.store.callbacks_to_retry(retry_at, 10) == [waiting]


async def test_a_callback_that_waits_is_concluded_again(till: Till) -> None:
    callback = await till.receive("k")
    at = till.world.now
    await till.conclude(callback, UNMATCHED, retry_at=at, awaited_references=("a", "b"))
    await till.conclude(callback, UNMATCHED, retry_at=at + 1, awaited_references=("b", "c"))

    assert await till.store.callbacks_awaiting(till.world.app, ["a"]) == []
    assert len(await till.store.callbacks_awaiting(till.world.app, ["b", "c"])) == 1
    assert await till.store.callbacks_to_retry(at, 10) == []

    last = await till.conclude(callback, UNMATCHED)
    assert await till.store.callbacks_awaiting(till.world.app, ["b", "c"]) == []
    assert await till.store.callbacks_to_retry(at + HOUR, 10) == []
    assert last.retry_at is None
    late = ChangeSet(conclusion=till.conclusion(callback))
    assert await till.store.commit_changes(late) == PreconditionFailed("concluded")
