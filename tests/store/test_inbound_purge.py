"""What goes by the calendar, and what goes with an application."""

from __future__ import annotations

from collections.abc import Sequence

from tests.store.inbound_harness import (
    APPLIED,
    APPROVED,
    CREDIT,
    DUPLICATE,
    REQUEST,
    UNMATCHED,
    InboundHarness,
)
from tillbell.clock import DAY, HOUR, Micros
from tillbell.ids import first_of
from tillbell.model.records import Application
from tillbell.model.shop import Tombstone
from tillbell.model.transactions import Transaction
from tillbell.storage.ports.inbound import CallbackFilter, ReceivedCallback, TransactionFilter
from tillbell.storage.ports.outbound import ALL


async def purge(
    inbound: InboundHarness,
    requests_before: Micros = 0,
    callbacks_before: Micros = 0,
    limit: int = 1_000,
) -> int:
    return await inbound.store.purge_inbound(
        requests_before=requests_before,
        callbacks_before=callbacks_before,
        now=inbound.outbound.now,
        limit=limit,
    )


async def test_requests_go_before_their_callbacks(inbound: InboundHarness) -> None:
    callback = await inbound.receive("k")
    inbound.outbound.clock.advance(1)
    later = await inbound.receive("later")

    assert await purge(inbound, requests_before=later.received_at) == 1
    assert await inbound.store.callback_request(callback.app_id, callback.id) is None
    assert await inbound.store.callback_request(later.app_id, later.id) == REQUEST
    assert await inbound.reread(callback) == callback
    assert await purge(inbound, requests_before=later.received_at) == 0


async def test_a_request_is_deleted_alone(inbound: InboundHarness) -> None:
    callback, other = await inbound.receive("a"), await inbound.receive("b")
    assert await inbound.store.expunge_callback(callback.app_id, callback.id)
    assert not await inbound.store.expunge_callback(callback.app_id, callback.id)

    assert await inbound.store.callback_request(callback.app_id, callback.id) is None
    assert await inbound.store.callback_request(other.app_id, other.id) == REQUEST
    assert await inbound.reread(callback) == callback


async def test_marks_of_deleted_records_go_after_400_days(inbound: InboundHarness) -> None:
    mark = Tombstone(id=first_of("tmb", inbound.outbound.now), scope="app_a", uid="m", removed_at=1)
    await inbound.store.put(mark)
    inbound.outbound.clock.advance(400 * 86_400)
    assert await purge(inbound) == 0
    inbound.outbound.clock.advance(1)
    assert (await purge(inbound), await purge(inbound)) == (1, 0)
    assert await inbound.store.get(Tombstone, "m", "app_a") is None


async def test_requests_of_bulk_providers_go_after_a_day(inbound: InboundHarness) -> None:
    bulk, plain = inbound.callback("a"), inbound.callback("b")
    await inbound.store.receive(ReceivedCallback(bulk, REQUEST, is_bulk=True))
    await inbound.store.receive(ReceivedCallback(plain, REQUEST))
    assert await purge(inbound) == 0

    inbound.outbound.clock.advance(86_401)
    assert await purge(inbound) == 1
    assert await inbound.store.callback_request(bulk.app_id, bulk.id) is None
    assert await inbound.store.callback_request(plain.app_id, plain.id) == REQUEST


async def test_callbacks_go_when_they_are_done_with(inbound: InboundHarness) -> None:
    done = await inbound.conclude(await inbound.receive("a"), APPLIED)
    fresh = await inbound.receive("b")
    retry_at = inbound.outbound.now + HOUR
    waiting = await inbound.conclude(
        await inbound.receive("c"), UNMATCHED, retry_at=retry_at, awaited_references=("order-1",)
    )
    inbound.outbound.clock.advance(1)
    await purge(inbound, callbacks_before=inbound.outbound.now)
    app = inbound.outbound.app

    assert await inbound.store.callback(app, done.id) is None
    assert await inbound.store.callback_request(done.app_id, done.id) is None
    assert await inbound.store.callbacks(app, CallbackFilter(), ALL) == [fresh, waiting]
    assert await inbound.store.callback_request(fresh.app_id, fresh.id) == REQUEST
    assert await inbound.store.callbacks_awaiting(app, ["order-1"]) == [waiting]


async def test_item_keys_are_forgotten_after_two_days(inbound: InboundHarness) -> None:
    seen = ((inbound.source, "item"),)
    await inbound.do(conclusion=inbound.conclusion(await inbound.receive("k")), item_keys=seen)
    inbound.outbound.clock.advance(2 * 86_400)
    await purge(inbound)
    assert (
        await inbound.store.new_item_keys(inbound.outbound.app, inbound.source, ["item"]) == set()
    )

    inbound.outbound.clock.advance(1)
    await purge(inbound)
    assert await inbound.store.new_item_keys(inbound.outbound.app, inbound.source, ["item"]) == {
        "item"
    }


async def test_a_purge_stops_at_its_limit_and_goes_on(inbound: InboundHarness) -> None:
    callbacks = [await inbound.receive(f"k{n}") for n in range(5)]
    for callback in callbacks:
        await inbound.conclude(callback)
    inbound.outbound.clock.advance(1)
    now = inbound.outbound.now
    gone = [await purge(inbound, now, now, limit=3) for _ in range(5)]

    assert gone == [3, 3, 3, 1, 0]
    assert await inbound.store.callbacks(inbound.outbound.app, CallbackFilter(), ALL) == []


async def test_money_is_never_purged(inbound: InboundHarness) -> None:
    payment = await inbound.captured()
    inbound.outbound.clock.advance(5_000 * 86_400)
    now = inbound.outbound.now
    await purge(inbound, now, now)

    assert await inbound.store.transaction(payment.app_id, payment.id) == payment
    assert len(await inbound.store.transitions(payment.app_id, payment.id)) == 2
    assert len(await inbound.store.effects(payment.app_id, payment.id)) == 1


async def fill(inbound: InboundHarness, app: str) -> Transaction:
    """Give an application something of everything."""
    await inbound.store.put(Application(id=app, name=app))
    callback = await inbound.receive("k", app_id=app, source_id=f"src_{app}")
    waiting = await inbound.receive("w", app_id=app)
    payment = await inbound.create(APPROVED, effects=(CREDIT,), app_id=app)
    refund = inbound.refunding(payment, 10, app_id=app)
    told = inbound.conclusion(callback)
    conflict = inbound.conflict(payment)
    entry = inbound.audit_entry(payment.id, app_id=app)
    await inbound.do(
        transaction_writes=(refund,),
        conclusion=told,
        conflicts=(conflict,),
        audit=(entry,),
        item_keys=((f"src_{app}", "item"),),
    )
    retry_at = inbound.outbound.now + DAY
    await inbound.conclude(waiting, UNMATCHED, retry_at=retry_at, awaited_references=("order-1",))
    return payment


async def count(inbound: InboundHarness, app: str, payment: Transaction) -> list[int]:
    """Count what an application has of everything."""
    store = inbound.store
    callbacks = await store.callbacks(app, CallbackFilter(), ALL)
    found: list[Sequence[object]] = [
        callbacks,
        [c for c in callbacks if await store.callback_request(c.app_id, c.id)],
        await store.callbacks_awaiting(app, ["order-1"]),
        await store.transactions(app, TransactionFilter(), ALL),
        await store.transitions(payment.app_id, payment.id),
        await store.effects(payment.app_id, payment.id),
        await store.conflicts(app, ALL),
        await store.audit(app, ALL),
    ]
    return [len(rows) for rows in found]


async def test_the_books_go_with_their_application_and_with_no_other(
    inbound: InboundHarness,
) -> None:
    app, other = inbound.outbound.app, inbound.outbound.other_app
    payment = await fill(inbound, app)
    others = await fill(inbound, other)
    await inbound.store.remove(Application, app)

    assert await count(inbound, app, payment) == [0] * 8
    assert await count(inbound, other, others) == [2, 2, 1, 2, 2, 1, 1, 1]
    assert await inbound.store.new_item_keys(app, f"src_{app}", ["item"]) == {"item"}
    assert (await inbound.receive("k", app_id=app, source_id=f"src_{app}")).outcome is None
    again = await inbound.receive("k", app_id=other, source_id=f"src_{other}")
    assert again.outcome is DUPLICATE


async def test_the_books_stay_when_another_record_goes(inbound: InboundHarness) -> None:
    payment = await inbound.captured()
    await inbound.store.remove(Application, payment.app_id)  # there is no such record

    assert await inbound.store.transaction(payment.app_id, payment.id) == payment
