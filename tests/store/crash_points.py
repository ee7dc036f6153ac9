"""A process that dies at a named point of a commit: run as a program, it tries them all.

For each write of the store, each point of its commit and each way to die, a forked process
prepares a store, begins the write and ends there. Then the file is opened again: the write has
happened wholly or not at all, what was acknowledged before it is there, and doing it again works.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tests.store.inbound_harness import APPROVED, CREDIT, InboundHarness
from tests.store.outbound_harness import (
    BODY,
    FAILED,
    LEASE,
    SENDING,
    SUCCEEDED,
    WAITING,
    OutboundHarness,
)
from tillbell.clock import DAY, SECOND
from tillbell.model.messages import Message, Trigger
from tillbell.model.records import Application
from tillbell.storage.ports.inbound import ChangeSet, ReceivedCallback
from tillbell.storage.ports.outbound import IdempotencyUse, Publication
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

START = 1_760_000_000_000_000
POINTS = ("begin", "work", "before commit", "after commit")
DEATHS = ("exit", "hang")
Facts = Any


class Write(NamedTuple):
    """One kind of write: what must be there before, the act, and how to see that it happened."""

    name: str
    prepare: Callable[[OutboundHarness], Awaitable[Facts]]
    act: Callable[[OutboundHarness, Facts], Awaitable[object]]
    happened: Callable[[OutboundHarness, Facts], Awaitable[bool]]


# ── the writes ───────────────────────────────────────────────────────────────────────────────────


async def _two_waiting(outbound: OutboundHarness) -> Message:
    return await outbound.publish(outbound.endpoint, outbound.second)


async def _message(outbound: OutboundHarness) -> Message:
    return outbound.message(event_id="order-1")


async def _publish(outbound: OutboundHarness, message: Message) -> None:
    made = [outbound.waiting(message, outbound.endpoint), outbound.leased(message, outbound.second)]
    await outbound.store.publish(Publication(message, {"": BODY}, made))


async def _is_published(outbound: OutboundHarness, message: Message) -> bool:
    found = await outbound.store.message(message.app_id, message.id)
    body = await outbound.store.body(message.app_id, message.id)
    deliveries = await outbound.deliveries(message)
    assert (found is not None, body, len(deliveries)) in ((True, BODY, 2), (False, None, 0))
    return found is not None


async def _held(outbound: OutboundHarness) -> Any:
    return await outbound.hand_over()


async def _waited(outbound: OutboundHarness) -> Any:
    return await outbound.the_delivery(await outbound.publish())


async def _is_claimed(outbound: OutboundHarness, delivery: Any) -> bool:
    found = await outbound.reread(delivery)
    assert (found.state, found.attempts, found.token) in ((SENDING, 1, 1), (WAITING, 0, 0))
    return found.state is SENDING


async def _is_settled(outbound: OutboundHarness, delivery: Any) -> bool:
    found, attempts = await outbound.reread(delivery), await outbound.attempts(delivery)
    assert (found.state is SENDING) == (not attempts)
    return bool(attempts)


async def _ended(outbound: OutboundHarness) -> Any:
    return await outbound.finish(await outbound.publish(), FAILED)


async def _bare(outbound: OutboundHarness) -> Message:
    return await outbound.add(outbound.message())


async def _old(outbound: OutboundHarness) -> Message:
    return await outbound.finish_message(SUCCEEDED)


async def _purge(outbound: OutboundHarness, _: Facts) -> None:
    later = outbound.now + 100 * DAY
    await outbound.store.purge(bodies_before=later, history_before=later, now=later, limit=1_000)


async def _is_purged(outbound: OutboundHarness, message: Message) -> bool:
    gone = await outbound.store.message(message.app_id, message.id) is None
    assert (
        gone
        == (await outbound.store.body(message.app_id, message.id) is None)
        == (not await _rows(outbound, message))
    )
    return gone


async def _rows(outbound: OutboundHarness, message: Message) -> list[Any]:
    return await outbound.deliveries(message)


def _shop(outbound: OutboundHarness) -> Application:
    return Application(id=outbound.app, uid="shop", name="shop")


async def _nothing(outbound: OutboundHarness) -> Facts:
    del outbound


async def _a_shop(outbound: OutboundHarness) -> None:
    await outbound.store.put(_shop(outbound))


async def _is_there(outbound: OutboundHarness, _: Facts) -> bool:
    return await outbound.store.get(Application, "shop") is not None


async def _arrival(outbound: OutboundHarness) -> ReceivedCallback:
    return ReceivedCallback(InboundHarness(outbound).callback("event-1"), BODY)


async def _is_received(outbound: OutboundHarness, arrival: ReceivedCallback) -> bool:
    id_ = arrival.callback.id
    found = await outbound.store.callback(arrival.callback.app_id, id_)
    assert (found is not None) == (await outbound.store.callback_request(outbound.app, id_) == BODY)
    assert len(await outbound.store.unprocessed_callbacks("", 9)) == (found is not None)
    return found is not None


async def _decision(outbound: OutboundHarness) -> ChangeSet:
    """Make a step with its effect, its callback's conclusion and its message."""
    inbound = InboundHarness(outbound)
    before, callback = await inbound.create(), await inbound.receive("event-1")
    news, step = inbound.publication(), inbound.step(before, APPROVED, effects=(CREDIT,))
    return ChangeSet(
        transaction_writes=(step,), conclusion=inbound.conclusion(callback), publications=(news,)
    )


async def _is_decided(outbound: OutboundHarness, change: ChangeSet) -> bool:
    (step,), (news,), store = change.transaction_writes, change.publications, outbound.store
    id_ = step.transaction.id
    parts = {
        await store.transaction(outbound.app, id_) == step.transaction,
        len(await store.transitions(outbound.app, id_)) == 2,
        await store.effects(outbound.app, id_) == list(step.effects),
        await store.unprocessed_callbacks("", 9) == [],
        await store.message(outbound.app, news.message.id) == news.message,
        await store.body(news.message.app_id, news.message.id) == BODY,
        len(await outbound.deliveries(news.message)) == 1,
    }
    assert len(parts) == 1, "a half state"
    return parts.pop()


WRITES = (
    Write("publish", _message, _publish, _is_published),
    Write("claim", _waited, lambda w, _: w.claim(), _is_claimed),
    Write(
        "finish_attempt",
        _held,
        lambda w, d: _awaited(w.store.finish_attempt(w.result(d))),
        _is_settled,
    ),
    Write(
        "retry",
        _held,
        lambda w, d: _awaited(w.store.finish_attempt(w.result(d, WAITING, w.now + SECOND))),
        _is_settled,
    ),
    Write(
        "renew",
        _held,
        lambda w, d: w.store.renew([(d.app_id, d.id, d.token)], w.now + 2 * LEASE),
        lambda w, d: _due_after(w, d, LEASE),
    ),
    Write(
        "release",
        _held,
        lambda w, d: w.store.release([(d.app_id, d.id, d.token)], w.now),
        lambda w, d: _is_in(w, d, WAITING),
    ),
    Write(
        "release_all_leases",
        _held,
        lambda w, _: w.store.release_all_leases(w.now),
        lambda w, d: _is_in(w, d, WAITING),
    ),
    Write(
        "resend",
        _ended,
        lambda w, d: w.store.resend(w.app, [d.id], w.now, Trigger.MANUAL),
        lambda w, d: _is_in(w, d, WAITING),
    ),
    Write(
        "add_deliveries",
        _bare,
        lambda w, m: w.store.add_deliveries([w.waiting(m, w.endpoint)], {}),
        lambda w, m: _has_deliveries(w, m),
    ),
    Write(
        "discard",
        _waited,
        lambda w, _: w.store.discard(w.app, w.endpoint, w.now, 10),
        lambda w, d: _is_not_in(w, d, WAITING),
    ),
    Write(
        "expunge",
        _bare,
        lambda w, m: w.store.expunge(m.app_id, m.id),
        lambda w, m: _has_no_body(w, m),
    ),
    Write("purge", _old, _purge, _is_purged),
    Write("put", _nothing, lambda w, _: w.store.put(_shop(w)), _is_there),
    Write(
        "remove",
        _a_shop,
        lambda w, _: w.store.remove(Application, w.app),
        lambda w, f: _is_gone(w, f),
    ),
    Write(
        "store_idempotent_answer",
        _nothing,
        lambda w, _: w.store.store_idempotent_answer(
            IdempotencyUse("key", "print", b"answer"), w.now
        ),
        lambda w, _: _is_remembered(w),
    ),
    Write(
        "receive",
        _arrival,
        lambda w, a: _awaited(w.store.receive(a)),
        _is_received,
    ),
    Write(
        "commit_changes",
        _decision,
        lambda w, c: _awaited(w.store.commit_changes(c)),
        _is_decided,
    ),
)


async def _awaited(write: Awaitable[object]) -> object:
    return await write


async def _due_after(outbound: OutboundHarness, delivery: Any, span: int) -> bool:
    return (await outbound.reread(delivery)).due_at > START + span


async def _is_in(outbound: OutboundHarness, delivery: Any, state: object) -> bool:
    return (await outbound.reread(delivery)).state is state


async def _is_not_in(outbound: OutboundHarness, delivery: Any, state: object) -> bool:
    return not await _is_in(outbound, delivery, state)


async def _has_deliveries(outbound: OutboundHarness, message: Message) -> bool:
    return bool(await outbound.deliveries(message))


async def _has_no_body(outbound: OutboundHarness, message: Message) -> bool:
    return await outbound.store.body(message.app_id, message.id) is None


async def _is_gone(outbound: OutboundHarness, facts: Facts) -> bool:
    return not await _is_there(outbound, facts)


async def _is_remembered(outbound: OutboundHarness) -> bool:
    return await outbound.store.idempotent_answer("key") is not None


# ── dying ────────────────────────────────────────────────────────────────────────────────────────


class Death:
    """Ends the process, or stops it for ever, at one point of the armed write."""

    def __init__(self, point: str, way: str, said: int) -> None:
        self._point, self._way, self._said = point, way, said
        self.is_armed = False

    def __call__(self, point: str) -> None:
        named = point if point in POINTS else "work"
        if not self.is_armed or named != self._point:
            return
        if self._way == "exit":
            os._exit(9)
        os.write(self._said, b"hanging")
        threading.Event().wait()


async def _die(path: Path, write: Write, death: Death, said: int) -> None:
    clock = ManualClock(START)
    store = SqliteDatabase(path, clock, fault=death)
    await store.open()
    outbound = OutboundHarness(store, clock)
    before = await outbound.finish_message(SUCCEEDED)
    facts = await write.prepare(outbound)
    names = outbound.app, outbound.endpoint, outbound.second
    os.write(said, pickle.dumps((before, facts, names)))
    death.is_armed = True
    await write.act(outbound, facts)
    os._exit(0)  # the point was not passed


def _run_to_death(path: Path, write: Write, point: str, way: str) -> tuple[Any, int]:
    """Return what the dying process told us, and how it ended."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_die(path, write, Death(point, way, said), said))
        finally:
            os._exit(1)
    os.close(said)
    told = os.read(heard, 1 << 16)
    # Both may have been said before we listened; pickle stops where its own end is.
    if way == "hang" and (told.endswith(b"hanging") or os.read(heard, 16) == b"hanging"):
        os.kill(child, signal.SIGKILL)
    os.close(heard)
    _, status = os.waitpid(child, 0)
    return pickle.loads(told), status


async def _look(path: Path, write: Write, told: Any) -> tuple[bool, bool]:
    """Open the file again; say whether the write happened, and whether a repeat makes it so."""
    before, facts, names = told
    store = SqliteDatabase(path, ManualClock(START))
    await store.open()
    try:
        outbound = OutboundHarness(store, ManualClock(START))
        outbound.app, outbound.endpoint, outbound.second = names
        happened = await write.happened(outbound, facts)
        is_old_one_there = await store.message(before.app_id, before.id) is not None
        assert is_old_one_there or (happened and write.name == "purge")
        await _totals_agree(outbound, path)
        if not happened:
            await write.act(outbound, facts)
        return happened, await write.happened(outbound, facts)
    finally:
        await store.close()


async def _totals_agree(outbound: OutboundHarness, path: Path) -> None:
    counts = await outbound.store.counts()
    database = apsw.Connection(str(path))
    rows = dict(database.execute("SELECT state, count(*) FROM deliveries GROUP BY state"))
    assert list(database.execute("PRAGMA integrity_check")) == [("ok",)]
    database.close()
    assert counts._asdict() == {state: rows.get(state, 0) for state in counts._fields}


def main(folder: Path, step: int) -> None:
    """Try each step-th of all writes, points and ways; print one line of JSON for each."""
    for write, point, way in islice(product(WRITES, POINTS, DEATHS), 0, None, step):
        path = folder / f"{write.name}-{point}-{way}.db".replace(" ", "-")
        told, status = _run_to_death(path, write, point, way)
        happened, is_repaired = asyncio.run(_look(path, write, told))
        found = {
            "write": write.name,
            "point": point,
            "way": way,
            "died": status != 0,
            "happened": happened,
            "repaired": is_repaired,
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
