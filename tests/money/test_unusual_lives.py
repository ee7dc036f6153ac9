"""Unusual lives: each is played in many orders, and the books are compared with the provider's.

A life says what the provider's balance is at its end, and whether a person is asked. What is asked
about is answered truly, as the provider's dashboard shows it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from tests.money.payment_harness import (
    APPROVED,
    CANCELLED,
    DECLINED,
    FAILED,
    PAY_OUT,
    PENDING,
    PROCESSING,
    PaymentHarness,
    linked,
    news,
)
from tests.money.psp import PSP
from tests.scale import orders_played, seed, soak
from tillbell.model.callbacks import Outcome, ProviderAmount, References, TransactionNotice
from tillbell.model.transactions import MoneyConflict, TransactionKind
from tillbell.process.manual.audited import ActionReason
from tillbell.process.manual.conflicts import ConflictAnswer

CHARGEBACK, BACK = TransactionKind.CHARGEBACK, TransactionKind.CHARGEBACK_REVERSAL
REFUND, RETURN, REVERSAL = TransactionKind.REFUND, TransactionKind.RETURN, TransactionKind.REVERSAL
ACTOR = ActionReason("key_1", "as the dashboard shows")
HOUR_S = 3_600.0
AUTHORIZED: dict[str, Any] = {"substate": "authorized"}

Events = Callable[[str], Sequence[TransactionNotice]]


class Life(NamedTuple):
    """The events of a payment of 100.00 EUR, and the provider's balance at their end, in cents.

    `accepted` are the amounts about which a person is asked, and which that person accepts. All
    else that is asked is kept.
    """

    events: Events
    balance: int
    accepted: tuple[int, ...] = ()
    config: Mapping[str, Any] = MappingProxyType({})
    direction: Any = None
    asks_by_order: bool = False  # a person is asked in some orders only
    is_ordered: bool = False  # its events come only as they happened


def payment(uid: str, own_id: str, amount: str | None, **fields: Any) -> TransactionNotice:
    status = fields.pop("status", APPROVED)
    return news(uid, status, psp_transaction_id=f"{own_id} of {uid}", amount=amount, **fields)


def back(uid: str, kind: TransactionKind, own_id: str, amount: str, **fields: Any) -> Any:
    return linked(uid, kind, f"{own_id} of {uid}", amount=amount, **fields)


LIVES = {
    "authorised, captured in part, the rest is voided": Life(
        lambda uid: [
            payment(uid, "A", "100.00", status=PENDING, **AUTHORIZED),
            payment(uid, "A", "60.00", capture_id="C1"),
            payment(uid, "A", None, status=CANCELLED, ends_attempt=True),
        ],
        6_000,
        accepted=(6_000,),
    ),
    "three attempts: voided, refused, captured": Life(
        lambda uid: [
            payment(uid, "A", "100.00", status=PENDING, **AUTHORIZED),
            payment(uid, "A", None, status=CANCELLED, ends_attempt=True),
            payment(uid, "B", None, status=DECLINED, ends_attempt=True),
            payment(uid, "C", "100.00"),
        ],
        10_000,
    ),
    "over-payment in two halves, and the surplus goes back": Life(
        lambda uid: [
            payment(uid, "A", "60.00"),
            payment(uid, "B", "60.00"),
            back(uid, REFUND, "R", "20.00"),
        ],
        10_000,
        accepted=(2_000,),  # so the refund, which may have been of it, is booked too
        is_ordered=True,
    ),
    "parts by rule, over-paid, and each part refunded": Life(
        lambda uid: [
            payment(uid, "A", "60.00"),
            payment(uid, "B", "60.00"),
            back(uid, REFUND, "RA", "60.00"),
            back(uid, REFUND, "RB", "10.00"),
        ],
        5_000,
        accepted=(2_000, 1_000, 6_000),
        asks_by_order=True,
        config={"partialCapture": "credit"},
    ),
    "a refund and a dispute of the rest that is won": Life(
        lambda uid: [
            payment(uid, "A", "100.00"),
            back(uid, REFUND, "R", "30.00"),
            back(uid, CHARGEBACK, "D", "70.00", movement_id="w"),
            back(uid, BACK, "D", "70.00", movement_id="r"),
        ],
        7_000,
    ),
    "two disputes, one is won in part": Life(
        lambda uid: [
            payment(uid, "A", "100.00"),
            back(uid, CHARGEBACK, "D1", "30.00"),
            back(uid, CHARGEBACK, "D2", "50.00"),
            back(uid, BACK, "D2", "20.00"),
        ],
        4_000,
    ),
    "a dispute that opens, closes without money, and a refund instead": Life(
        lambda uid: [
            payment(uid, "A", "100.00"),
            back(uid, CHARGEBACK, "D", "100.00", status=PENDING),
            back(uid, REFUND, "R", "100.00"),
            back(uid, CHARGEBACK, "D", "100.00", status=CANCELLED, is_closing=True),
        ],
        0,
    ),
    "refunds: one pending that fails, one that succeeds": Life(
        lambda uid: [
            payment(uid, "A", "100.00"),
            back(uid, REFUND, "R1", "40.00", status=PENDING),
            back(uid, REFUND, "R1", "40.00", status=FAILED),
            back(uid, REFUND, "R2", "40.00"),
        ],
        6_000,
    ),
    "a capture that fails, and another attempt": Life(
        lambda uid: [
            payment(uid, "A", "100.00", capture_id="C1"),
            payment(uid, "A", "100.00", capture_id="C1", status=FAILED),
            payment(uid, "B", "100.00", capture_id="C2"),
        ],
        10_000,
        is_ordered=True,
    ),
    "captured as a total and in parts": Life(
        lambda uid: [
            payment(uid, "A", "40.00", capture_id="C1"),
            payment(uid, "A", "60.00", capture_id="C2"),
            payment(uid, "A", "100.00"),
        ],
        10_000,
    ),
    "paid twice, and the second one is refunded": Life(
        lambda uid: [
            payment(uid, "A", "100.00"),
            payment(uid, "B", "100.00"),
            linked(
                "",
                REFUND,
                f"R of {uid}",
                amount="100.00",
                references=References((uid,), (f"B of {uid}",)),
            ),
        ],
        10_000,
        accepted=(10_000,),
        is_ordered=True,
    ),
    "a pay-out that the bank returns": Life(
        lambda uid: [
            payment(uid, "P", "100.00", status=PROCESSING),
            payment(uid, "P", "100.00"),
            back(uid, RETURN, "X", "100.00"),
        ],
        0,
        direction=PAY_OUT,
    ),
    "a pay-out that fails after its success": Life(
        lambda uid: [
            payment(uid, "P", "100.00"),
            payment(uid, "P", None, status=FAILED),
        ],
        0,
        direction=PAY_OUT,
        is_ordered=True,
        accepted=(-1,),
    ),
}


async def answer_all(payments: PaymentHarness, uid: str, accepted: list[int]) -> None:
    """Accept those amounts, once each, and keep the rest of what is open. -1: any amount."""
    while conflicts := await payments.conflicts(uid):
        conflict: MoneyConflict = conflicts[0]
        amount = conflict.amount if conflict.amount in accepted else -1
        choice = "keep"
        if amount in accepted:
            accepted.remove(amount)
            choice = "accept"
        resolver = payments.gateway.conflict_resolver
        await resolver.resolve(payments.app_id, conflict.id, choice, ACTOR, ConflictAnswer())
        await payments.idle()


@soak
@pytest.mark.parametrize("name", LIVES)
async def test_the_books_are_the_providers_balance(payments: PaymentHarness, name: str) -> None:
    life = LIVES[name]
    psp = await payments.source(**life.config)
    choice = random.Random(seed())
    count = len(life.events(""))
    orders = [tuple(range(count))]
    if not life.is_ordered:
        every = list(itertools.permutations(range(count)))
        orders += choice.sample(every, min(len(every), orders_played(len(every)) // 4 + 1))
    for number, order in enumerate(orders):
        uid = f"T{number}"
        await payments.create(uid, *(() if life.direction is None else (life.direction,)))
        events, accepted = life.events(uid), list(life.accepted)
        for place in order:
            await payments.tell(psp, events[place])
            if life.is_ordered or choice.random() < 0.5:
                await payments.tell(psp, events[place])
        await answer_all(payments, uid, accepted)
        ordered = [events[place] for place in order]
        shown = [(str(e.kind), str(e.status), e.psp_transaction_id) for e in ordered]
        assert await payments.balance(uid) == life.balance, shown
        assert life.asks_by_order or not accepted, shown


# ── two sources ──────────────────────────────────────────────────────────────────────────────────


async def test_an_order_that_is_paid_at_two_providers_asks(payments: PaymentHarness) -> None:
    one, two, shop = [await payments.source() for _ in range(3)]
    await payments.create("O", order_id="order")
    await payments.tell(one, news("order", APPROVED, psp_transaction_id="A", amount="100.00"))

    told = news("order", APPROVED, amount="100.00", is_optional=True)
    assert (await payments.tell(shop, told)).outcome is Outcome.NOTED
    assert await payments.conflicts("O") == []

    second = news("order", APPROVED, psp_transaction_id="B", amount="100.00")
    assert (await payments.tell(two, second)).outcome is Outcome.UNMATCHED
    (conflict,) = await payments.conflicts("O")
    assert conflict.kind == "ambiguous"
    resolver = payments.gateway.conflict_resolver
    said = ConflictAnswer(transaction_id="O")
    await resolver.resolve(payments.app_id, conflict.id, "accept", ACTOR, said)
    await answer_all(payments, "O", [10_000])
    assert await payments.balance("O") == 20_000

    references = References(("order",), ("B",))
    await payments.tell(two, linked("", REFUND, "R", amount="100.00", references=references))
    assert await payments.balance("O") == 10_000


async def test_two_providers_may_give_their_refunds_the_same_id(payments: PaymentHarness) -> None:
    gift = await payments.source(movesAnySource=True)
    providers = payments.gateway.source_cache.providers
    payments.gateway.source_cache.providers = {**providers, "card": PSP._replace(name="card")}
    card = await payments.source_at("card", movesAnySource=True)
    await payments.create("O")
    for source, own_id, amount in ((gift, "G", "40.00"), (card, "C", "60.00")):
        notice = news("O", APPROVED, psp_transaction_id=own_id, amount=amount, is_part=True)
        await payments.tell(source, notice)

    for _ in range(2):
        await payments.tell(gift, linked("O", REFUND, "1", amount="40.00"))
        await payments.tell(card, linked("O", REFUND, "1", amount="10.00"))

    assert await payments.balance("O") == 5_000
    assert (await payments.read("O")).refunded == 5_000


# ── what asks ────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_payment_in_another_currency_asks_once(payments: PaymentHarness) -> None:
    psp = await payments.source()
    await payments.create("O")
    await payments.tell(psp, payment("O", "A", "100.00"))
    dollars = payment("O", "B", None)._replace(amount=ProviderAmount("120.00", "USD"))

    assert (await payments.tell(psp, dollars)).outcome is Outcome.MISMATCH
    assert (await payments.tell(psp, dollars)).outcome is Outcome.DUPLICATE
    (conflict,) = await payments.conflicts("O")
    resolver = payments.gateway.conflict_resolver
    said = ConflictAnswer(amount=11_000)
    await resolver.resolve(payments.app_id, conflict.id, "accept", ACTOR, said)

    assert await payments.balance("O") == 21_000
    assert (await payments.tell(psp, dollars)).outcome is Outcome.DUPLICATE
    assert await payments.conflicts("O") == []


async def test_a_refund_that_waited_too_long_for_its_payment_asks(payments: PaymentHarness) -> None:
    psp = await payments.source()
    await payments.create("O")
    await payments.tell(psp, payment("O", "A", "60.00"))
    await payments.tell(psp, back("O", REFUND, "R", "20.00"))
    await payments.pass_time(73 * HOUR_S)
    await payments.gateway.unmatched_callbacks.retry_due()
    await payments.idle()

    await answer_all(payments, "O", [6_000, 2_000])

    assert await payments.balance("O") == 4_000
