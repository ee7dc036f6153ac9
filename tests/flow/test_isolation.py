"""One bad receiver costs the others nothing."""

from collections import Counter
from pathlib import Path

import pytest

from tests.flow.gateway_harness import GatewayHarness
from tests.patience import PATIENCE_S
from tillbell.model.endpoints import EndpointStatus
from tillbell.model.messages import DeliveryState, Result
from tillbell.testing.behaviours import flaky, hang
from tillbell.testing.dns import StubDns
from tillbell.testing.exchange import ReceiverExchange

pytestmark = pytest.mark.sqlite_first

GOOD = 49  # endpoints beside the one that hangs
COUNT = 40  # messages to each
HANG_S = 10 * PATIENCE_S  # so who waits for one that hangs is never done
HOUR_S = 3_600


async def served_meanwhile(harness: GatewayHarness, good: int) -> Counter[str]:
    """Publish to all endpoints; wait for as many attempts as the good ones get; count them."""
    for number in range(COUNT):
        await harness.publish(b'{"n":%d}' % number)
    ended = await harness.next_ended(COUNT * good)
    assert {attempt.result for attempt in ended} == {Result.ACCEPTED}
    return Counter(attempt.endpoint_id for attempt in ended)


async def test_a_hanging_receiver_does_not_delay_the_others(harness: GatewayHarness) -> None:
    good = [(await harness.endpoint(f"/ok/{number}")).id for number in range(GOOD)]
    harness.receiver.on("/hang", hang)
    await harness.endpoint("/hang", timeout_s=HANG_S)

    assert await served_meanwhile(harness, GOOD) == dict.fromkeys(good, COUNT)
    slots = harness.gateway.settings.max_in_flight
    assert 0 < harness.gateway.dispatcher.in_flight <= slots // 4


async def test_names_that_do_not_resolve_do_not_delay_the_others(tmp_path: Path) -> None:
    """Of fifty endpoints ten have names that the name server is silent about."""
    async with StubDns() as dns, GatewayHarness(tmp_path, dns_servers=(dns.server,)) as harness:
        dns.answer("localhost.example", "127.0.0.1", ttl=60)
        harness.gateway.resolver._timeout_s = HANG_S

        async def endpoint(number: int, host: str) -> str:
            url = harness.receiver.url(f"/ok/{number}").replace("127.0.0.1", host)
            return (await harness.endpoint("/named", url=url, timeout_s=HANG_S)).id

        good = [await endpoint(number, "localhost.example") for number in range(GOOD - 9)]
        for number in range(10):
            dns.silence(f"dead-{number}.example")
            await endpoint(number, f"dead-{number}.example")

        assert await served_meanwhile(harness, len(good)) == dict.fromkeys(good, COUNT)


async def test_the_breaker_queues_and_drops_nothing(still: GatewayHarness) -> None:
    still.receiver.on("/flap", flaky(*[500] * 8, 200))
    await still.endpoint("/flap", retry_schedule=(1,) * 50)
    messages = [await still.publish(b'{"n":%d}' % number) for number in range(30)]
    for _ in range(400):
        await still.pass_time(1)
        await still.settle_attempts()

    states = [(await still.deliveries(m))[0].state for m in messages]
    assert set(states) == {DeliveryState.SUCCEEDED}


async def test_while_open_one_probe_goes_at_a_time(still: GatewayHarness) -> None:
    await still.endpoint("/status/500", retry_schedule=(1,) * 50)
    for number in range(10):
        await still.publish(b'{"n":%d}' % number)
    await still.settle_attempts()
    before = len(still.receiver.requests)
    per_second = []
    for _ in range(60):
        await still.pass_time(1)
        await still.settle_attempts()
        per_second.append(len(still.receiver.requests) - before)
        before = len(still.receiver.requests)

    assert max(per_second) <= 1
    assert 2 <= sum(per_second) <= 6


async def test_five_days_of_failures_pause_the_endpoint_after_warnings(
    still: GatewayHarness,
) -> None:
    endpoint = await still.endpoint("/status/500", retry_schedule=(3 * HOUR_S,) * 60)
    operational = await still.operational("/ops")
    await still.publish()
    for _ in range(5 * 8 + 3):
        await still.pass_time(3 * HOUR_S + 1)
        await still.settle_attempts()

    paused = await still.gateway.config_cache.endpoint(still.app.id, endpoint.id)
    assert paused is not None
    assert (paused.status, paused.status_reason) == (EndpointStatus.PAUSED, "failing")
    heard = [r.header("webhook-id") for r in still.receiver.requests if r.path == "/ops"]
    bodies = [r.body.decode() for r in still.receiver.requests if r.path == "/ops"]
    assert len(set(heard)) == len(heard) == 6
    types = [b.split('"')[3] for b in bodies]
    assert types.count("message.attempt.failing") == 1
    of_endpoint = [type_ for type_ in types if type_.startswith("endpoint.")]
    assert of_endpoint[:3] == ["endpoint.failing"] * 3
    assert sorted(of_endpoint[3:]) == ["endpoint.disabled", "endpoint.paused"]
    assert operational.scope == "operational"


async def test_one_success_resets_the_five_days(still: GatewayHarness) -> None:
    still.receiver.on("/mostly", flaky(*[500] * 34, 200, *[500] * 34))
    endpoint = await still.endpoint("/mostly", retry_schedule=(3 * HOUR_S,) * 100)
    await still.publish()
    for number in range(34 + 30):  # eight days, with one success after four
        if number == 35:
            await still.publish()
        await still.pass_time(3 * HOUR_S + 1)
        await still.settle_attempts()

    active = await still.gateway.config_cache.endpoint(still.app.id, endpoint.id)
    assert active is not None
    assert active.status is EndpointStatus.ACTIVE


async def test_messages_of_a_paused_endpoint_arrive_once_each_when_it_is_resumed(
    still: GatewayHarness,
) -> None:
    endpoint = await still.endpoint("/ok")
    await still.change(endpoint, status=EndpointStatus.PAUSED, status_reason="failing")
    messages = [await still.publish(b'{"n":%d}' % number) for number in range(20)]
    await still.change(endpoint, status=EndpointStatus.ACTIVE, status_reason=None)
    ended = await still.next_ended(20)

    assert sorted(a.message_id for a in ended) == sorted(m.id for m in messages)


async def test_the_rate_cap_is_kept_in_every_second(still: GatewayHarness) -> None:
    await still.endpoint("/ok", throttle_rate=5)
    for number in range(40):
        await still.publish(b'{"n":%d}' % number)
    per_second = []
    seen = 0
    for _ in range(100):
        await still.pass_time(0.1)
        await still.settle_attempts()
        per_second.append(len(still.receiver.requests) - seen)
        seen = len(still.receiver.requests)

    assert max(sum(per_second[i : i + 10]) for i in range(91)) <= 6
    assert seen == 40


async def test_an_ordered_endpoint_keeps_the_order_of_each_key(harness: GatewayHarness) -> None:
    failures = {b'"k1"': 2, b'"k3"': 1}
    seen: dict[bytes, int] = {}

    async def sometimes(exchange: ReceiverExchange) -> None:
        body = exchange.request.body
        key = body.split(b":")[1].split(b",")[0]
        seen[body] = seen.get(body, 0) + 1
        await exchange.answer(500 if seen[body] <= failures.get(key, 0) else 200)

    harness.receiver.on("/fifo", sometimes)
    await harness.endpoint("/fifo", ordering="fifo", retry_schedule=(0, 0, 0, 0))
    for number in range(5):
        for key in range(4):
            payload = b'{"k":"k%d","n":%d}' % (key, number)
            await harness.publish(payload, order_key=f"k{key}")
    ended = await harness.next_ended(20 + 2 * 5 + 1 * 5)

    accepted = [a for a in ended if a.result is Result.ACCEPTED]
    assert len(accepted) == 20
    for key in range(4):
        tag = b'"k%d"' % key
        order = [
            int(r.body.split(b":")[2][:-1]) for r in harness.receiver.requests if tag in r.body
        ]
        assert order == sorted(order)


async def test_a_connection_is_kept_and_used_again(harness: GatewayHarness) -> None:
    for number in range(5):
        await harness.endpoint(f"/ok/{number}")
    for number in range(40):
        await harness.publish(b'{"n":%d}' % number)
    await harness.next_ended(200)

    connections = {r.connection for r in harness.receiver.requests}
    assert len(connections) <= 16


async def test_many_retries_due_at_one_moment_are_all_made(still: GatewayHarness) -> None:
    still.receiver.on("/later", flaky(*[500] * 4, 200))
    await still.endpoint("/later", retry_schedule=(60, 60, 60))
    for number in range(300):
        await still.publish(b'{"n":%d}' % number)
    for _ in range(60):
        await still.pass_time(20)
        await still.settle_attempts()

    assert (await still.accounts()) == {"succeeded": 300}
