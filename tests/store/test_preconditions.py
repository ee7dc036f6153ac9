"""What a decision rests on has changed meanwhile: then nothing of it is stored."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.store.inbound_harness import (
    APPROVED,
    CREDIT,
    DEBIT,
    ON_HOLD,
    InboundHarness,
)
from tillbell.model.callbacks import Outcome
from tillbell.model.shop import Order
from tillbell.model.sources import Source
from tillbell.storage.ports.inbound import (
    ChangesCommitted,
    ChangeSet,
    PaymentsRead,
    PreconditionFailed,
    RecordWrite,
)
from tillbell.storage.ports.outbound import ALL, DuplicateEventId, MessageFilter


async def crosses(inbound: InboundHarness, why: str, **parts: Any) -> None:
    """Add parts that are beyond reproach; none of them must be stored."""
    entry = inbound.audit_entry("x")
    opening = inbound.opening(inbound.transaction())
    news, seen = inbound.publication(), ((inbound.source, "fresh"),)
    parts.setdefault("conclusion", inbound.conclusion(await inbound.receive(None)))
    parts["transaction_writes"] = (opening, *parts.get("transaction_writes", ()))
    change = ChangeSet(**{"audit": (entry,), "publications": (news,), "item_keys": seen, **parts})

    assert await inbound.store.commit_changes(change) == PreconditionFailed(why)
    assert await inbound.store.transaction(inbound.outbound.app, opening.transaction.id) is None
    assert await inbound.store.transitions(opening.transaction.app_id, opening.transaction.id) == []
    assert await inbound.store.audit(inbound.outbound.app, ALL, "x") == []
    assert await inbound.store.message(inbound.outbound.app, news.message.id) is None
    assert await inbound.store.new_item_keys(inbound.outbound.app, inbound.source, ["fresh"]) == {
        "fresh"
    }


async def test_a_step_from_an_old_version_crosses(inbound: InboundHarness) -> None:
    before = await inbound.create()
    await inbound.move(before, ON_HOLD)

    await crosses(
        inbound, "version", transaction_writes=(inbound.step(before, APPROVED, effects=(CREDIT,)),)
    )
    assert await inbound.store.effects(before.app_id, before.id) == []


async def test_a_step_of_what_is_there_already_or_not_yet_crosses(inbound: InboundHarness) -> None:
    new = inbound.transaction()
    await crosses(inbound, "version", transaction_writes=(inbound.step(new, APPROVED),))
    await inbound.do(transaction_writes=(inbound.opening(new),))

    await crosses(inbound, "version", transaction_writes=(inbound.opening(new),))


async def test_of_two_equal_steps_in_one_group_commit_one_is_done(inbound: InboundHarness) -> None:
    before = await inbound.create()
    changes = [
        ChangeSet(transaction_writes=(inbound.step(before, APPROVED, effects=(CREDIT,)),))
        for _ in range(200)
    ]
    found = await asyncio.gather(*map(inbound.store.commit_changes, changes))

    assert list(found) == [ChangesCommitted(), *[PreconditionFailed("version")] * 199]
    assert len(await inbound.store.effects(before.app_id, before.id)) == 1


async def test_a_second_transaction_of_one_uid_crosses(inbound: InboundHarness) -> None:
    await inbound.create(uid="order-1")
    await crosses(
        inbound, "uid", transaction_writes=(inbound.opening(inbound.transaction(uid="order-1")),)
    )

    await inbound.create(uid="order-1", app_id=inbound.outbound.other_app)


async def test_two_of_one_uid_in_one_group_commit_are_seen_as_such(inbound: InboundHarness) -> None:
    changes = [
        ChangeSet(transaction_writes=(inbound.opening(inbound.transaction(uid="u")),))
        for _ in range(3)
    ]
    found = await asyncio.gather(*map(inbound.store.commit_changes, changes))

    assert list(found) == [ChangesCommitted(), PreconditionFailed("uid"), PreconditionFailed("uid")]


async def test_a_conclusion_takes_the_place_of_the_one_it_names_and_of_no_other(
    inbound: InboundHarness,
) -> None:
    callback = await inbound.receive("k")
    await inbound.conclude(callback, Outcome.NOTED)
    again = inbound.conclusion(callback, Outcome.APPLIED)
    await crosses(inbound, "concluded", conclusion=again._replace(replaces=Outcome.MISMATCH))
    await inbound.do(conclusion=again._replace(replaces=Outcome.NOTED))

    assert (await inbound.reread(callback)).outcome is Outcome.APPLIED
    await crosses(inbound, "concluded", conclusion=again._replace(replaces=Outcome.NOTED))


async def test_a_second_conclusion_crosses(inbound: InboundHarness) -> None:
    callback = await inbound.receive("k")
    await inbound.conclude(callback)

    await crosses(inbound, "concluded", conclusion=inbound.conclusion(callback))
    unknown = inbound.conclusion(inbound.callback("never stored"))
    assert await inbound.store.commit_changes(ChangeSet(conclusion=unknown)) == PreconditionFailed(
        "concluded"
    )


async def test_of_two_conclusions_in_one_group_commit_one_is_done(inbound: InboundHarness) -> None:
    conclusion = inbound.conclusion(await inbound.receive("k"))
    found = await asyncio.gather(
        *(inbound.store.commit_changes(ChangeSet(conclusion=conclusion)) for _ in range(3))
    )

    assert list(found) == [
        ChangesCommitted(),
        PreconditionFailed("concluded"),
        PreconditionFailed("concluded"),
    ]


async def test_the_same_refund_under_two_events_is_applied_once(inbound: InboundHarness) -> None:
    payment = await inbound.captured()
    await inbound.do(
        transaction_writes=(inbound.refunding(payment, 100, psp_transaction_id="re_1"),)
    )
    again = inbound.refunding(payment, 100, psp_transaction_id="re_1")

    await crosses(inbound, "psp_transaction_id", transaction_writes=(again,))
    await inbound.do(
        transaction_writes=(inbound.refunding(payment, 100, psp_transaction_id="re_2"),)
    )
    other = inbound.refunding(payment, 100, psp_transaction_id="re_1", source_id=inbound.second)
    await inbound.do(transaction_writes=(other,))
    assert len(await inbound.store.linked_transactions(payment.app_id, payment.id)) == 3


async def test_the_same_refund_twice_in_one_group_commit_is_applied_once(
    inbound: InboundHarness,
) -> None:
    payment = await inbound.captured()
    fields = {"psp_transaction_id": "re_1", "source_id": None}
    changes = [
        ChangeSet(transaction_writes=(inbound.refunding(payment, 100, **fields),)) for _ in range(3)
    ]
    found = await asyncio.gather(*map(inbound.store.commit_changes, changes))

    assert list(found) == [ChangesCommitted(), *[PreconditionFailed("psp_transaction_id")] * 2]


async def test_refunds_beyond_what_was_captured_cross(inbound: InboundHarness) -> None:
    payment = await inbound.captured(amount=1_000)
    await inbound.do(transaction_writes=(inbound.refunding(payment, 600),))

    await crosses(inbound, "refunds", transaction_writes=(inbound.refunding(payment, 401),))
    await inbound.do(transaction_writes=(inbound.refunding(payment, 400),))
    await crosses(inbound, "refunds", transaction_writes=(inbound.refunding(payment, 1),))


async def test_refunds_of_one_group_commit_are_counted_together(inbound: InboundHarness) -> None:
    payment = await inbound.captured(amount=1_000)
    changes = [ChangeSet(transaction_writes=(inbound.refunding(payment, 300),)) for _ in range(5)]
    found = await asyncio.gather(*map(inbound.store.commit_changes, changes))

    assert list(found) == [*[ChangesCommitted()] * 3, *[PreconditionFailed("refunds")] * 2]


async def test_a_refund_of_what_was_not_captured_crosses(inbound: InboundHarness) -> None:
    await crosses(
        inbound, "refunds", transaction_writes=(inbound.refunding(await inbound.create(), 1),)
    )


async def test_a_payment_can_be_captured_and_refunded_at_once(inbound: InboundHarness) -> None:
    payment = inbound.opening(inbound.transaction(amount=500), APPROVED, effects=(CREDIT,))
    await inbound.do(transaction_writes=(payment, inbound.refunding(payment.transaction, 500)))

    (refund,) = await inbound.store.linked_transactions(
        payment.transaction.app_id, payment.transaction.id
    )
    assert [e.kind for e in await inbound.store.effects(refund.app_id, refund.id)] == [DEBIT]


async def test_a_used_event_id_crosses(inbound: InboundHarness) -> None:
    first = await inbound.outbound.publish(event_id="e1")
    again = inbound.publication(event_id="e1")

    await crosses(inbound, "event_id", publications=(again,))
    assert await inbound.store.publish(again) == DuplicateEventId(first.id)


async def test_messages_of_publish_and_of_change_share_their_event_ids(
    inbound: InboundHarness,
) -> None:
    both = [inbound.publication(event_id="e1") for _ in range(2)]
    change = inbound.store.commit_changes(ChangeSet(publications=(both[0],)))
    found = await asyncio.gather(change, inbound.store.publish(both[1]))

    assert list(found) == [ChangesCommitted(), DuplicateEventId(both[0].message.id)]
    assert await inbound.store.messages(inbound.outbound.app, MessageFilter(), ALL) == [
        both[0].message
    ]


async def test_a_record_of_another_version_crosses(inbound: InboundHarness) -> None:
    record = inbound.record(uid="main")
    await inbound.do(record_writes=(RecordWrite(record, 0),))
    newer = inbound.record(id=record.id, uid="main", version=2)

    await crosses(inbound, "version", record_writes=(RecordWrite(newer, 0),))
    await crosses(inbound, "version", record_writes=(RecordWrite(newer, 2),))
    await inbound.do(record_writes=(RecordWrite(newer, 1),))
    assert await inbound.store.get(Source, "main", inbound.outbound.app) == newer
    await crosses(inbound, "uid", record_writes=(RecordWrite(inbound.record(uid="main"), 0),))


async def test_an_order_and_its_payment_that_come_together_cross(inbound: InboundHarness) -> None:
    app = inbound.outbound.app
    payment = inbound.transaction(order_id="o1")
    order = Order(id=inbound.outbound.new("ord"), scope=app, uid="o1")
    write, nothing_read = RecordWrite(order, 0), PaymentsRead(app, "o1", frozenset())
    await inbound.do(transaction_writes=(inbound.opening(payment),), absent_orders=((app, "o1"),))

    await crosses(inbound, "version", record_writes=(write,), payments_read=(nothing_read,))
    assert await inbound.store.get(Order, "o1", app) is None
    read = nothing_read._replace(versions=frozenset({(payment.id, 1)}))
    await inbound.do(record_writes=(write,), payments_read=(read,))
    assert await inbound.store.get(Order, "o1", app) == order
    await crosses(inbound, "order", absent_orders=((app, "o1"),))
    await inbound.do(absent_orders=((app, "o2"),))


async def test_a_record_of_another_version_is_not_removed(inbound: InboundHarness) -> None:
    record, app = inbound.record(uid="main"), inbound.outbound.app
    await inbound.do(record_writes=(RecordWrite(record, 0),))
    entry = inbound.audit_entry(record.id)
    older = inbound.record(id=record.id, uid="main", version=2)

    await crosses(inbound, "version", removed_records=(older,), audit=(entry,))
    assert await inbound.store.get(Source, record.id, app) == record
    assert await inbound.store.audit(app, ALL) == []
    await inbound.do(removed_records=(record,), audit=(entry,))
    assert await inbound.store.get(Source, record.id, app) is None
    assert await inbound.store.audit(app, ALL) == [entry]
    await crosses(inbound, "version", removed_records=(record,))


async def test_a_conflict_is_resolved_once(inbound: InboundHarness) -> None:
    of = await inbound.create()
    conflict = inbound.conflict(of, amount=5, currency="EUR", why="It was declined.")
    await inbound.do(conflicts=(conflict,))
    resolved = conflict._replace(
        resolved_at=inbound.outbound.now,
        resolution="keep",
        resolved_by="key_1",
        resolution_reason="asked them",
    )
    await inbound.do(resolved=(resolved,))

    assert await inbound.store.conflicts(of.app_id, ALL) == [resolved]
    await crosses(inbound, "resolved", resolved=(resolved,))
    await crosses(inbound, "resolved", resolved=(inbound.conflict(of),))


async def test_an_item_that_was_seen_crosses(inbound: InboundHarness) -> None:
    callback = await inbound.receive("k")
    seen = ((inbound.source, "a"), (inbound.source, "b"), (inbound.source, "a"))
    await inbound.do(conclusion=inbound.conclusion(callback), item_keys=seen)

    await crosses(inbound, "seen", item_keys=((inbound.source, "b"), (inbound.source, "c")))
    assert await inbound.store.new_item_keys(
        inbound.outbound.app, inbound.source, ["a", "b", "c"]
    ) == {"c"}
    assert await inbound.store.new_item_keys(inbound.outbound.app, inbound.second, ["a"]) == {"a"}
