"""Stopping, dying and coming back."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.flow.gateway_harness import GatewayHarness
from tests.patience import PATIENCE_S
from tests.scale import full_or_tenth, soak
from tests.stores import IS_POSTGRES
from tillbell.errors import Draining
from tillbell.model.messages import DeliveryState, Result
from tillbell.storage.ports.outbound import FinishedAttempt
from tillbell.testing.behaviours import raw
from tillbell.testing.exchange import ReceiverExchange


async def test_drain_lets_attempts_under_way_end_and_gives_the_rest_back(
    harness: GatewayHarness,
) -> None:
    gate = asyncio.Event()

    async def slow(exchange: ReceiverExchange) -> None:
        await gate.wait()
        await exchange.answer(200)

    harness.receiver.on("/slow", slow)
    await harness.endpoint("/slow", max_concurrency=2)
    messages = [await harness.publish(b'{"n":%d}' % number) for number in range(6)]
    await harness.receiver.request(1)
    draining = asyncio.get_running_loop().create_task(harness.runtime.drain(10))
    await asyncio.sleep(0)
    gate.set()
    await draining

    states = [(await harness.deliveries(m))[0].state for m in messages]
    assert sorted(states) == [DeliveryState.SUCCEEDED] * 2 + [DeliveryState.WAITING] * 4
    with pytest.raises(Draining):
        await harness.publish()

    await harness.runtime.stop()
    await harness.start()
    await harness.next_ended(2 + 4)
    ids = [r.header("webhook-id") for r in harness.receiver.requests]
    assert Counter(ids) == Counter(m.id for m in messages)


LOST = full_or_tenth(
    10 if IS_POSTGRES else 200
)  # a store that processes share is sure only after the lease


@soak
async def test_a_crash_between_the_2xx_and_our_commit_makes_exactly_one_more_attempt(
    harness: GatewayHarness,
) -> None:
    await harness.endpoint("/ok")
    for number in range(LOST):
        await lose_one(harness, b'{"n":%d}' % number)


async def lose_one(harness: GatewayHarness, payload: bytes) -> None:
    before = len(harness.receiver.requests)
    lost: asyncio.Queue[FinishedAttempt] = asyncio.Queue()

    def lose(finished: FinishedAttempt) -> asyncio.Future[bool]:
        lost.put_nowait(finished)
        never: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        never.cancel()  # the process died before it was written
        return never

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(harness.gateway.database, "finish_attempt", lose)
        message = await harness.publish(payload)
        await asyncio.wait_for(lost.get(), PATIENCE_S)
    await harness.stop()
    while not harness.ended.empty():
        harness.ended.get_nowait()
    await harness.start()
    await harness.next_ended()

    attempts = await harness.attempts(message_id=message.id)
    requests = harness.receiver.requests[before:]
    assert [a.result for a in attempts] == [Result.INTERRUPTED, Result.ACCEPTED]
    assert len(requests) == 2
    assert len({r.header("webhook-id") for r in requests}) == 1
    assert len({r.header("Tillbell-Attempt") for r in requests}) == 2
    assert requests[0].body == requests[1].body


async def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path) as harness:
        await harness.endpoint("/status/500", retry_schedule=(0, 3600))
        message = await harness.publish()
        await harness.next_ended(2)
        before = await harness.deliveries(message)
        await harness.stop()
        await harness.start()

        assert await harness.deliveries(message) == before
        assert before[0].state is DeliveryState.WAITING


async def test_accepted_times_fanout_is_always_accounted_for(harness: GatewayHarness) -> None:
    for path in ("/ok", "/status/500", "/status/410", "/hang"):
        await harness.endpoint(path, retry_schedule=(0,), timeout_s=1)
    published = 0
    for number in range(30):
        await harness.publish(b'{"n":%d}' % number)
        published += 1
        deliveries = sum([len(await harness.deliveries(m)) for m in await harness.messages()])
        assert sum((await harness.accounts()).values()) == deliveries
    assert published == 30


async def test_every_failure_names_its_cause_and_the_next_step(harness: GatewayHarness) -> None:
    harness.receiver.on("/garbage", raw(b"hello\r\n\r\n"))
    for path in (
        "/status/404",
        "/status/500",
        "/status/302",
        "/status/410",
        "/retry-after/429/5",
        "/close-silently",
        "/reset",
        "/drip-head",
        "/drip-body",
        "/garbage",
    ):
        await harness.endpoint(path, timeout_s=1, retry_schedule=())
    await harness.endpoint("/x", url="http://10.9.8.7/", retry_schedule=())
    await harness.endpoint("/x", url="http://127.0.0.1:1/", retry_schedule=())
    await harness.endpoint("/x", url="ftp://example.com/", retry_schedule=())
    await harness.endpoint("/x", url="http://nonsense.invalid/", retry_schedule=(), timeout_s=2)
    await harness.publish()
    ended = await harness.next_ended(14)

    for attempt in ended:
        if attempt.result is Result.ACCEPTED:
            assert attempt.url.endswith(("/drip-head", "/drip-body"))
            continue
        assert attempt.status_code or attempt.error, attempt
        assert attempt.detail, attempt
        assert "unknown" not in attempt.detail.lower()
