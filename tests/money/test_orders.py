"""Whatever the order and however often it is told, the end and the money are the same.

Every order of every lifecycle, each event one to three times, all of them at once: a transaction
for each order, its callbacks in flight together.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from tests.money.payment_harness import (
    APPROVED,
    CANCELLED,
    DECLINED,
    FAILED,
    ON_HOLD,
    PAY_IN,
    PAY_OUT,
    PENDING,
    PROCESSING,
    REJECTED,
    PaymentHarness,
    linked,
    news,
)
from tests.scale import full_or_tenth, soak
from tillbell.model.callbacks import References, TransactionNotice
from tillbell.model.sources import Source
from tillbell.model.transactions import Direction, TransactionKind, TransactionStatus

Event = tuple[
    TransactionKind, str, TransactionStatus
]  # what, its own id at the provider, how it stands
Account = tuple[
    TransactionStatus,
    tuple[tuple[TransactionKind, TransactionStatus], ...],
    tuple[tuple[str, str], ...],
]


def payment(*statuses: TransactionStatus) -> list[Event]:
    return [(TransactionKind.PAYMENT, "", status) for status in statuses]


class Lifecycle(NamedTuple):
    """A lifecycle: its events, and how it ends in every order."""

    direction: Direction
    events: Sequence[Event]
    ends: Account


CREDIT, DEBIT, RELEASE = ("credit", "100.00"), ("debit", "100.00"), ("release", "100.00")
RESERVE, BACK = ("reserve", "100.00"), ("credit", "100.00")
FEW = 12  # orders of four events
LIVES = {
    "paid": Lifecycle(PAY_IN, payment(PENDING, ON_HOLD, APPROVED), (APPROVED, (), (CREDIT,))),
    "declined": Lifecycle(PAY_IN, payment(PENDING, ON_HOLD, DECLINED), (DECLINED, (), ())),
    "refunded": Lifecycle(
        PAY_IN,
        [
            *payment(PENDING, ON_HOLD, APPROVED),
            (TransactionKind.REFUND, "R1", PENDING),
            (TransactionKind.REFUND, "R1", APPROVED),
        ],
        (APPROVED, ((TransactionKind.REFUND, APPROVED),), (CREDIT, DEBIT)),
    ),
    "disputed and won back": Lifecycle(
        PAY_IN,
        [
            *payment(PENDING, ON_HOLD, APPROVED),
            (TransactionKind.CHARGEBACK, "D1", PENDING),
            (TransactionKind.CHARGEBACK, "D1", APPROVED),
            (TransactionKind.CHARGEBACK_REVERSAL, "D1", APPROVED),
        ],
        (
            APPROVED,
            (
                (TransactionKind.CHARGEBACK, APPROVED),
                (TransactionKind.CHARGEBACK_REVERSAL, APPROVED),
            ),
            (CREDIT, BACK, DEBIT),
        ),
    ),
    "paid out": Lifecycle(
        PAY_OUT,
        payment(PENDING, ON_HOLD, PROCESSING, APPROVED),
        (APPROVED, (), (DEBIT, RESERVE)),
    ),
    "rejected": Lifecycle(
        PAY_OUT,
        payment(PENDING, ON_HOLD, PROCESSING, REJECTED),
        (REJECTED, (), (RELEASE, RESERVE)),
    ),
    "paid out and returned": Lifecycle(
        PAY_OUT,
        [
            *payment(PENDING, ON_HOLD, PROCESSING, APPROVED),
            (TransactionKind.RETURN, "B1", APPROVED),
        ],
        (APPROVED, ((TransactionKind.RETURN, APPROVED),), (CREDIT, DEBIT, RESERVE)),
    ),
}

CONTRADICTIONS = {
    "approved and declined": (PAY_IN, payment(PENDING, ON_HOLD, APPROVED, DECLINED)),
    "failed, cancelled and paid": (PAY_IN, payment(PENDING, FAILED, CANCELLED, APPROVED)),
    "rejected and paid out": (PAY_OUT, payment(ON_HOLD, PROCESSING, REJECTED, APPROVED)),
}


def orders(events: Sequence[Event], seed: int) -> Iterator[list[Event]]:
    """Give orders of events, each told one to three times: every one, of many a tenth."""
    choice = random.Random(seed)
    every = list(itertools.permutations(events))
    for order in choice.sample(every, min(len(every), max(FEW, full_or_tenth(len(every))))):
        told = list(order)
        for event in order:
            for _ in range(choice.randrange(3)):
                told.insert(choice.randrange(told.index(event), len(told)) + 1, event)
        yield told


def notice_of(event: Event, uid: str) -> TransactionNotice:
    kind, own_id, status = event
    if kind is TransactionKind.PAYMENT:
        return news(uid, status)
    return linked(uid, kind, f"{own_id} of {uid}", status=status)


async def tell_all(
    payments: PaymentHarness, psp: Source, direction: Direction, events: Sequence[Event]
) -> list[str]:
    """Tell every order of a lifecycle, each of a transaction of its own; return their uids."""
    told = list(enumerate(orders(events, seed=len(events))))
    for number, _ in told:
        reserves = direction is PAY_OUT
        await payments.create(f"T{number}", direction, reserves=reserves, order_id=f"O{number}")
    for place in range(max(len(order) for _, order in told)):
        now = [(number, order[place]) for number, order in told if place < len(order)]
        await asyncio.gather(*(payments.send(psp, named(n, place, event)) for n, event in now))
    await payments.idle()
    return [f"T{number}" for number, _ in told]


def named(number: int, place: int, event: Event) -> TransactionNotice:
    """Tell of an event; the transaction is not always named alike."""
    notice = notice_of(event, f"T{number}")
    if (number + place) % 2:
        return notice._replace(references=References((f"O{number}",)))
    return notice


async def account(payments: PaymentHarness, uid: str) -> Account:
    children = sorted((one.kind, one.status) for one in await payments.children(uid))
    return await payments.status(uid), tuple(children), tuple(sorted(await payments.moved(uid)))


@pytest.mark.sqlite
@soak
@pytest.mark.parametrize("name", LIVES)
async def test_every_order_ends_alike(payments: PaymentHarness, psp: Source, name: str) -> None:
    life = LIVES[name]

    uids = await tell_all(payments, psp, life.direction, life.events)

    assert Counter([await account(payments, uid) for uid in uids]) == {life.ends: len(uids)}
    assert await payments.conflicts() == []


@pytest.mark.parametrize("name", CONTRADICTIONS)
async def test_ends_that_contradict_move_money_at_most_once_and_ask_a_person(
    payments: PaymentHarness, psp: Source, name: str
) -> None:
    direction, events = CONTRADICTIONS[name]

    for uid in await tell_all(payments, psp, direction, events):
        moved = [kind for kind, _ in await payments.moved(uid) if kind != "reserve"]
        assert len(moved) <= 1
        assert [one.kind for one in await payments.conflicts(uid)].count("contradiction") >= 1


async def test_steps_have_no_gap_and_each_is_told_once(
    payments: PaymentHarness, psp: Source
) -> None:
    life = LIVES["paid out"]

    uids = await tell_all(payments, psp, life.direction, life.events)

    told = Counter((message.order_key, message.event_type) for message in await payments.messages())
    assert set(told.values()) == {1}
    for uid in uids:
        steps = await payments.steps(uid)
        assert [one.sequence for one in steps] == list(range(1, len(steps) + 1))
        linked_up = itertools.pairwise(steps)
        assert all(after.previous_status is before.status for before, after in linked_up)
        id_ = (await payments.read(uid)).id
        assert sum(count for (key, _), count in told.items() if key == id_) == len(steps)
