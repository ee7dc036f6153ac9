"""The attempt list is the receiver's log: nothing hidden, nothing missing, nothing twice."""

import asyncio
from collections import Counter

import pytest

from tests.flow.gateway_harness import GatewayHarness
from tests.scale import IS_WHOLE, full_or_tenth, soak
from tillbell.errors import ConflictError
from tillbell.model.messages import Result
from tillbell.testing.behaviours import flaky

pytestmark = [pytest.mark.sqlite, soak]
EVENTS = 10_000 if IS_WHOLE else 300  # each is tried several times
KEYS = full_or_tenth(1_000)
COPIES = full_or_tenth(200)


async def test_attempts_and_the_receivers_log_match_one_to_one(harness: GatewayHarness) -> None:
    """Receivers that accept, refuse, break off before or after reading, and recover."""
    harness.receiver.on("/flaky", flaky(503, 200, 500, 200))
    for path in ("/ok", "/status/500", "/reset", "/close-silently", "/flaky", "/close"):
        await harness.endpoint(path, retry_schedule=(0,), selectors=(f"t.{path[1:6]}",))
    types = [f"t.{name}" for name in ("ok", "statu", "reset", "close", "flaky")]

    async def publish(number: int) -> None:
        await harness.publish(b'{"n":%d}' % number, types[number % len(types)])

    for start in range(0, EVENTS, 50):
        await asyncio.gather(*(publish(number) for number in range(start, start + 50)))
    done = {"succeeded", "failed"}
    while set(await harness.accounts()) - done:
        await harness.settle_attempts()
        for lane in list(harness.gateway.lanes):
            harness.gateway.lanes.probe(lane.id)
            harness.gateway.lanes.note_due(harness.app.id, lane.id, harness.clock.now())

    logged = Counter(r.header("Tillbell-Attempt") for r in harness.receiver.requests)
    recorded = set()
    for endpoint in await harness.gateway.config_cache.endpoints(harness.app.id):
        recorded |= {a.id for a in await harness.attempts_of(endpoint)}
    assert set(logged.values()) == {1}
    assert set(logged) == recorded
    assert len(recorded) > EVENTS


async def test_a_storm_of_duplicates_makes_one_message_of_each(harness: GatewayHarness) -> None:
    await harness.endpoint("/ok")
    conflicts = Counter[str]()

    async def publish(key: str) -> None:
        try:
            await harness.publish(event_id=key)
        except ConflictError:
            conflicts[key] += 1

    keys = [f"k{number}" for number in range(KEYS)]
    for start in range(0, KEYS, 50):  # 50 events at once
        together = keys[start : start + 50]
        await asyncio.gather(*(publish(key) for _ in range(COPIES) for key in together))
    ended = await harness.next_ended(KEYS)

    assert set(conflicts.values()) == {COPIES - 1}
    assert sorted(m.event_id or "" for m in await harness.messages()) == sorted(keys)
    assert {a.result for a in ended} == {Result.ACCEPTED}
    assert harness.ended.empty()
