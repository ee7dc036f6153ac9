"""Resend, recover, replay of missing messages: each missed message once."""

import asyncio
import itertools

from tests.flow.world import World
from tests.patience import PATIENCE_S
from tests.scale import full_or_tenth, soak
from tests.stores import IS_POSTGRES
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import DeliveryState, Trigger
from tillbell.model.records import Task, TaskStatus
from tillbell.storage.ports.outbound import DeliverySelection
from tillbell.testing.behaviours import flaky

FOREVER = 10**18
ROUNDS = full_or_tenth(200 if IS_POSTGRES else 1_000)


async def finished(world: World, *tasks: Task) -> list[Task]:
    """Wait until background tasks have ended."""
    runner = world.gateway.tasks
    await asyncio.wait_for(runner.wait_idle(), PATIENCE_S)
    found = [await world.gateway.database.get(Task, t.id, world.app.id) for t in tasks]
    return [task for task in found if task is not None]


async def failed_deliveries(world: World, count: int) -> Endpoint:
    """Make an endpoint with that many failed deliveries, whose receiver is well again."""
    endpoint = await world.endpoint("/later", retry_schedule=())
    world.receiver.on("/later", flaky(*[400] * count, 200))
    for number in range(count):
        await world.publish(b'{"n":%d}' % number)
    await world.next_ended(count)
    return endpoint


async def test_a_resend_keeps_ids_and_bytes_and_makes_a_new_attempt(world: World) -> None:
    endpoint = await world.endpoint("/ok")
    message = await world.publish()
    (first,) = await world.next_ended()
    await world.gateway.delivery_resender.resend(world.app.id, message.id, endpoint.id)
    (second,) = await world.next_ended()

    a, b = world.receiver.requests
    assert a.body == b.body
    assert a.header("webhook-id") == b.header("webhook-id")
    assert a.header("Tillbell-Delivery") == b.header("Tillbell-Delivery")
    assert [first.number, second.number] == [1, 2]
    assert second.trigger is Trigger.MANUAL


async def test_a_resend_to_an_endpoint_that_never_got_it_sends_it(world: World) -> None:
    message = await world.publish()
    endpoint = await world.endpoint("/ok")
    await world.gateway.delivery_resender.resend(world.app.id, message.id, endpoint.id)
    (attempt,) = await world.next_ended()

    assert attempt.trigger is Trigger.MANUAL


async def test_recover_twice_at_once_sends_each_failed_message_once(world: World) -> None:
    endpoint = await failed_deliveries(world, 4)
    resender = world.gateway.delivery_resender
    tasks = await asyncio.gather(*(resender.recover_failed(endpoint, 0, FOREVER) for _ in range(2)))
    attempts = await world.next_ended(4)
    ended = await finished(world, *tasks)

    assert [task.status for task in ended] == [TaskStatus.FINISHED] * 2
    assert sum(task.result["count"] for task in ended) == 4
    assert len({a.message_id for a in attempts}) == 4
    assert world.ended.empty()


async def test_replay_missing_sends_what_never_was_sent_and_nothing_twice(world: World) -> None:
    await world.endpoint("/other")
    before = [await world.publish(b'{"n":%d}' % number) for number in range(5)]
    await world.next_ended(5)
    endpoint = await world.endpoint("/late", selectors=("order.*",))
    await world.publish()
    await world.next_ended(2)
    for _ in range(2):
        task = await world.gateway.delivery_resender.replay_missing(endpoint, 0, FOREVER)
        await finished(world, task)
    attempts = await world.next_ended(5)

    assert {a.message_id for a in attempts} == {m.id for m in before}
    assert world.ended.empty()


async def test_bulk_replay_takes_what_the_filter_selects(world: World) -> None:
    endpoint = await world.endpoint("/ok")
    wanted = await world.publish(event_type="order.paid", tags=("vip",))
    await world.publish(event_type="order.cancelled", tags=("vip",))
    await world.publish(event_type="order.paid")
    await world.next_ended(3)
    selection = DeliverySelection(
        world.app.id,
        endpoint.id,
        0,
        FOREVER,
        states=(DeliveryState.SUCCEEDED,),
        event_types=("order.paid",),
        tag="vip",
    )
    task = await world.gateway.delivery_resender.bulk_replay(selection)
    (attempt,) = await world.next_ended()
    (ended,) = await finished(world, task)

    assert attempt.message_id == wanted.id
    assert ended.result == {"count": 1}


async def test_a_task_goes_on_after_a_restart(world: World) -> None:
    endpoint = await failed_deliveries(world, 3)
    task = Task(
        id="qtask_1",
        scope=world.app.id,
        kind="endpoint.recover",
        arguments={
            "app_id": world.app.id,
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
    await world.gateway.config_cache.add(task)
    await world.stop()
    await world.start()
    attempts = await world.next_ended(3)
    (ended,) = await finished(world, task)

    assert len({a.message_id for a in attempts}) == 3
    assert ended.status is TaskStatus.FINISHED


@soak
async def test_a_manual_resend_beside_the_automatic_retry_makes_one_attempt_at_a_time(
    still: World,
) -> None:
    endpoint = await still.endpoint("/status/500", retry_schedule=(1,) * 5_000)
    message = await still.publish()
    await still.next_ended()
    for _ in range(ROUNDS):
        still.manual_clock.advance(1)  # the automatic retry is due now
        await asyncio.gather(
            *(
                still.gateway.delivery_resender.resend(still.app.id, message.id, endpoint.id)
                for _ in range(3)
            )
        )
        await still.next_ended()
        await still.settle_attempts()

    attempts = await still.attempts(message_id=message.id)
    assert [a.number for a in attempts] == list(range(1, len(attempts) + 1))
    assert len(attempts) >= ROUNDS + 1
    spans = [(a.started_at, a.started_at + a.duration_us) for a in attempts]
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
