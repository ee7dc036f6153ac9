"""What a decision rests on has changed meanwhile: then nothing of it is stored."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.store.till import (
    APPROVED,
    CREDIT,
    DEBIT,
    ON_HOLD,
    Till,
)
from tillbell.model.callbacks import Outcome
from tillbell.model.sources import Source
from tillbell.storage.ports.inbound import (
    ChangesCommitted,
    ChangeSet,
    PreconditionFailed,
    RecordWrite,
)
from tillbell.storage.ports.outbound import ALL, DuplicateEventId, MessageFilter


async def crosses(till: Till, why: str, **parts: Any) -> None:
    """Add parts that are beyond reproach; none of them must be stored."""
    entry = till.audit_entry("x")
    opening = till.opening(till.transaction())
    news, seen = till.publication(), ((till.source, "fresh"),)
    parts.setdefault("conclusion", till.conclusion(await till.receive(None)))
    parts["transaction_writes"] = (opening, *parts.get("transaction_writes", ()))
    change = ChangeSet(**{"audit": (entry,), "publications": (news,), "item_keys": seen, **parts})

    assert await till.store.commit_changes(change) == PreconditionFailed(why)
    assert await till.store.transaction(till.world.app, opening.transaction.id) is None
    assert await till.store.transitions(opening.transaction.app_id, opening.transaction.id) == []
    assert await till.store.audit(till.world.app, ALL, "x") == []
    assert await till.store.message(till.world.app, news.message.id) is None
    assert await till.store.new_item_keys(till.world.app, till.source, ["fresh"]) == {"fresh"}


async def test_a_step_from_an_old_version_crosses(till: Till) -> None:
    before = await till.create()
    await till.move(before, ON_HOLD)

    await crosses(
        till, "version", transaction_writes=(till.step(before, APPROVED, effects=(CREDIT,)),)
    )
    assert await till.store.effects(before.app_id, before.id) == []


async def test_a_step_of_what_is_there_already_or_not_yet_crosses(till: Till) -> None:
    new = till.transaction()
    await crosses(till, "version", transaction_writes=(till.step(new, APPROVED),))
    await till.do(transaction_writes=(till.opening(new),))

    await crosses(till, "version", transaction_writes=(till.opening(new),))


async def test_of_two_equal_steps_in_one_group_commit_one_is_done(till: Till) -> None:
    before = await till.create()
    changes = [
        ChangeSet(transaction_writes=(till.step(before, APPROVED, effects=(CREDIT,)),))
        for _ in range(200)
    ]
    found = await asyncio.gather(*map(till.store.commit_changes, changes))

    assert list(found) == [ChangesCommitted(), *[PreconditionFailed("version")] * 199]
    assert len(await till.store.effects(before.app_id, before.id)) == 1


async def test_a_second_transaction_of_one_uid_crosses(till: Till) -> None:
    await till.create(uid="order-1")
    await crosses(till, "uid", transaction_writes=(till.opening(till.transaction(uid="order-1")),))

    await till.create(uid="order-1", app_id=till.world.other_app)


async def test_two_of_one_uid_in_one_group_commit_are_seen_as_such(till: Till) -> None:
    changes = [
        ChangeSet(transaction_writes=(till.opening(till.transaction(uid="u")),)) for _ in range(3)
    ]
    found = await asyncio.gather(*map(till.store.commit_changes, changes))

    assert list(found) == [ChangesCommitted(), PreconditionFailed("uid"), PreconditionFailed("uid")]


async def test_a_conclusion_takes_the_place_of_the_one_it_names_and_of_no_other(
    till: Till,
) -> None:
    callback = await till.receive("k")
    await till.conclude(callback, Outcome.NOTED)
    again = till.conclusion(callback, Outcome.APPLIED)
    await crosses(till, "concluded", conclusion=again._replace(replaces=Outcome.MISMATCH))
    await till.do(conclusion=again._replace(replaces=Outcome.NOTED))

    assert (await till.reread(callback)).outcome is Outcome.APPLIED
    await crosses(till, "concluded", conclusion=again._replace(replaces=Outcome.NOTED))


async def test_a_second_conclusion_crosses(till: Till) -> None:
    callback = await till.receive("k")
    await till.conclude(callback)

    await crosses(till, "concluded", conclusion=till.conclusion(callback))
    unknown = till.conclusion(till.callback("never stored"))
    assert await till.store.commit_changes(ChangeSet(conclusion=unknown)) == PreconditionFailed(
        "concluded"
    )


async def test_of_two_conclusions_in_one_group_commit_one_is_done(till: Till) -> None:
    conclusion = till.conclusion(await till.receive("k"))
    found = await asyncio.gather(
        *(till.store.commit_changes(ChangeSet(conclusion=conclusion)) for _ in range(3))
    )

    assert list(found) == [
        ChangesCommitted(),
        PreconditionFailed("concluded"),
        PreconditionFailed("concluded"),
    ]


async def test_the_same_refund_under_two_events_is_applied_once(till: Till) -> None:
    payment = await till.captured()
    await till.do(transaction_writes=(till.refunding(payment, 100, psp_transaction_id="re_1"),))
    again = till.refunding(payment, 100, psp_transaction_id="re_1")

    await crosses(till, "psp_transaction_id", transaction_writes=(again,))
    await till.do(transaction_writes=(till.refunding(payment, 100, psp_transaction_id="re_2"),))
    other = till.refunding(payment, 100, psp_transaction_id="re_1", source_id=till.second)
    await till.do(transaction_writes=(other,))
    assert len(await till.store.linked_transactions(payment.app_id, payment.id)) == 3


async def test_the_same_refund_twice_in_one_group_commit_is_applied_once(till: Till) -> None:
    payment = await till.captured()
    fields = {"psp_transaction_id": "re_1", "source_id": None}
    changes = [
        ChangeSet(transaction_writes=(till.refunding(payment, 100, **fields),)) for _ in range(3)
    ]
    found = await asyncio.gather(*map(till.store.commit_changes, changes))

    assert list(found) == [ChangesCommitted(), *[PreconditionFailed("psp_transaction_id")] * 2]


async def test_refunds_beyond_what_was_captured_cross(till: Till) -> None:
    payment = await till.captured(amount=1_000)
    await till.do(transaction_writes=(till.refunding(payment, 600),))

    await crosses(till, "refunds", transaction_writes=(till.refunding(payment, 401),))
    await till.do(transaction_writes=(till.refunding(payment, 400),))
    await crosses(till, "refunds", transaction_writes=(till.refunding(payment, 1),))


async def test_refunds_of_one_group_commit_are_counted_together(till: Till) -> None:
    payment = await till.captured(amount=1_000)
    changes = [ChangeSet(transaction_writes=(till.refunding(payment, 300),)) for _ in range(5)]
    found = await asyncio.gather(*map(till.store.commit_changes, changes))

    assert list(found) == [*[ChangesCommitted()] * 3, *[PreconditionFailed("refunds")] * 2]


async def test_a_refund_of_what_was_not_captured_crosses(till: Till) -> None:
    await crosses(till, "refunds", transaction_writes=(till.refunding(await till.create(), 1),))


async def test_a_payment_can_be_captured_and_refunded_at_once(till: Till) -> None:
    payment = till.opening(till.transaction(amount=500), APPROVED, effects=(CREDIT,))
    await till.do(transaction_writes=(payment, till.refunding(payment.transaction, 500)))

    (refund,) = await till.store.linked_transactions(
        payment.transaction.app_id, payment.transaction.id
    )
    assert [e.kind for e in await till.store.effects(refund.app_id, refund.id)] == [DEBIT]


async def test_a_used_event_id_crosses(till: Till) -> None:
    first = await till.world.publish(event_id="e1")
    again = till.publication(event_id="e1")

    await crosses(till, "event_id", publications=(again,))
    assert await till.store.publish(again) == DuplicateEventId(first.id)


async def test_messages_of_publish_and_of_change_share_their_event_ids(till: Till) -> None:
    both = [till.publication(event_id="e1") for _ in range(2)]
    change = till.store.commit_changes(ChangeSet(publications=(both[0],)))
    found = await asyncio.gather(change, till.store.publish(both[1]))

    assert list(found) == [ChangesCommitted(), DuplicateEventId(both[0].message.id)]
    assert await till.store.messages(till.world.app, MessageFilter(), ALL) == [both[0].message]


async def test_a_record_of_another_version_crosses(till: Till) -> None:
    record = till.record(uid="main")
    await till.do(record_writes=(RecordWrite(record, 0),))
    newer = till.record(id=record.id, uid="main", version=2)

    await crosses(till, "version", record_writes=(RecordWrite(newer, 0),))
    await crosses(till, "version", record_writes=(RecordWrite(newer, 2),))
    await till.do(record_writes=(RecordWrite(newer, 1),))
    assert await till.store.get(Source, "main", till.world.app) == newer
    await crosses(till, "uid", record_writes=(RecordWrite(till.record(uid="main"), 0),))


async def test_a_conflict_is_resolved_once(till: Till) -> None:
    of = await till.create()
    conflict = till.conflict(of, amount=5, currency="EUR", why="It was declined.")
    await till.do(conflicts=(conflict,))
    resolved = conflict._replace(
        resolved_at=till.world.now,
        resolution="keep",
        resolved_by="key_1",
        resolution_reason="asked them",
    )
    await till.do(resolved=(resolved,))

    assert await till.store.conflicts(of.app_id, ALL) == [resolved]
    await crosses(till, "resolved", resolved=(resolved,))
    await crosses(till, "resolved", resolved=(till.conflict(of),))


async def test_an_item_that_was_seen_crosses(till: Till) -> None:
    callback = await till.receive("k")
    seen = ((till.source, "a"), (till.source, "b"), (till.source, "a"))
    await till.do(conclusion=till.conclusion(callback), item_keys=seen)

    await crosses(till, "seen", item_keys=((till.source, "b"), (till.source, "c")))
    assert await till.store.new_item_keys(till.world.app, till.source, ["a", "b", "c"]) == {"c"}
    assert await till.store.new_item_keys(till.world.app, till.second, ["a"]) == {"a"}
