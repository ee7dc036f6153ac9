"""The attempt list is the receiver's log: nothing hidden, nothing missing, nothing twice."""

import asyncio
from collections import Counter

import pytest

from tests.flow.world import World
from tests.scale import full_or_tenth, soak
from tillbell.errors import ConflictError
from tillbell.model.messages import Result
from tillbell.testing.behaviours import flaky

pytestmark = [pytest.mark.sqlite, soak]
EVENTS = full_or_tenth(10_000)
KEYS = full_or_tenth(1_000)
COPIES = 200


async def test_attempts_and_the_receivers_log_match_one_to_one(world: World) -> None:
    """Receivers that accept, refuse, break off before or after reading, and recover."""
    world.receiver.on("/flaky", flaky(503, 200, 500, 200))
    for path in ("/ok", "/status/500", "/reset", "/close-silently", "/flaky", "/close"):
        await world.endpoint(path, retry_schedule=(0,), selectors=(f"t.{path[1:6]}",))
    types = [f"t.{name}" for name in ("ok", "statu", "reset", "close", "flaky")]

    async def publish(number: int) -> None:
        await world.publish(b'{"n":%d}' % number, types[number % len(types)])

    for start in range(0, EVENTS, 50):
        await asyncio.gather(*(publish(number) for number in range(start, start + 50)))
    done = {"succeeded", "failed"}
    while set(await world.accounts()) - done:
        await world.settle_attempts()
        for lane in list(world.gateway.lanes):
            world.gateway.lanes.probe(lane.id)
            world.gateway.lanes.note_due(world.app.id, lane.id, world.clock.now())

    logged = Counter(r.header("Tillbell-Attempt") for r in world.receiver.requests)
    recorded = set()
    for endpoint in await world.gateway.config_cache.endpoints(world.app.id):
        recorded |= {a.id for a in await world.attempts_of(endpoint)}
    assert set(logged.values()) == {1}
    assert set(logged) == recorded
    assert len(recorded) > EVENTS


async def test_a_storm_of_duplicates_makes_one_message_of_each(world: World) -> None:
    await world.endpoint("/ok")
    conflicts = Counter[str]()

    async def publish(key: str) -> None:
        try:
            await world.publish(event_id=key)
        except ConflictError:
            conflicts[key] += 1

    keys = [f"k{number}" for number in range(KEYS)]
    for start in range(0, KEYS, 50):  # 10,000 at once
        together = keys[start : start + 50]
        await asyncio.gather(*(publish(key) for _ in range(COPIES) for key in together))
    ended = await world.next_ended(KEYS)

    assert set(conflicts.values()) == {COPIES - 1}
    assert sorted(m.event_id or "" for m in await world.messages()) == sorted(keys)
    assert {a.result for a in ended} == {Result.ACCEPTED}
    assert world.ended.empty()
