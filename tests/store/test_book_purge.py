"""What goes by the calendar, and what goes with an application."""

from __future__ import annotations

from collections.abc import Sequence

from tests.store.till import APPLIED, APPROVED, CREDIT, DUPLICATE, REQUEST, UNMATCHED, Till
from tillbell.clock import DAY, HOUR, Micros
from tillbell.model.records import Application
from tillbell.model.transactions import Transaction
from tillbell.storage.ports.inbound import CallbackFilter, ReceivedCallback, TransactionFilter
from tillbell.storage.ports.outbound import ALL


async def purge(
    till: Till, requests_before: Micros = 0, callbacks_before: Micros = 0, limit: int = 1_000
) -> int:
    return await till.store.purge_inbound(
        requests_before=requests_before,
        callbacks_before=callbacks_before,
        now=till.world.now,
        limit=limit,
    )


async def test_requests_go_before_their_callbacks(till: Till) -> None:
    callback = await till.receive("k")
    till.world.clock.advance(1)
    later = await till.receive("later")

    assert await purge(till, requests_before=later.received_at) == 1
    assert await till.store.callback_request(callback.app_id, callback.id) is None
    assert await till.store.callback_request(later.app_id, later.id) == REQUEST
    assert await till.reread(callback) == callback
    assert await purge(till, requests_before=later.received_at) == 0


async def test_requests_of_bulk_providers_go_after_a_day(till: Till) -> None:
    bulk, plain = till.callback("a"), till.callback("b")
    await till.store.receive(ReceivedCallback(bulk, REQUEST, is_bulk=True))
    await till.store.receive(ReceivedCallback(plain, REQUEST))
    assert await purge(till) == 0

    till.world.clock.advance(86_401)
    assert await purge(till) == 1
    assert await till.store.callback_request(bulk.app_id, bulk.id) is None
    assert await till.store.callback_request(plain.app_id, plain.id) == REQUEST


async def test_callbacks_go_when_they_are_done_with(till: Till) -> None:
    done = await till.conclude(await till.receive("a"), APPLIED)
    fresh = await till.receive("b")
    retry_at = till.world.now + HOUR
    waiting = await till.conclude(
        await till.receive("c"), UNMATCHED, retry_at=retry_at, awaited_references=("order-1",)
    )
    till.world.clock.advance(1)
    await purge(till, callbacks_before=till.world.now)
    app = till.world.app

    assert await till.store.callback(app, done.id) is None
    assert await till.store.callback_request(done.app_id, done.id) is None
    assert await till.store.callbacks(app, CallbackFilter(), ALL) == [fresh, waiting]
    assert await till.store.callback_request(fresh.app_id, fresh.id) == REQUEST
    assert await till.store.callbacks_awaiting(app, ["order-1"]) == [waiting]


async def test_item_keys_are_forgotten_after_two_days(till: Till) -> None:
    seen = ((till.source, "item"),)
    await till.do(conclusion=till.conclusion(await till.receive("k")), item_keys=seen)
    till.world.clock.advance(2 * 86_400)
    await purge(till)
    assert await till.store.new_item_keys(till.world.app, till.source, ["item"]) == set()

    till.world.clock.advance(1)
    await purge(till)
    assert await till.store.new_item_keys(till.world.app, till.source, ["item"]) == {"item"}


async def test_a_purge_stops_at_its_limit_and_goes_on(till: Till) -> None:
    callbacks = [await till.receive(f"k{n}") for n in range(5)]
    for callback in callbacks:
        await till.conclude(callback)
    till.world.clock.advance(1)
    now = till.world.now
    gone = [await purge(till, now, now, limit=3) for _ in range(5)]

    assert gone == [3, 3, 3, 1, 0]
    assert await till.store.callbacks(till.world.app, CallbackFilter(), ALL) == []


async def test_money_is_never_purged(till: Till) -> None:
    payment = await till.captured()
    till.world.clock.advance(5_000 * 86_400)
    now = till.world.now
    await purge(till, now, now)

    assert await till.store.transaction(payment.app_id, payment.id) == payment
    assert len(await till.store.transitions(payment.app_id, payment.id)) == 2
    assert len(await till.store.effects(payment.app_id, payment.id)) == 1


async def fill(till: Till, app: str) -> Transaction:
    """Give an application something of everything."""
    await till.store.put(Application(id=app, name=app))
    callback = await till.receive("k", app_id=app, source_id=f"src_{app}")
    waiting = await till.receive("w", app_id=app)
    payment = await till.create(APPROVED, effects=(CREDIT,), app_id=app)
    refund = till.refunding(payment, 10, app_id=app)
    told = till.conclusion(callback)
    conflict = till.conflict(payment)
    entry = till.audit_entry(payment.id, app_id=app)
    await till.do(
        transaction_writes=(refund,),
        conclusion=told,
        conflicts=(conflict,),
        audit=(entry,),
        item_keys=((f"src_{app}", "item"),),
    )
    retry_at = till.world.now + DAY
    await till.conclude(waiting, UNMATCHED, retry_at=retry_at, awaited_references=("order-1",))
    return payment


async def count(till: Till, app: str, payment: Transaction) -> list[int]:
    """Count what an application has of everything."""
    store = till.store
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


async def test_the_books_go_with_their_application_and_with_no_other(till: Till) -> None:
    app, other = till.world.app, till.world.other_app
    payment = await fill(till, app)
    others = await fill(till, other)
    await till.store.remove(Application, app)

    assert await count(till, app, payment) == [0] * 8
    assert await count(till, other, others) == [2, 2, 1, 2, 2, 1, 1, 1]
    assert await till.store.new_item_keys(app, f"src_{app}", ["item"]) == {"item"}
    assert (await till.receive("k", app_id=app, source_id=f"src_{app}")).outcome is None
    again = await till.receive("k", app_id=other, source_id=f"src_{other}")
    assert again.outcome is DUPLICATE


async def test_the_books_stay_when_another_record_goes(till: Till) -> None:
    payment = await till.captured()
    await till.store.remove(Application, payment.app_id)  # there is no such record

    assert await till.store.transaction(payment.app_id, payment.id) == payment
