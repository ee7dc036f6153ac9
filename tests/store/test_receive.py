"""Callbacks come in: stored before they are answered, counted once."""

from __future__ import annotations

import asyncio

import pytest

from tests.scale import full_or_tenth, soak
from tests.store.inbound_harness import APPLIED, DUPLICATE, REQUEST, UNMATCHED, InboundHarness
from tillbell.clock import DAY, HOUR
from tillbell.model.callbacks import Outcome, Repeats
from tillbell.model.sources import Trust
from tillbell.storage.ports.inbound import (
    CallbackFilter,
    ChangeSet,
    PreconditionFailed,
    ReceivedCallback,
)
from tillbell.storage.ports.outbound import Page

KEYS = full_or_tenth(1_000)
TIMES = max(2, full_or_tenth(10))


async def test_a_callback_is_stored_as_it_came(inbound: InboundHarness) -> None:
    callback = inbound.callback("k", hops=2, trust=Trust.PARTIALLY_SIGNED)
    stored = (await inbound.store.receive(ReceivedCallback(callback, REQUEST))).callback

    assert stored == callback
    assert await inbound.store.callback(callback.app_id, callback.id) == callback
    assert await inbound.store.callback_request(callback.app_id, callback.id) == REQUEST
    assert await inbound.store.callback(inbound.outbound.other_app, callback.id) is None


async def test_a_request_that_is_not_to_be_kept_is_not(inbound: InboundHarness) -> None:
    callback = inbound.callback("k")
    await inbound.store.receive(ReceivedCallback(callback, None))

    assert await inbound.store.callback_request(callback.app_id, callback.id) is None


async def test_the_same_again_is_a_duplicate_that_names_the_first(inbound: InboundHarness) -> None:
    first = await inbound.receive("k")
    second = await inbound.receive("k")
    third = await inbound.receive("k")

    assert [first.outcome, second.outcome, third.outcome] == [None, DUPLICATE, DUPLICATE]
    assert second.duplicate_of == third.duplicate_of == first.id
    assert second.processed_at == inbound.outbound.now
    assert first.id in second.why
    assert await inbound.store.unprocessed_callbacks("", 10) == [first]
    assert await inbound.reread(second) == second
    assert await inbound.store.callback_request(second.app_id, second.id) == REQUEST
    other = await inbound.receive("other")
    repeats = {first.id: Repeats(2, third.received_at)}
    assert await inbound.store.repeats(first.app_id, [first.id, other.id, third.id]) == repeats
    assert await inbound.store.repeats(inbound.outbound.other_app, [first.id]) == {}


async def test_a_duplicate_stays_one_when_the_first_has_been_applied(
    inbound: InboundHarness,
) -> None:
    first = await inbound.receive("k")
    await inbound.conclude(first, APPLIED)

    assert (await inbound.receive("k")).duplicate_of == first.id


async def test_sources_do_not_share_keys(inbound: InboundHarness) -> None:
    await inbound.receive("k")

    assert (await inbound.receive("k", source_id=inbound.second)).outcome is None


async def test_callbacks_without_a_key_are_never_duplicates(inbound: InboundHarness) -> None:
    found = [await inbound.receive(None) for _ in range(3)]

    assert [c.outcome for c in found] == [None] * 3


async def test_copies_of_one_group_commit_are_seen_as_such(inbound: InboundHarness) -> None:
    arrivals = [
        ReceivedCallback(inbound.callback(key), REQUEST) for key in ("a", "b", "a", "a", "b")
    ]
    found = [
        stored.callback for stored in await asyncio.gather(*map(inbound.store.receive, arrivals))
    ]

    first, second = (arrival.callback.id for arrival in arrivals[:2])
    assert [c.outcome for c in found] == [None, None, DUPLICATE, DUPLICATE, DUPLICATE]
    assert [c.duplicate_of for c in found] == [None, None, first, first, second]


async def test_the_same_arrival_again_changes_nothing(inbound: InboundHarness) -> None:
    """The outcome of a commit was unknown, and it is repeated."""
    arrival = ReceivedCallback(inbound.callback("k"), REQUEST)
    first = (await inbound.store.receive(arrival)).callback
    again = await asyncio.gather(inbound.store.receive(arrival), inbound.store.receive(arrival))

    assert [stored.callback for stored in again] == [first, first]
    assert await inbound.store.callbacks(inbound.outbound.app, CallbackFilter(), Page()) == [first]


@pytest.mark.parametrize("outcome", [UNMATCHED, Outcome.UNMAPPED, Outcome.MISMATCH])
async def test_a_repeat_of_what_did_not_count_takes_over_the_key(
    inbound: InboundHarness, outcome: Outcome
) -> None:
    first = await inbound.receive("k")
    await inbound.conclude(first, outcome)
    second = await inbound.receive("k")
    third = await inbound.receive("k")

    assert second.outcome is None
    assert (third.outcome, third.duplicate_of) == (DUPLICATE, second.id)
    assert (await inbound.reread(first)).outcome is outcome


@pytest.mark.parametrize(
    "outcome", [APPLIED, Outcome.STALE, Outcome.CONFLICT, Outcome.NOTED, Outcome.IGNORED]
)
async def test_a_repeat_of_what_counted_takes_over_nothing(
    inbound: InboundHarness, outcome: Outcome
) -> None:
    first = await inbound.receive("k")
    await inbound.conclude(first, outcome)

    assert (await inbound.receive("k")).duplicate_of == first.id


async def test_of_two_repeats_in_one_group_commit_one_takes_over(inbound: InboundHarness) -> None:
    await inbound.conclude(await inbound.receive("k"), UNMATCHED)
    arrivals = [ReceivedCallback(inbound.callback("k"), REQUEST) for _ in range(3)]
    found = [
        stored.callback for stored in await asyncio.gather(*map(inbound.store.receive, arrivals))
    ]

    assert [c.outcome for c in found] == [None, DUPLICATE, DUPLICATE]
    assert {c.duplicate_of for c in found[1:]} == {found[0].id}


async def test_whoever_lost_its_key_waits_no_longer(inbound: InboundHarness) -> None:
    first = await inbound.receive("k")
    retry_at = inbound.outbound.now + HOUR
    await inbound.conclude(first, UNMATCHED, retry_at=retry_at, awaited_references=("order-1",))
    await inbound.receive("k")
    late = ChangeSet(conclusion=inbound.conclusion(first))

    assert await inbound.store.callbacks_awaiting(inbound.outbound.app, ["order-1"]) == []
    assert await inbound.store.callbacks_to_retry(retry_at, 10) == []
    assert await inbound.store.commit_changes(late) == PreconditionFailed("concluded")


async def test_what_counted_at_last_leaves_its_key_to_nobody(inbound: InboundHarness) -> None:
    first = await inbound.receive("k")
    await inbound.conclude(first, UNMATCHED, retry_at=inbound.outbound.now + HOUR)
    await inbound.conclude(first, APPLIED)

    assert (await inbound.receive("k")).duplicate_of == first.id


@pytest.mark.parametrize("outcome", [Outcome.UNAUTHENTICATED, Outcome.MALFORMED])
async def test_a_callback_that_comes_with_an_outcome_holds_no_key(
    inbound: InboundHarness, outcome: Outcome
) -> None:
    refused = await inbound.receive("k", trust=None, outcome=outcome, why="The signature is wrong.")
    proven = await inbound.receive("k")

    assert (refused.outcome, proven.outcome) == (outcome, None)
    assert await inbound.store.unprocessed_callbacks("", 10) == [proven]
    assert (await inbound.receive("k", outcome=outcome)).duplicate_of is None


# ── a conclusion taken back ──────────────────────────────────────────────────────────────────────


async def test_a_reopened_callback_is_as_it_came(inbound: InboundHarness) -> None:
    callback = await inbound.receive("k")
    fields = {
        "transaction_id": inbound.outbound.new("trx"),
        "message_ids": (inbound.outbound.new("msg"),),
    }
    assert await inbound.conclude(callback, APPLIED, **fields) != callback

    assert await inbound.store.reopen_callback(callback.app_id, callback.id) is True
    assert await inbound.reread(callback) == callback
    assert await inbound.store.unprocessed_callbacks("", 10) == [callback]
    assert await inbound.store.reopen_callback(callback.app_id, callback.id) is False
    assert (
        await inbound.store.reopen_callback(inbound.outbound.app, inbound.outbound.new("cbk"))
        is False
    )


async def test_a_reopened_callback_waits_no_longer_and_holds_its_key_again(
    inbound: InboundHarness,
) -> None:
    callback = await inbound.receive("k")
    retry_at = inbound.outbound.now + HOUR
    await inbound.conclude(callback, UNMATCHED, retry_at=retry_at, awaited_references=("order-1",))
    await inbound.store.reopen_callback(callback.app_id, callback.id)

    assert await inbound.store.callbacks_awaiting(inbound.outbound.app, ["order-1"]) == []
    assert await inbound.store.callbacks_to_retry(retry_at, 10) == []
    assert (await inbound.receive("k")).duplicate_of == callback.id
    assert (await inbound.conclude(callback, APPLIED)).outcome is APPLIED


# ── storms and stragglers ────────────────────────────────────────────────────────────────────────


@soak
@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
async def test_of_many_copies_of_many_events_each_event_counts_once(
    inbound: InboundHarness,
) -> None:
    """A thousand events, two hundred times each, mixed into the same group commits."""
    firsts = {}
    for _ in range(TIMES):
        arrivals = [
            ReceivedCallback(inbound.callback(f"event-{n}"), None)
            for _ in range(20)
            for n in range(KEYS)
        ]
        for callback, _ in await asyncio.gather(*map(inbound.store.receive, arrivals)):
            if callback.outcome is None:
                assert callback.dedupe_key not in firsts
                firsts[callback.dedupe_key] = callback.id
            else:
                assert callback.duplicate_of == firsts[callback.dedupe_key]
    unprocessed = await inbound.store.unprocessed_callbacks("", 2 * KEYS)

    assert len(firsts) == KEYS
    assert sorted(firsts.values()) == [c.id for c in unprocessed]


@pytest.mark.parametrize("days", [1, 7, 30, 44, 399])
async def test_a_late_duplicate_is_one_although_the_first_was_purged(
    inbound: InboundHarness, days: int
) -> None:
    first = await inbound.receive("k")
    await inbound.conclude(first)
    inbound.outbound.clock.advance(days * 86_400)
    now = inbound.outbound.now
    await inbound.store.purge_inbound(requests_before=now, callbacks_before=now, now=now, limit=100)
    late = await inbound.receive("k")

    assert await inbound.store.callback(first.app_id, first.id) is None
    assert (late.outcome, late.duplicate_of) == (DUPLICATE, first.id)


async def test_a_late_repeat_of_what_did_not_count_is_looked_at_although_it_was_purged(
    inbound: InboundHarness,
) -> None:
    await inbound.conclude(await inbound.receive("k"), UNMATCHED)
    inbound.outbound.clock.advance(100 * 86_400)
    now = inbound.outbound.now
    await inbound.store.purge_inbound(requests_before=now, callbacks_before=now, now=now, limit=100)

    assert (await inbound.receive("k")).outcome is None


async def test_a_key_is_forgotten_after_four_hundred_days(inbound: InboundHarness) -> None:
    await inbound.receive("k")
    inbound.outbound.clock.advance(400 * 86_400 + 1)
    now = inbound.outbound.now
    await inbound.store.purge_inbound(
        requests_before=now - DAY, callbacks_before=now - DAY, now=now, limit=100
    )

    assert (await inbound.receive("k")).outcome is None
