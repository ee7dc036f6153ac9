"""Lists and look-ups: what they show, how they are cut, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.store.outbound_harness import FAILED, SUCCEEDED, WAITING, OutboundHarness
from tillbell.clock import HOUR, SECOND
from tillbell.ids import attempt_cursor, attempt_id
from tillbell.model.messages import Attempt, AttemptEnd, Delivery, Message
from tillbell.storage.ports.outbound import (
    ANY_STATE,
    AttemptFilter,
    CountedSpan,
    DeliveryFacts,
    DeliveryRow,
    DeliverySelection,
    DueLane,
    MessageContent,
    MessageFilter,
    MissedPeriod,
    Page,
    StateFilter,
    Totals,
)

UP = Page(ascending=True)


# ── work ─────────────────────────────────────────────────────────────────────────────────────────


async def test_lanes_are_endpoints_with_open_deliveries(outbound: OutboundHarness) -> None:
    third = outbound.new("ep")
    await outbound.finish_message(SUCCEEDED)
    for _ in range(3):
        await outbound.publish(outbound.endpoint, outbound.second)
    due_at = outbound.now
    await outbound.claim(1)
    await outbound.store.discard(outbound.app, outbound.second, outbound.now, 1)
    await outbound.publish(third)

    assert await outbound.store.due_lanes() == [
        DueLane(outbound.app, outbound.endpoint, due_at),
        DueLane(outbound.app, outbound.second, due_at),
        DueLane(outbound.app, third, due_at),
    ]
    assert [lane.endpoint_id for lane in await outbound.store.due_lanes("", 1)] == [
        outbound.endpoint
    ]
    assert [lane.endpoint_id for lane in await outbound.store.due_lanes(outbound.endpoint)] == [
        outbound.second,
        third,
    ]


async def test_a_lane_with_nothing_but_a_lease_is_due_when_that_ends(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()

    assert await outbound.store.due_lanes() == [
        DueLane(outbound.app, outbound.endpoint, delivery.due_at)
    ]
    assert await outbound.store.next_due([(outbound.app, outbound.endpoint)]) == {
        outbound.endpoint: delivery.due_at
    }


async def test_next_due_is_the_earliest_and_leaves_out_who_has_none(
    outbound: OutboundHarness,
) -> None:
    await outbound.finish_message(SUCCEEDED)
    assert await outbound.store.next_due([(outbound.app, outbound.endpoint)]) == {}
    for later in (7, 3, 5):
        message = outbound.message()
        due_at = outbound.now + later
        await outbound.add(message, [outbound.waiting(message, outbound.endpoint, due_at=due_at)])
    await outbound.publish(outbound.second)

    found = await outbound.store.next_due(
        [(outbound.app, outbound.endpoint), (outbound.app, "ep_unknown")]
    )
    assert found == {outbound.endpoint: outbound.now + 3}
    assert await outbound.store.next_due([]) == {}


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_is_found_by_id_and_by_event_id(outbound: OutboundHarness) -> None:
    message = await outbound.publish(event_id="order-1")
    named = await outbound.publish(event_id=message.id)

    assert await outbound.store.message(outbound.app, message.id) == message
    assert await outbound.store.message(outbound.app, "order-1") == message
    assert await outbound.store.message(outbound.app, named.id) == named
    assert await outbound.store.message(outbound.other_app, message.id) is None
    assert await outbound.store.message(outbound.other_app, "order-1") is None


async def check_pages(
    ids: list[str], show: Callable[[Page], Any], cursor: Callable[[Any], str] | None = None
) -> None:
    """Five rows, two a page, in each direction from each side. `cursor` of a row: else its id."""
    rows = {row.id: row for row in await show(Page())}

    async def page(limit: int = 50, after: str | None = None, *ways: bool) -> list[str]:
        iterator = cursor(rows[after]) if cursor and after else after
        return [row.id for row in await show(Page(limit, iterator, *ways))]

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


async def test_messages_are_paged_in_both_directions(outbound: OutboundHarness) -> None:
    messages = [await outbound.publish() for _ in range(5)]
    await outbound.add(outbound.message(outbound.other_app))

    await check_pages(
        [m.id for m in messages],
        lambda page: outbound.store.messages(outbound.app, MessageFilter(), page),
    )


async def some_messages(outbound: OutboundHarness) -> list[Message]:
    made = []
    for fields in (
        {"event_type": "order.paid", "channels": ("a", "b")},
        {"event_type": "order.created", "tags": ("vip", "a")},
        {"event_type": "order.refunded"},
    ):
        made.append(await outbound.publish(**fields))
        outbound.clock.advance(1)
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
    outbound: OutboundHarness, filter_: dict[str, Any], expected: list[int]
) -> None:
    start = outbound.now
    times = {k: v + start if k in ("after", "before") else v for k, v in filter_.items()}
    wanted = MessageFilter(**times)
    made = await some_messages(outbound)

    messages = await outbound.store.messages(outbound.app, wanted, UP)
    rows = await outbound.store.deliveries_of_endpoint(
        outbound.app, outbound.endpoint, wanted, ANY_STATE, UP
    )
    assert messages == [made[n] for n in expected]
    assert [row.message for row in rows] == [made[n] for n in expected]


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────


async def test_a_delivery_is_shown_with_its_message_to_its_application(
    outbound: OutboundHarness,
) -> None:
    message = await outbound.publish()
    delivery = await outbound.the_delivery(message)

    assert await outbound.store.delivery(outbound.app, delivery.id) == DeliveryRow(
        delivery, message
    )
    assert await outbound.store.delivery(outbound.other_app, delivery.id) is None
    assert await outbound.store.delivery(outbound.app, delivery.id + "x") is None


async def test_deliveries_of_a_message_are_those_of_no_other(outbound: OutboundHarness) -> None:
    messages = [await outbound.publish(outbound.endpoint, outbound.second) for _ in range(3)]
    found = await outbound.store.deliveries_of_message(outbound.app, messages[1].id)

    assert [d.message_id for d in found] == [messages[1].id] * 2
    assert await outbound.store.deliveries_of_message(outbound.other_app, messages[1].id) == []


async def test_what_belongs_to_messages_is_read_together(outbound: OutboundHarness) -> None:
    messages = [await outbound.publish(outbound.endpoint, outbound.second) for _ in range(3)]
    await outbound.store.expunge(outbound.app, messages[1].id)
    elsewhere = messages[2]._replace(app_id=outbound.other_app)

    contents = await outbound.store.message_contents([*messages[:2], elsewhere])
    for message in messages[:2]:
        deliveries = await outbound.store.deliveries_of_message(outbound.app, message.id)
        body = await outbound.store.body(outbound.app, message.id)
        assert contents[message.id] == MessageContent(deliveries, body)
    assert contents[messages[0].id].body is not None
    assert contents[messages[1].id].body is None
    assert contents[messages[2].id] == MessageContent([], None)
    assert await outbound.store.message_contents([]) == {}


async def test_facts_of_deliveries_are_read_together(outbound: OutboundHarness) -> None:
    first = await outbound.hand_over(order_key="a")
    assert await outbound.store.finish_attempt(outbound.result(first, WAITING, outbound.now))
    again = await outbound.claimed()
    behind = await outbound.the_delivery(await outbound.publish(order_key="a"))
    other = await outbound.the_delivery(await outbound.publish())
    await outbound.store.expunge(outbound.app, other.message_id)
    ended = await outbound.store.attempt(outbound.app, attempt_id(first.id, 1))
    assert ended is not None
    end = AttemptEnd(ended.id, ended.status_code, ended.error, ended.detail, ended.ended_at)
    elsewhere = behind._replace(id=behind.id + "x", app_id=outbound.other_app)

    assert await outbound.store.delivery_facts([again, behind, other, elsewhere]) == {
        again.id: DeliveryFacts(True, first.id, end),
        behind.id: DeliveryFacts(True, first.id, None),
        other.id: DeliveryFacts(False, None, None),
        elsewhere.id: DeliveryFacts(False, None, None),
    }


async def test_attempts_are_read_in_the_order_of_their_ends(outbound: OutboundHarness) -> None:
    messages = [await outbound.finish_message(FAILED) for _ in range(3)]
    ended = await outbound.store.ended_attempts(outbound.app, -1, 10)

    assert {row.attempt.message_id for row in ended} == {message.id for message in messages}
    ends = [row.attempt.ended_at for row in ended]
    assert ends == sorted(ends)
    assert all((row.attempt.response, row.attempt.answer_head) == (b"", b"") for row in ended)
    assert [row.delivery for row in ended] == [
        (await outbound.store.delivery(outbound.app, row.attempt.delivery_id)).delivery  # type: ignore[union-attr]
        for row in ended
    ]
    later = [row for row in ended if row.attempt.ended_at > ends[0]]
    assert await outbound.store.ended_attempts(None, ends[0], 10) == later
    assert len(await outbound.store.ended_attempts(None, -1, 2)) == 2
    assert await outbound.store.ended_attempts(outbound.other_app, -1, 10) == []


async def test_deliveries_of_an_endpoint_are_paged_in_both_directions(
    outbound: OutboundHarness,
) -> None:
    deliveries = [
        await outbound.the_delivery(await outbound.finish_message(FAILED)) for _ in range(5)
    ]
    await outbound.publish(outbound.second)

    def show(states: Any) -> Callable[[Page], Any]:
        async def rows(page: Page) -> list[Delivery]:
            found = await outbound.store.deliveries_of_endpoint(
                outbound.app, outbound.endpoint, MessageFilter(), StateFilter(states), page
            )
            return [row.delivery for row in found]

        return rows

    ids = [d.id for d in deliveries]
    for states in (None, (FAILED,), (FAILED, SUCCEEDED)):
        await check_pages(ids, show(states))


async def test_deliveries_of_an_endpoint_are_chosen_by_state(outbound: OutboundHarness) -> None:
    failed = await outbound.finish(await outbound.publish(), FAILED)
    done = await outbound.finish(await outbound.publish(), SUCCEEDED)
    waiting = await outbound.the_delivery(await outbound.publish())

    async def of(app: str, *states: Any) -> list[Delivery]:
        rows = await outbound.store.deliveries_of_endpoint(
            app, outbound.endpoint, MessageFilter(), StateFilter(states), UP
        )
        return [row.delivery for row in rows]

    assert await of(outbound.app, FAILED) == [failed]
    assert await of(outbound.app, SUCCEEDED, WAITING) == [done, waiting]
    assert await of(outbound.app) == []
    assert await of(outbound.other_app, FAILED) == []


async def test_what_waits_is_told_apart_by_its_attempts(outbound: OutboundHarness) -> None:
    retried = await outbound.hand_over()
    await outbound.store.finish_attempt(outbound.result(retried, WAITING, outbound.now + HOUR))
    done = await outbound.finish(await outbound.publish(), SUCCEEDED)
    new = await outbound.the_delivery(await outbound.publish())
    both = (WAITING, SUCCEEDED)

    async def of(*, tried: bool | None) -> set[str]:
        rows = await outbound.store.deliveries_of_endpoint(
            outbound.app, outbound.endpoint, MessageFilter(), StateFilter(both, tried), UP
        )
        selection = DeliverySelection(outbound.app, outbound.endpoint, 0, outbound.now + HOUR)
        selected = selection._replace(states=both, tried=tried)
        listed = {row.delivery.id for row in rows}
        assert listed == {*await outbound.store.select(selected, "", 10)}
        return listed

    assert await of(tried=True) == {retried.id, done.id}
    assert await of(tried=False) == {new.id, done.id}
    assert await of(tried=None) == {retried.id, new.id, done.id}


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────


async def test_attempts_of_an_endpoint_and_of_a_message_are_paged(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()
    for _ in range(4):
        await outbound.store.finish_attempt(outbound.result(delivery, WAITING, outbound.now))
        delivery = await outbound.claimed()
    await outbound.store.finish_attempt(outbound.result(delivery))
    await outbound.finish(await outbound.publish(outbound.second))
    ids = [attempt_id(delivery.id, number) for number in range(1, 6)]

    for filter_ in (
        AttemptFilter(endpoint_id=outbound.endpoint),
        AttemptFilter(message_id=delivery.message_id),
        AttemptFilter(message_id=delivery.message_id, endpoint_id=outbound.endpoint),
    ):
        await check_pages(ids, partial(outbound.store.attempts, outbound.app, filter_), by_start)


def by_start(attempt: Attempt) -> str:
    return attempt_cursor(attempt.id, attempt.started_at)


async def test_attempts_of_several_messages_are_listed_by_their_start(
    outbound: OutboundHarness,
) -> None:
    messages = [await outbound.publish() for _ in range(5)]
    claims = {claim.message.id: claim for claim in await outbound.claim()}
    ids = []
    for number, place in enumerate((3, 0, 4, 1, 2)):  # the latest is neither first nor last
        delivery = claims[messages[place].id].delivery
        # Two start in the same microsecond: then their ids decide.
        started_at = outbound.now + SECOND * (number - (number == 4))
        await outbound.store.finish_attempt(outbound.result(delivery, started_at=started_at))
        ids.append(attempt_id(delivery.id, 1))
    of_endpoint = AttemptFilter(endpoint_id=outbound.endpoint)
    await check_pages(ids, partial(outbound.store.attempts, outbound.app, of_endpoint), by_start)
    of_other = AttemptFilter(endpoint_id=outbound.second)
    assert await outbound.store.attempts(outbound.app, of_other, UP) == []


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
    outbound: OutboundHarness, filter_: dict[str, Any], expected: list[int]
) -> None:
    start = outbound.now
    times = {k: v + start if k in ("after", "before") else v for k, v in filter_.items()}
    messages = await some_messages(outbound)
    claims = await outbound.claim()
    made = []
    for number, (claim, status) in enumerate(zip(claims, (200, 500, 0), strict=True)):
        settlement = outbound.result(
            claim.delivery,
            SUCCEEDED if status == 200 else FAILED,
            status_code=status,
            event_type=claim.message.event_type,
            started_at=start + number * 10 * SECOND,
        )
        await outbound.store.finish_attempt(settlement)
        made.append(settlement.attempt)
    wanted = AttemptFilter(endpoint_id=outbound.endpoint, **times)

    assert await outbound.store.attempts(outbound.app, wanted, UP) == [made[n] for n in expected]
    assert await outbound.store.attempts(outbound.other_app, wanted, UP) == []
    for number, message in enumerate(messages):
        of_message = wanted._replace(message_id=message.id)
        shown = await outbound.store.attempts(outbound.app, of_message, UP)
        assert shown == [made[n] for n in expected if n == number]


async def test_attempts_of_a_message_are_chosen_by_endpoint(outbound: OutboundHarness) -> None:
    message = await outbound.publish(outbound.endpoint, outbound.second)
    for endpoint in (outbound.endpoint, outbound.second):
        (claim,) = await outbound.claim(1, endpoint)
        await outbound.store.finish_attempt(outbound.result(claim.delivery))
    found = await outbound.store.attempts(
        outbound.app, AttemptFilter(message_id=message.id, endpoint_id=outbound.second), UP
    )

    assert [a.endpoint_id for a in found] == [outbound.second]
    assert await outbound.store.attempt(outbound.app, found[0].id) == found[0]
    assert await outbound.store.attempt(outbound.other_app, found[0].id) is None


# ── bulk ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_selection_takes_what_it_names(outbound: OutboundHarness) -> None:
    start = outbound.now
    made = await some_messages(outbound)
    for claim, state in zip(await outbound.claim(), (FAILED, FAILED, SUCCEEDED), strict=True):
        await outbound.store.finish_attempt(outbound.result(claim.delivery, state))
    never = await outbound.the_delivery(await outbound.publish())
    ids = [(await outbound.the_delivery(m)).id for m in made]
    base = DeliverySelection(outbound.app, outbound.endpoint, 0, outbound.now + HOUR)

    async def taken(**changes: Any) -> list[str]:
        return await outbound.store.select(base._replace(**changes), "", 10)

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
    assert await taken(endpoint_id=outbound.second) == []
    assert await taken(app_id=outbound.other_app) == []


async def test_a_selection_looks_at_the_last_attempt(outbound: OutboundHarness) -> None:
    delivery = await outbound.hand_over()
    await outbound.store.finish_attempt(
        outbound.result(delivery, WAITING, outbound.now, status_code=503)
    )
    delivery = await outbound.claimed()
    await outbound.store.finish_attempt(outbound.result(delivery, FAILED, status_code=404))
    base = DeliverySelection(outbound.app, outbound.endpoint, 0, outbound.now + HOUR)

    assert await outbound.store.select(base._replace(status_codes=(500, 599)), "", 10) == []
    assert await outbound.store.select(base._replace(status_codes=(404, 404)), "", 10) == [
        delivery.id
    ]


async def test_a_selection_goes_on_after_an_id(outbound: OutboundHarness) -> None:
    ids = [
        (await outbound.the_delivery(await outbound.finish_message(FAILED))).id for _ in range(5)
    ]
    selection = DeliverySelection(outbound.app, outbound.endpoint, 0, outbound.now + HOUR)

    assert await outbound.store.select(selection, "", 2) == ids[:2]
    assert await outbound.store.select(selection, ids[1], 10) == ids[2:]


async def test_missing_are_messages_without_delivery_to_the_endpoint(
    outbound: OutboundHarness,
) -> None:
    start = outbound.now
    unsent, sent, later = (
        await outbound.publish(outbound.second),
        await outbound.publish(),
        await outbound.add(outbound.message()),
    )
    await outbound.add(outbound.message(outbound.other_app))
    outbound.clock.advance(1)
    too_late = await outbound.publish(outbound.second)

    async def look(since: int, until: int, after: str, limit: int) -> Any:
        return await outbound.store.missing_messages(
            MissedPeriod(outbound.app, outbound.endpoint, since, until), after, limit
        )

    assert await look(start, outbound.now, "", 10) == ([unsent, later], None)
    assert await look(outbound.now, outbound.now + SECOND, "", 10) == ([too_late], None)
    assert await look(start, outbound.now, "", 2) == ([unsent], sent.id)
    assert await look(start, outbound.now, sent.id, 2) == ([later], None)
    assert await look(start, outbound.now, unsent.id, 1) == ([], sent.id)


# ── totals ───────────────────────────────────────────────────────────────────────────────────────


async def test_totals_count_deliveries_by_state_and_hour(outbound: OutboundHarness) -> None:
    hour = outbound.now // HOUR * HOUR + HOUR
    outbound.clock.advance((hour - outbound.now) / SECOND)
    await outbound.finish(await outbound.publish(), SUCCEEDED)
    await outbound.finish(await outbound.publish(), FAILED)
    await outbound.hand_over()
    await outbound.publish(outbound.second)
    outbound.clock.advance(3600)
    await outbound.publish(outbound.endpoint, outbound.second)
    await outbound.store.discard(outbound.app, outbound.second, outbound.now, 1)
    await outbound.add(
        other := outbound.message(outbound.other_app), [outbound.waiting(other, "ep_other")]
    )

    async def totals(endpoint: str | None, since: int, until: int) -> Totals:
        span = CountedSpan(outbound.app, endpoint, hour + since, hour + until)
        alone = await outbound.store.totals(*span)
        nobody = span._replace(app_id=outbound.new("app"))
        assert await outbound.store.totals_of([span, nobody]) == [alone, Totals()]
        return alone

    assert await totals(outbound.endpoint, 0, HOUR) == Totals(0, 1, 1, 1, 0)
    assert await totals(outbound.endpoint, 0, 2 * HOUR) == Totals(1, 1, 1, 1, 0)
    assert await totals(outbound.endpoint, HOUR, 2 * HOUR) == Totals(waiting=1)
    assert await totals(outbound.second, 0, 2 * HOUR) == Totals(waiting=1, discarded=1)
    assert await totals(None, 0, 2 * HOUR) == Totals(2, 1, 1, 1, 1)
    assert await totals(outbound.endpoint, 2_000, HOUR) == Totals()
    assert await totals(outbound.endpoint, 0, 2_000) == Totals(0, 1, 1, 1, 0)
    assert await totals(outbound.endpoint, 2_000, HOUR + 2_000) == Totals(waiting=1)
    assert await totals(outbound.endpoint, HOUR + 2_000, HOUR + 3_000) == Totals()
    assert await totals(None, 2_000, HOUR) == await totals(None, 0, HOUR)  # whole hours
    assert await totals(outbound.endpoint, 2 * HOUR, 9 * HOUR) == Totals()
    assert await outbound.store.counts() == Totals(3, 1, 1, 1, 1)


async def test_the_ends_of_attempts_are_read_together(outbound: OutboundHarness) -> None:
    attempts = []
    for state in (SUCCEEDED, FAILED):
        attempts += await outbound.attempts(await outbound.finish(await outbound.publish(), state))
    keys = [(outbound.app, each.id) for each in attempts]

    ends = await outbound.store.attempt_ends([*keys, (outbound.other_app, attempts[0].id)])

    assert ends == {
        each.id: (
            each.id,
            each.status_code,
            each.error,
            each.detail,
            each.started_at + each.duration_us,
        )
        for each in attempts
    }
