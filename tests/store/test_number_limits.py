"""Integers beyond 64 bits: that write or read is refused, and those beside it are not."""

from __future__ import annotations

import asyncio

import pytest

from tests.store.inbound_harness import PENDING, InboundHarness
from tests.store.outbound_harness import BODY, OutboundHarness
from tillbell.clock import HOUR
from tillbell.errors import NumberTooLarge
from tillbell.storage.ports.inbound import ChangesCommitted, ChangeSet
from tillbell.storage.ports.outbound import ALL, AttemptFilter, Publication, PublicationStored

BEYOND = (2**63, -(2**63) - 1, 10**30)


@pytest.mark.parametrize("number", BEYOND)
async def test_of_publications_in_one_commit_only_the_faulty_one_is_refused(
    outbound: OutboundHarness, number: int
) -> None:
    expiries = (None, outbound.now + HOUR, number, 2**63 - 1)
    messages = [outbound.message(expires_at=expires_at) for expires_at in expiries]
    outcomes = await asyncio.gather(
        *[outbound.store.publish(Publication(message, {"": BODY}, [])) for message in messages],
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [
        PublicationStored,
        PublicationStored,
        NumberTooLarge,
        PublicationStored,
    ]
    stored = [await outbound.store.message(m.app_id, m.id) for m in messages]
    assert stored == [messages[0], messages[1], None, messages[3]]


@pytest.mark.parametrize("number", BEYOND)
async def test_of_decisions_in_one_commit_only_the_faulty_one_is_refused(
    inbound: InboundHarness, number: int
) -> None:
    steps = [inbound.opening(inbound.transaction(amount=amount)) for amount in (1, number, 2)]
    outcomes = await asyncio.gather(
        *[inbound.store.commit_changes(ChangeSet(transaction_writes=(step,))) for step in steps],
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [
        ChangesCommitted,
        NumberTooLarge,
        ChangesCommitted,
    ]
    faulty = steps[1].transaction
    assert await inbound.store.transaction(faulty.app_id, faulty.id) is None
    assert (await inbound.create()).status is PENDING


@pytest.mark.parametrize("number", BEYOND)
async def test_a_read_with_such_a_number_is_refused_and_the_next_one_works(
    outbound: OutboundHarness, number: int
) -> None:
    app, message = outbound.app, await outbound.publish()
    filter_ = AttemptFilter(message_id=message.id, before=number)
    with pytest.raises(NumberTooLarge):
        await outbound.store.attempts(app, filter_, ALL)
    assert await outbound.store.attempts(app, AttemptFilter(message_id=message.id), ALL) == []
