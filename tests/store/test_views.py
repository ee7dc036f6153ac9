"""Lists and look-ups: what they show, how they are cut, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.store.world import FAILED, SUCCEEDED, WAITING, World
from tillbell.clock import HOUR, SECOND
from tillbell.ids import attempt_id
from tillbell.model.messages import Delivery, Message
from tillbell.storage.ports.outbound import (
    AttemptFilter,
    DeliveryRow,
    DeliverySelection,
    DueLane,
    MessageFilter,
    MissedPeriod,
    Page,
    Totals,
)

UP = Page(ascending=True)


# ── work ─────────────────────────────────────────────────────────────────────────────────────────


async def test_lanes_are_endpoints_with_open_deliveries(world: World) -> None:
    third = world.new("ep")
    await world.finish_message(SUCCEEDED)
    for _ in range(3):
        await world.publish(world.endpoint, world.second)
    due_at = world.now
    await world.claim(1)
    await world.store.discard(world.app, world.second, world.now, 1)
    await world.publish(third)

    assert await world.store.due_lanes() == [
        DueLane(world.app, world.endpoint, due_at),
        DueLane(world.app, world.second, due_at),
        DueLane(world.app, third, due_at),
    ]
    assert [lane.endpoint_id for lane in await world.store.due_lanes("", 1)] == [world.endpoint]
    assert [lane.endpoint_id for lane in await world.store.due_lanes(world.endpoint)] == [
        world.second,
        third,
    ]


async def test_a_lane_with_nothing_but_a_lease_is_due_when_that_ends(world: World) -> None:
    delivery = await world.hand_over()

    assert await world.store.due_lanes() == [DueLane(world.app, world.endpoint, delivery.due_at)]
    assert await world.store.next_due([(world.app, world.endpoint)]) == {
        world.endpoint: delivery.due_at
    }


async def test_next_due_is_the_earliest_and_leaves_out_who_has_none(world: World) -> None:
    await world.finish_message(SUCCEEDED)
    assert await world.store.next_due([(world.app, world.endpoint)]) == {}
    for later in (7, 3, 5):
        message = world.message()
        due_at = world.now + later
        await world.add(message, [world.waiting(message, world.endpoint, due_at=due_at)])
    await world.publish(world.second)

    found = await world.store.next_due([(world.app, world.endpoint), (world.app, "ep_unknown")])
    assert found == {world.endpoint: world.now + 3}
    assert await world.store.next_due([]) == {}


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_is_found_by_id_and_by_event_id(world: World) -> None:
    message = await world.publish(event_id="order-1")
    named = await world.publish(event_id=message.id)

    assert await world.store.message(world.app, message.id) == message
    assert await world.store.message(world.app, "order-1") == message
    assert await world.store.message(world.app, named.id) == named
    assert await world.store.message(world.other_app, message.id) is None
    assert await world.store.message(world.other_app, "order-1") is None


async def check_pages(ids: list[str], show: Callable[[Page], Any]) -> None:
    """Five rows, two a page, in each direction from each side."""

    async def page(*arguments: Any) -> list[str]:
        return [row.id for row in await show(Page(*arguments))]

    assert await page() == ids[::-1]
    assert await page(50, None, False, True) == ids
    assert await page(2) == [ids[4], ids[3]]
    assert await page(2, ids[3]) == [ids[2], ids[1]]
    assert await page(2, ids[1]) == [ids[0]]
    assert await page(2, ids[0]) == []
    assert await page(2, ids[1], True) == [ids[3], ids[2]]
    assert await page(2, ids[3], True) == [ids[4]]
    assert await page(2, None, False, True) == [ids[0], ids[1]]
    assert await page(2, ids[1], False, True) == [ids[2], ids[3]]
    assert await page(2, ids[3], True, True) == [ids[1], ids[2]]


async def test_messages_are_paged_in_both_directions(world: World) -> None:
    messages = [await world.publish() for _ in range(5)]
    await world.add(world.message(world.other_app))

    await check_pages(
        [m.id for m in messages],
        lambda page: world.store.messages(world.app, MessageFilter(), page),
    )


async def some_messages(world: World) -> list[Message]:
    made = []
    for fields in (
        {"event_type": "order.paid", "channels": ("a", "b")},
        {"event_type": "order.created", "tags": ("vip", "a")},
        {"event_type": "order.refunded"},
    ):
        made.append(await world.publish(**fields))
        world.clock.advance(1)
    return made


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({"event_types": ("order.paid", "order.refunded")}, [0, 2]),
        ({"event_types": ()}, []),
        ({"channel": "a"}, [0]),
        ({"channel": "c"}, []),
        ({"tag": "vip"}, [1]),
        ({"tag": "a"}, [1]),
        ({"after": SECOND}, [1, 2]),
        ({"before": SECOND}, [0]),
        ({"after": SECOND, "before": 2 * SECOND}, [1]),
        ({"channel": "a", "event_types": ("order.created",)}, []),
    ],
)
async def test_lists_of_messages_and_deliveries_are_filtered(
    world: World, filter_: dict[str, Any], expected: list[int]
) -> None:
    start = world.now
    times = {k: v + start if k in ("after", "before") else v for k, v in filter_.items()}
    wanted = MessageFilter(**times)
    made = await some_messages(world)

    messages = await world.store.messages(world.app, wanted, UP)
    rows = await world.store.deliveries_of_endpoint(world.app, world.endpoint, wanted, None, UP)
    assert messages == [made[n] for n in expected]
    assert [row.message for row in rows] == [made[n] for n in expected]


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────


async def test_a_delivery_is_shown_with_its_message_to_its_application(world: World) -> None:
    message = await world.publish()
    delivery = await world.the_delivery(message)

    assert await world.store.delivery(world.app, delivery.id) == DeliveryRow(delivery, message)
    assert await world.store.delivery(world.other_app, delivery.id) is None
    assert await world.store.delivery(world.app, delivery.id + "x") is None


async def test_deliveries_of_a_message_are_those_of_no_other(world: World) -> None:
    messages = [await world.publish(world.endpoint, world.second) for _ in range(3)]
    found = await world.store.deliveries_of_message(world.app, messages[1].id)

    assert [d.message_id for d in found] == [messages[1].id] * 2
    assert await world.store.deliveries_of_message(world.other_app, messages[1].id) == []


async def test_deliveries_of_an_endpoint_are_paged_in_both_directions(world: World) -> None:
    deliveries = [await world.the_delivery(await world.finish_message(FAILED)) for _ in range(5)]
    await world.publish(world.second)

    def show(states: Any) -> Callable[[Page], Any]:
        async def rows(page: Page) -> list[Delivery]:
            found = await world.store.deliveries_of_endpoint(
                world.app, world.endpoint, MessageFilter(), states, page
            )
            return [row.delivery for row in found]

        return rows

    ids = [d.id for d in deliveries]
    for states in (None, (FAILED,), (FAILED, SUCCEEDED)):
        await check_pages(ids, show(states))


async def test_deliveries_of_an_endpoint_are_chosen_by_state(world: World) -> None:
    failed = await world.finish(await world.publish(), FAILED)
    done = await world.finish(await world.publish(), SUCCEEDED)
    waiting = await world.the_delivery(await world.publish())

    async def of(app: str, *states: Any) -> list[Delivery]:
        rows = await world.store.deliveries_of_endpoint(
            app, world.endpoint, MessageFilter(), states, UP
        )
        return [row.delivery for row in rows]

    assert await of(world.app, FAILED) == [failed]
    assert await of(world.app, SUCCEEDED, WAITING) == [done, waiting]
    assert await of(world.app) == []
    assert await of(world.other_app, FAILED) == []


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────


async def test_attempts_of_an_endpoint_and_of_a_message_are_paged(world: World) -> None:
    delivery = await world.hand_over()
    for _ in range(4):
        await world.store.finish_attempt(world.result(delivery, WAITING, world.now))
        delivery = await world.claimed()
    await world.store.finish_attempt(world.result(delivery))
    await world.finish(await world.publish(world.second))
    ids = [attempt_id(delivery.id, number) for number in range(1, 6)]

    for filter_ in (
        AttemptFilter(endpoint_id=world.endpoint),
        AttemptFilter(message_id=delivery.message_id),
        AttemptFilter(message_id=delivery.message_id, endpoint_id=world.endpoint),
    ):
        await check_pages(ids, partial(world.store.attempts, world.app, filter_))


async def test_attempts_of_several_deliveries_are_paged_across_them(world: World) -> None:
    ids = []
    for _ in range(5):
        delivery = await world.the_delivery(await world.finish_message(SUCCEEDED))
        ids.append(attempt_id(delivery.id, 1))
        await world.publish(order_key=None, deliver_at=None)
        await world.store.discard(world.app, world.endpoint, world.now, 5)
    filter_ = AttemptFilter(endpoint_id=world.endpoint)

    await check_pages(ids, lambda page: world.store.attempts(world.app, filter_, page))


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"succeeded": True}, [0]),
        ({"succeeded": False}, [1, 2]),
        ({"status_codes": (500, 599)}, [1]),
        ({"status_codes": (200, 500)}, [0, 1]),
        ({"status_codes": (0, 0)}, [2]),
        ({"event_types": ("order.created", "order.refunded")}, [1, 2]),
        ({"channel": "a"}, [0]),
        ({"tag": "vip"}, [1]),
        ({"after": 10 * SECOND}, [1, 2]),
        ({"before": 20 * SECOND}, [0, 1]),
    ],
)
async def test_attempts_are_filtered(
    world: World, filter_: dict[str, Any], expected: list[int]
) -> None:
    start = world.now
    times = {k: v + start if k in ("after", "before") else v for k, v in filter_.items()}
    messages = await some_messages(world)
    claims = await world.claim()
    made = []
    for number, (claim, status) in enumerate(zip(claims, (200, 500, 0), strict=True)):
        settlement = world.result(
            claim.delivery,
            SUCCEEDED if status == 200 else FAILED,
            status_code=status,
            event_type=claim.message.event_type,
            started_at=start + number * 10 * SECOND,
        )
        await world.store.finish_attempt(settlement)
        made.append(settlement.attempt)
    wanted = AttemptFilter(endpoint_id=world.endpoint, **times)

    assert await world.store.attempts(world.app, wanted, UP) == [made[n] for n in expected]
    assert await world.store.attempts(world.other_app, wanted, UP) == []
    for number, message in enumerate(messages):
        of_message = wanted._replace(message_id=message.id)
        shown = await world.store.attempts(world.app, of_message, UP)
        assert shown == [made[n] for n in expected if n == number]


async def test_attempts_of_a_message_are_chosen_by_endpoint(world: World) -> None:
    message = await world.publish(world.endpoint, world.second)
    for endpoint in (world.endpoint, world.second):
        (claim,) = await world.claim(1, endpoint)
        await world.store.finish_attempt(world.result(claim.delivery))
    found = await world.store.attempts(
        world.app, AttemptFilter(message_id=message.id, endpoint_id=world.second), UP
    )

    assert [a.endpoint_id for a in found] == [world.second]
    assert await world.store.attempt(world.app, found[0].id) == found[0]
    assert await world.store.attempt(world.other_app, found[0].id) is None


# ── bulk ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_selection_takes_what_it_names(world: World) -> None:
    start = world.now
    made = await some_messages(world)
    for claim, state in zip(await world.claim(), (FAILED, FAILED, SUCCEEDED), strict=True):
        await world.store.finish_attempt(world.result(claim.delivery, state))
    never = await world.the_delivery(await world.publish())
    ids = [(await world.the_delivery(m)).id for m in made]
    base = DeliverySelection(world.app, world.endpoint, 0, world.now + HOUR)

    async def taken(**changes: Any) -> list[str]:
        return await world.store.select(base._replace(**changes), "", 10)

    assert await taken() == ids[:2]
    assert await taken(states=(FAILED, SUCCEEDED)) == ids
    assert await taken(states=(WAITING,)) == [never.id]
    assert await taken(since=start + SECOND) == ids[1:2]
    assert await taken(until=start + SECOND) == ids[:1]
    assert await taken(event_types=("order.created",)) == ids[1:2]
    assert await taken(channel="a") == ids[:1]
    assert await taken(tag="vip") == ids[1:2]
    assert await taken(status_codes=(500, 599)) == ids[:2]
    assert await taken(status_codes=(200, 299), states=(FAILED, SUCCEEDED)) == ids[2:]
    assert await taken(status_codes=(0, 999), states=(WAITING,)) == []
    assert await taken(endpoint_id=world.second) == []
    assert await taken(app_id=world.other_app) == []


async def test_a_selection_looks_at_the_last_attempt(world: World) -> None:
    delivery = await world.hand_over()
    await world.store.finish_attempt(world.result(delivery, WAITING, world.now, status_code=503))
    delivery = await world.claimed()
    await world.store.finish_attempt(world.result(delivery, FAILED, status_code=404))
    base = DeliverySelection(world.app, world.endpoint, 0, world.now + HOUR)

    assert await world.store.select(base._replace(status_codes=(500, 599)), "", 10) == []
    assert await world.store.select(base._replace(status_codes=(404, 404)), "", 10) == [delivery.id]


async def test_a_selection_goes_on_after_an_id(world: World) -> None:
    ids = [(await world.the_delivery(await world.finish_message(FAILED))).id for _ in range(5)]
    selection = DeliverySelection(world.app, world.endpoint, 0, world.now + HOUR)

    assert await world.store.select(selection, "", 2) == ids[:2]
    assert await world.store.select(selection, ids[1], 10) == ids[2:]


async def test_missing_are_messages_without_delivery_to_the_endpoint(world: World) -> None:
    start = world.now
    unsent, sent, later = (
        await world.publish(world.second),
        await world.publish(),
        await world.add(world.message()),
    )
    await world.add(world.message(world.other_app))
    world.clock.advance(1)
    too_late = await world.publish(world.second)

    async def look(since: int, until: int, after: str, limit: int) -> Any:
        return await world.store.missing_messages(
            MissedPeriod(world.app, world.endpoint, since, until), after, limit
        )

    assert await look(start, world.now, "", 10) == ([unsent, later], None)
    assert await look(world.now, world.now + SECOND, "", 10) == ([too_late], None)
    assert await look(start, world.now, "", 2) == ([unsent], sent.id)
    assert await look(start, world.now, sent.id, 2) == ([later], None)
    assert await look(start, world.now, unsent.id, 1) == ([], sent.id)


# ── totals ───────────────────────────────────────────────────────────────────────────────────────


async def test_totals_count_deliveries_by_state_and_hour(world: World) -> None:
    hour = world.now // HOUR * HOUR + HOUR
    world.clock.advance((hour - world.now) / SECOND)
    await world.finish(await world.publish(), SUCCEEDED)
    await world.finish(await world.publish(), FAILED)
    await world.hand_over()
    await world.publish(world.second)
    world.clock.advance(3600)
    await world.publish(world.endpoint, world.second)
    await world.store.discard(world.app, world.second, world.now, 1)
    await world.add(other := world.message(world.other_app), [world.waiting(other, "ep_other")])

    async def totals(endpoint: str | None, since: int, until: int) -> Totals:
        return await world.store.totals(world.app, endpoint, hour + since, hour + until)

    assert await totals(world.endpoint, 0, HOUR) == Totals(0, 1, 1, 1, 0)
    assert await totals(world.endpoint, 0, 2 * HOUR) == Totals(1, 1, 1, 1, 0)
    assert await totals(world.endpoint, HOUR, 2 * HOUR) == Totals(waiting=1)
    assert await totals(world.second, 0, 2 * HOUR) == Totals(waiting=1, discarded=1)
    assert await totals(None, 0, 2 * HOUR) == Totals(2, 1, 1, 1, 1)
    assert await totals(world.endpoint, 1, HOUR) == Totals(0, 1, 1, 1, 0)  # whole hours
    assert await totals(world.endpoint, 2 * HOUR, 9 * HOUR) == Totals()
    assert await world.store.counts() == Totals(3, 1, 1, 1, 1)
