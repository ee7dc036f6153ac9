"""Resend, recover, replay of missing messages: each missed message once."""

import asyncio
import itertools

import pytest

from tests.flow.gateway_harness import GatewayHarness
from tests.patience import PATIENCE_S
from tests.scale import full_or_tenth, soak
from tests.stores import IS_POSTGRES
from tillbell.errors import ConflictError, Refused
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus
from tillbell.model.messages import DeliveryState, Message, Result, Trigger
from tillbell.model.records import Task, TaskStatus
from tillbell.rules.delivery.fate import FateCode
from tillbell.storage.ports.outbound import DeliverySelection
from tillbell.testing.behaviours import flaky

FOREVER = 10**18
ROUNDS = full_or_tenth(200 if IS_POSTGRES else 1_000)


async def finished(harness: GatewayHarness, *tasks: Task) -> list[Task]:
    """Wait until background tasks have ended."""
    runner = harness.gateway.tasks
    await asyncio.wait_for(runner.wait_idle(), PATIENCE_S)
    found = [await harness.gateway.database.get(Task, t.id, harness.app.id) for t in tasks]
    return [task for task in found if task is not None]


async def failed_deliveries(harness: GatewayHarness, count: int) -> Endpoint:
    """Make an endpoint with that many failed deliveries, whose receiver is well again."""
    endpoint = await harness.endpoint("/later", retry_schedule=())
    harness.receiver.on("/later", flaky(*[400] * count, 200))
    for number in range(count):
        await harness.publish(b'{"n":%d}' % number)
    await harness.next_ended(count)
    return endpoint


async def test_a_resend_keeps_ids_and_bytes_and_makes_a_new_attempt(
    harness: GatewayHarness,
) -> None:
    endpoint = await harness.endpoint("/ok")
    message = await harness.publish()
    (first,) = await harness.next_ended()
    await harness.gateway.delivery_resender.resend(harness.app.id, message.id, endpoint.id)
    (second,) = await harness.next_ended()

    a, b = harness.receiver.requests
    assert a.body == b.body
    assert a.header("webhook-id") == b.header("webhook-id")
    assert a.header("Tillbell-Delivery") == b.header("Tillbell-Delivery")
    assert [first.number, second.number] == [1, 2]
    assert second.trigger is Trigger.MANUAL


async def test_a_resend_to_an_endpoint_that_never_got_it_sends_it(harness: GatewayHarness) -> None:
    message = await harness.publish()
    endpoint = await harness.endpoint("/ok")
    await harness.gateway.delivery_resender.resend(harness.app.id, message.id, endpoint.id)
    (attempt,) = await harness.next_ended()

    assert attempt.trigger is Trigger.MANUAL


async def test_the_failures_of_a_resend_are_counted_alone(harness: GatewayHarness) -> None:
    endpoint = await harness.endpoint("/first-only", retry_schedule=())
    harness.receiver.on("/first-only", flaky(200, 400))
    message = await harness.publish()
    await harness.next_ended()
    await harness.gateway.delivery_resender.resend(harness.app.id, message.id, endpoint.id)
    await harness.next_ended()

    fate = await harness.gateway.fates.of(message, endpoint.id)
    assert fate.code is FateCode.FAILED
    assert fate.text.startswith("No attempt is left after 1. ")


async def refusal(harness: GatewayHarness, message: Message, endpoint: Endpoint) -> str:
    """Return the code with which a resend is refused."""
    with pytest.raises(Refused) as caught:
        await harness.gateway.delivery_resender.resend(harness.app.id, message.id, endpoint.id)
    return caught.value.code


async def test_a_resend_goes_out_whatever_the_endpoint_filters(harness: GatewayHarness) -> None:
    other_type = await harness.endpoint("/type", selectors=("email.*",))
    other_channel = await harness.endpoint("/channel", channels=("eu",))
    message = await harness.publish()
    for endpoint in (other_type, other_channel):
        await harness.gateway.delivery_resender.resend(harness.app.id, message.id, endpoint.id)
    attempts = await harness.next_ended(2)

    assert {a.endpoint_id for a in attempts} == {other_type.id, other_channel.id}
    assert [request.body for request in harness.receiver.requests] == [b'{"a":1}'] * 2


async def test_a_resend_that_cannot_be_done_says_why(harness: GatewayHarness) -> None:
    sent = await harness.endpoint("/sent")
    message = await harness.publish()
    await harness.next_ended()
    resender = harness.gateway.delivery_resender
    never = await harness.endpoint("/never", selectors=("email.*",))
    shop = await harness.endpoint("/shop", profile="shoppex", selectors=("order.refunded",))
    both = (EndpointStatus.DISABLED, EndpointStatus.PAUSED)
    for status, endpoint in itertools.product(both, (sent, never)):
        stopped = await harness.change(endpoint, status=status)
        assert await refusal(harness, message, stopped) == f"endpoint_{status.value}"
        selection = DeliverySelection(harness.app.id, endpoint.id, 0, FOREVER)
        for begun in (
            resender.recover_failed(stopped, 0, FOREVER),
            resender.replay_missing(stopped, 0, FOREVER),
            resender.bulk_replay(stopped, selection),
        ):
            with pytest.raises(ConflictError):
                await begun
        await harness.change(endpoint, status=EndpointStatus.ACTIVE)
    shipment = await harness.publish(event_type="shipment.delivered")
    await harness.next_ended()
    assert await refusal(harness, shipment, shop) == "not_in_profile"

    (delivery, *_) = await harness.deliveries(message)
    await harness.gateway.database.expunge(harness.app.id, message.id)
    for endpoint in (sent, never):
        assert await refusal(harness, message, endpoint) == "missing_payload"
    assert await harness.deliveries(message) == [delivery]
    assert harness.ended.empty()


async def test_bulk_work_counts_what_it_skips_and_hurts_nobody(harness: GatewayHarness) -> None:
    endpoint = await harness.endpoint("/ok")
    operational = await harness.operational("/operational")
    messages = [await harness.publish(b'{"n":%d}' % number) for number in range(8)]
    await harness.next_ended(8)
    for message in messages[1:]:
        await harness.gateway.database.expunge(harness.app.id, message.id)
    late = await harness.endpoint("/late", selectors=("order.*",))
    await harness.publish(event_type="email.bounced")
    await harness.next_ended()
    resender = harness.gateway.delivery_resender
    states = (DeliveryState.SUCCEEDED,)
    selection = DeliverySelection(harness.app.id, endpoint.id, 0, FOREVER, states)
    replayed = await resender.bulk_replay(endpoint, selection)
    missing = await resender.replay_missing(late, 0, FOREVER)
    results = [task.result for task in await finished(harness, replayed, missing)]
    attempts = await harness.next_ended(3)

    assert results == [
        {"count": 2, "skipped": {"missing_payload": 7}},
        {"count": 1, "skipped": {"missing_payload": 7, "not_wanted": 1}},
    ]
    assert all(attempt.result is Result.ACCEPTED for attempt in attempts)
    for message in messages:
        states_now = {delivery.state for delivery in await harness.deliveries(message)}
        assert states_now == {DeliveryState.SUCCEEDED}
    assert not await harness.attempts_of(operational)


async def test_an_endpoint_gets_what_meets_its_filter(harness: GatewayHarness) -> None:
    wanted = {"amount": {"$gte": 100}}
    large = await harness.endpoint("/large", payload_filter=wanted)
    all_ = await harness.endpoint("/all")
    small_one = await harness.publish(b'{"amount":"99.99"}')
    large_one = await harness.publish(b'{"amount":"100.00"}')
    first = await harness.next_ended(3)

    assert sorted((a.endpoint_id, a.message_id) for a in first) == sorted(
        [(large.id, large_one.id), (all_.id, large_one.id), (all_.id, small_one.id)]
    )
    fates = harness.gateway.fates
    fate = await fates.of(small_one, large.id)
    assert fate.code is FateCode.FILTERED_PAYLOAD
    assert '`amount` is at least 100, and it is "99.99"' in fate.text
    check = await fates.filter_check(small_one, large.id)
    assert check is not None
    assert not check.takes
    assert await refusal(harness, small_one, large) == "filtered_payload"

    resender = harness.gateway.delivery_resender
    late = await harness.endpoint("/late", payload_filter=wanted)
    narrowed = await harness.change(all_, payload_filter=wanted)
    selection = DeliverySelection(harness.app.id, all_.id, 0, FOREVER, (DeliveryState.SUCCEEDED,))
    tasks = [
        await resender.replay_missing(late, 0, FOREVER),
        await resender.bulk_replay(narrowed, selection),
    ]
    results = [task.result for task in await finished(harness, *tasks)]
    again = await harness.next_ended(2)
    assert results == [{"count": 1, "skipped": {"filtered_payload": 1}}] * 2
    assert {(a.endpoint_id, a.message_id) for a in again} == {
        (late.id, large_one.id),
        (all_.id, large_one.id),
    }

    await harness.change(narrowed, payload_filter=None)
    await resender.resend(harness.app.id, small_one.id, all_.id)
    (sent,) = await harness.next_ended()
    assert (sent.endpoint_id, sent.message_id) == (all_.id, small_one.id)


async def test_a_payload_that_is_deleted_before_its_attempt_is_not_the_receivers_fault(
    harness: GatewayHarness,
) -> None:
    endpoint = await harness.endpoint("/ok", status=EndpointStatus.PAUSED)
    messages = [await harness.publish() for _ in range(6)]
    for message in messages:
        await harness.gateway.database.expunge(harness.app.id, message.id)
    await harness.change(endpoint, status=EndpointStatus.ACTIVE)
    ended = await harness.next_ended(6)
    await harness.settle()

    assert {attempt.error for attempt in ended} == {"payload_deleted"}
    assert await harness.gateway.config_cache.read_all(EndpointHealth, harness.app.id) == []
    await harness.publish()
    (live,) = await harness.next_ended()
    assert live.result is Result.ACCEPTED


async def test_recover_twice_at_once_sends_each_failed_message_once(
    harness: GatewayHarness,
) -> None:
    endpoint = await failed_deliveries(harness, 4)
    resender = harness.gateway.delivery_resender
    tasks = await asyncio.gather(*(resender.recover_failed(endpoint, 0, FOREVER) for _ in range(2)))
    attempts = await harness.next_ended(4)
    ended = await finished(harness, *tasks)

    assert [task.status for task in ended] == [TaskStatus.FINISHED] * 2
    assert sum(task.result["count"] for task in ended) == 4
    assert len({a.message_id for a in attempts}) == 4
    assert harness.ended.empty()


async def test_replay_missing_sends_what_never_was_sent_and_nothing_twice(
    harness: GatewayHarness,
) -> None:
    await harness.endpoint("/other")
    before = [await harness.publish(b'{"n":%d}' % number) for number in range(5)]
    await harness.next_ended(5)
    endpoint = await harness.endpoint("/late", selectors=("order.*",))
    await harness.publish()
    await harness.next_ended(2)
    for _ in range(2):
        task = await harness.gateway.delivery_resender.replay_missing(endpoint, 0, FOREVER)
        await finished(harness, task)
    attempts = await harness.next_ended(5)

    assert {a.message_id for a in attempts} == {m.id for m in before}
    assert harness.ended.empty()


async def test_bulk_replay_takes_what_the_filter_selects(harness: GatewayHarness) -> None:
    endpoint = await harness.endpoint("/ok")
    wanted = await harness.publish(event_type="order.paid", tags=("vip",))
    await harness.publish(event_type="order.cancelled", tags=("vip",))
    await harness.publish(event_type="order.paid")
    await harness.next_ended(3)
    selection = DeliverySelection(
        harness.app.id,
        endpoint.id,
        0,
        FOREVER,
        states=(DeliveryState.SUCCEEDED,),
        event_types=("order.paid",),
        tag="vip",
    )
    task = await harness.gateway.delivery_resender.bulk_replay(endpoint, selection)
    (attempt,) = await harness.next_ended()
    (ended,) = await finished(harness, task)

    assert attempt.message_id == wanted.id
    assert ended.result == {"count": 1, "skipped": {}}


async def test_a_task_goes_on_after_a_restart(harness: GatewayHarness) -> None:
    endpoint = await failed_deliveries(harness, 3)
    task = Task(
        id="qtask_1",
        scope=harness.app.id,
        kind="endpoint.recover",
        arguments={
            "app_id": harness.app.id,
            "endpoint_id": endpoint.id,
            "since": 0,
            "until": FOREVER,
            "states": ["failed"],
            "event_types": None,
            "channel": None,
            "tag": None,
            "status_codes": None,
        },
    )
    await harness.gateway.config_cache.add(task)
    await harness.stop()
    await harness.start()
    attempts = await harness.next_ended(3)
    (ended,) = await finished(harness, task)

    assert len({a.message_id for a in attempts}) == 3
    assert ended.status is TaskStatus.FINISHED


@soak
async def test_a_manual_resend_beside_the_automatic_retry_makes_one_attempt_at_a_time(
    still: GatewayHarness,
) -> None:
    endpoint = await still.endpoint("/status/500", retry_schedule=(1,) * 5_000)
    message = await still.publish()
    await still.next_ended()
    for _ in range(ROUNDS):
        still.manual_clock.advance(1)  # the automatic retry is due now
        resender = still.gateway.delivery_resender
        answers = await asyncio.gather(
            *(resender.resend(still.app.id, message.id, endpoint.id) for _ in range(3)),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if answer is not False]
        assert {getattr(each, "code", each) for each in refused} <= {"delivery_in_progress"}
        await still.next_ended()
        await still.settle_attempts()

    attempts = await still.attempts(message_id=message.id)
    assert [a.number for a in attempts] == list(range(1, len(attempts) + 1))
    assert len(attempts) >= ROUNDS + 1
    spans = [(a.started_at, a.started_at + a.duration_us) for a in attempts]
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
