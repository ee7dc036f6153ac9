"""Whole lives of payments at PAYONE: the books end as its own account of the payment does."""

from __future__ import annotations

import pytest

from tests.money.lives import Event, Life, account, play
from tests.money.payment_harness import APPROVED, PENDING, PaymentHarness
from tests.scale import soak
from tillbell.errors import ConflictError
from tillbell.process.manual.audited import ActionReason
from tillbell.process.manual.conflicts import ConflictAnswer

pytestmark = pytest.mark.sqlite_first

BELIEVED = {"confirm": "trust"}


def status(n: int, action: str, number: int, receivable: str, balance: str, **more: str) -> Event:
    fields = {
        "txaction": action,
        "txid": f"9{n}",
        "reference": f"{n}",
        "sequencenumber": f"{number}",
        "price": "100.00",
        "receivable": receivable,
        "balance": balance,
        "currency": "EUR",
        "mode": "live",
        "portalid": "2000001",
        "aid": "30001",
        "txtime": "1772359200",
    }
    return Event({**fields, **more})


def appointed(n: int, booked: str = "0.00", **more: str) -> Event:
    return status(n, "appointed", 0, booked, booked, **more)


LIVES = (
    Life(
        "a wallet that answers late",
        lambda n: [
            appointed(n, transaction_status="pending"),
            appointed(n, "100.00", transaction_status="completed"),
            status(n, "paid", 0, "100.00", "0.00"),
        ],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "failed, then paid with another transaction",
        lambda n: [
            status(n, "failed", 0, "0.00", "0.00", txid=f"8{n}"),
            appointed(n, "100.00"),
            status(n, "paid", 0, "100.00", "0.00"),
        ],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "captured in two parts",
        lambda n: [
            appointed(n),
            status(n, "capture", 1, "60.00", "60.00"),
            status(n, "paid", 1, "60.00", "0.00"),
            status(n, "capture", 2, "100.00", "40.00"),
            status(n, "paid", 2, "100.00", "0.00"),
        ],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "paid in advance, in two transfers",
        lambda n: [
            appointed(n, "100.00"),
            status(n, "underpaid", 0, "100.00", "70.00"),
            status(n, "underpaid", 0, "100.00", "20.00"),
            status(n, "paid", 0, "100.00", "0.00"),
        ],
        10_000,
        config=BELIEVED,
    ),
    Life(
        "captured in part, credited by rule",
        lambda n: [
            appointed(n),
            status(n, "capture", 1, "60.00", "60.00"),
            status(n, "paid", 1, "60.00", "0.00"),
        ],
        6_000,
        config={**BELIEVED, "partialCapture": "credit"},
    ),
)


@soak
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
async def test_a_life_ends_as_the_account_at_payone_does(
    payments: PaymentHarness, life: Life
) -> None:
    await play(payments, "payone", life)


async def test_a_part_of_what_was_reserved_does_not_credit_all(payments: PaymentHarness) -> None:
    payone = await account(payments, "payone", **BELIEVED)
    await payments.create("77")

    await payone.send(appointed(77))
    await payone.send(status(77, "capture", 1, "60.00", "60.00"))
    await payone.send(status(77, "paid", 1, "60.00", "0.00"))

    (conflict,) = await payments.conflicts("77")
    assert (await payments.balance("77"), conflict.amount) == (0, 6_000)


async def test_more_than_was_asked_for_is_a_persons_to_accept(payments: PaymentHarness) -> None:
    payone = await account(payments, "payone", **BELIEVED)
    await payments.create("77")

    await payone.send(status(77, "paid", 0, "100.00", "-20.00"))

    (conflict,) = await payments.conflicts("77")
    assert await payments.status("77") is APPROVED
    assert (await payments.balance("77"), conflict.amount) == (10_000, 2_000)


async def test_a_refund_without_an_amount_asks_a_person(payments: PaymentHarness) -> None:
    payone = await account(payments, "payone", **BELIEVED)
    await payments.create("77")
    await payone.send(status(77, "paid", 0, "100.00", "0.00"))

    for number in (1, 2):
        for _ in range(2):
            await payone.send(status(77, "debit", number, "70.00", "0.00"))

    assert await payments.balance("77") == 10_000
    resolver, act = payments.gateway.conflict_resolver, ActionReason("key_1", "looked at it")
    for conflict in await payments.conflicts("77"):
        assert conflict.kind == "unconfirmed_linked"
        with pytest.raises(ConflictError, match="amount"):
            await payments.accept(conflict.id)
        answer = ConflictAnswer(amount=1_500)
        await resolver.resolve(payments.app_id, conflict.id, "accept", act, answer)
    assert await payments.balance("77") == 7_000
    assert await payments.conflicts("77") == []


async def test_test_money_moves_nothing(payments: PaymentHarness) -> None:
    payone = await account(payments, "payone", **BELIEVED)
    await payments.create("77")

    await payone.send(status(77, "paid", 0, "100.00", "0.00", mode="test"))

    assert await payments.status("77") is PENDING
    assert (await payments.callbacks())[-1].outcome == "noted"
