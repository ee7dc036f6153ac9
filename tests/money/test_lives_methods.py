"""Whole lives at payment methods that prove little, as their owner believes them.

KOPA, Chipcard and Neosurf tell of a payment alone: what goes back is known from the shop.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.lives import Event, Life, account, play
from tests.money.payment_harness import PAY_OUT, PaymentHarness
from tests.money.test_lives_asked import ProviderServer, State
from tests.scale import soak
from tillbell.process.manual.audited import ActionReason

pytestmark = pytest.mark.sqlite_first

FEW = 4
BELIEVED = {"confirm": "trust"}
FINAL = {**BELIEVED, "mode": "callback-is-final"}


def kopa(n: int, word: str, own_id: str = "a", **more: Any) -> Event:
    fields = {"OrderId": f"{n}", "TansId": f"{own_id}{n}", "TransStatus": word}
    return Event({**fields, "TransDate": 1_772_359_190 + (word == "Approved"), **more})


def chipcard(n: int, code: str, own_id: str = "a", **more: str) -> Event:
    fields = {
        "merchantPaymentId": f"{n}",
        "customerId": "c",
        "sessionToken": f"{own_id}{n}",
        "random": "r",
        "pgTranId": f"{own_id}{n}",
        "responseCode": code,
        "amount": "100.00",
        "currency": "EUR",
    }
    return Event({**fields, **more})


def neosurf(n: int, word: str, own_id: str = "a", **more: str) -> Event:
    fields = {
        "transactionId": f"{own_id}{n}",
        "merchantTransactionId": f"{n}",
        "status": word,
        "amount": "10000",
        "currency": "eur",
    }
    return Event({**fields, **more})


def session(n: int, state: int) -> Event:
    return Event({"session_id": f"{n}", "session_state": state})


def brite(n: int, state: int, own_id: str = "a") -> Event:
    fields = {"transaction_id": f"{own_id}{n}", "session_id": f"{n}", "transaction_state": state}
    return Event(fields)


def mozarto(n: int, word: str) -> Event:
    fields = {
        "transaction_id": f"m{n}",
        "psp_transaction_id": f"p{n}",
        "transaction_status": word,
        "status": word.lower(),
        "amount": "100.00",
        "currency": "EUR",
        "merchantReference": f"{n}",
    }
    return Event(fields)


def zenofy(n: int, word: str) -> Event:
    fields = {
        "event": f"order_{word}",
        "orderId": f"{n}",
        "status": word.upper(),
        "totalAmount": 100.0,
        "currency": "EUR",
        "paymentReference": f"P{n}",
    }
    return Event(fields)


LIVES = [
    (
        "mozarto",
        Life(
            "pending, held, approved",
            lambda n: [mozarto(n, "Pending"), mozarto(n, "On Hold"), mozarto(n, "Approved")],
            10_000,
            config=BELIEVED,
        ),
    ),
    (
        "zenofy",
        Life(
            "paid and refunded",
            lambda n: [zenofy(n, "paid"), zenofy(n, "refunded")],
            0,
            children=("Approved",),
            config=BELIEVED,
        ),
    ),
    (
        "kopa",
        Life(
            "declined, an error, then paid",
            lambda n: [
                kopa(n, "Declined", "x", TransErrorCode="05"),
                kopa(n, "Error", "y"),
                kopa(n, "Approved"),
            ],
            10_000,
            config=BELIEVED,
        ),
    ),
    (
        "kopa",
        Life(
            "declined, then approved with the same id",
            lambda n: [kopa(n, "Declined"), kopa(n, "Approved")],
            10_000,
            config=BELIEVED,
        ),
    ),
    (
        "kopa",
        Life(
            "reserved, a capture that failed, captured",
            lambda n: [
                kopa(n, "Approved", TranType="PreAuth"),
                kopa(n, "Payment failed", "x"),
                kopa(n, "Payment captured", "b"),
            ],
            10_000,
            config=BELIEVED,
        ),
    ),
    (
        "chipcard",
        Life(
            "an error, declined, waits for approval, then charged",
            lambda n: [
                chipcard(n, "98", "x"),
                chipcard(n, "99", "y"),
                chipcard(n, "01"),
                chipcard(n, "00"),
            ],
            10_000,
            config=FINAL,
        ),
    ),
    (
        "chipcard",
        Life(
            "declined, then reserved",
            lambda n: [
                chipcard(n, "99", "x"),
                chipcard(n, "00", transactionType="PREAUTH"),
            ],
            0,
            status="Pending",
            config=FINAL,
        ),
    ),
    (
        "neosurf",
        Life(
            "refused, with an error, then paid by another voucher",
            lambda n: [
                neosurf(n, "ko", "x"),
                neosurf(n, "ok", "y", errorCode="12"),
                neosurf(n, "pending"),
                neosurf(n, "ok"),
            ],
            10_000,
            config=BELIEVED,
        ),
    ),
    (
        "brite",
        Life(
            "a visit that was aborted, a transfer that failed, another one received",
            lambda n: [
                session(n, 10),
                session(n, 2),
                brite(n, 1, "x"),
                brite(n, 2, "x"),
                brite(n, 3, "x"),
                session(n, 12),
                brite(n, 1),
                brite(n, 4),
                brite(n, 5),
            ],
            10_000,
            config=BELIEVED,
        ),
    ),
    (
        "brite",
        Life(
            "failed, and received all the same",
            lambda n: [brite(n, 1), brite(n, 3), session(n, 11), brite(n, 5)],
            10_000,
            config=BELIEVED,
        ),
    ),
]


@soak
@pytest.mark.parametrize(("provider", "life"), LIVES, ids=lambda row: getattr(row, "name", row))
async def test_a_life_ends_as_the_methods_balance_does(
    payments: PaymentHarness, provider: str, life: Life
) -> None:
    await play(payments, provider, life, FEW)


async def test_a_pay_out_of_brite_that_failed_has_ended(payments: PaymentHarness) -> None:
    shop = await account(payments, "brite", **BELIEVED)
    for n, state, status in ((1, 3, "Failed"), (2, 2, "Cancelled"), (3, 7, "Approved")):
        await payments.create(f"{n}", PAY_OUT)
        for word in (1, state, state):
            await shop.send(brite(n, word))
        assert await payments.status(f"{n}") == status


@pytest.mark.parametrize("provider", ["kopa", "chipcard", "neosurf", "brite"])
async def test_what_the_shop_pays_back_is_booked_once(
    payments: PaymentHarness, provider: str
) -> None:
    paid = {
        "kopa": kopa(77, "Approved"),
        "chipcard": chipcard(77, "00"),
        "neosurf": neosurf(77, "ok"),
        "brite": brite(77, 5),
    }[provider]
    shop = await account(payments, provider, **(FINAL if provider == "chipcard" else BELIEVED))
    await payments.create("77")
    await shop.send(paid)
    for amount, left in ((3_000, 7_000), (2_000, 5_000)):
        act = ActionReason("key_1", "sent back")
        await payments.gateway.manual_actions.reverse(payments.app_id, "77", amount, act)
        await shop.send(paid)
        assert (await payments.balance("77"), await payments.conflicts()) == (left, [])


KOPA_STEPS = (
    ({"trantype": "PreAuth", "response": "Declined"}, "Pending", 0),
    ({"trantype": "PreAuth", "response": "Approved"}, "Pending", 0),
    ({"trantype": "PostAuth", "response": "Error"}, "Pending", 0),
    ({"trantype": "PostAuth", "response": "Approved"}, "Approved", 10_000),
    ({"trantype": "Refund", "response": "Approved"}, "Approved", 10_000),
)
CHIPCARD_STEPS = (
    ({"transactionType": "PREAUTH", "transactionStatus": "FA"}, "Pending", 0),
    ({"transactionType": "PREAUTH", "transactionStatus": "AP"}, "Pending", 0),
    ({"transactionType": "POSTAUTH", "transactionStatus": "AP"}, "Approved", 10_000),
)


@pytest.mark.parametrize("provider", ["kopa", "chipcard"])
async def test_what_is_reserved_is_not_taken_for_paid(
    payments: PaymentHarness, provider: str
) -> None:
    steps = KOPA_STEPS if provider == "kopa" else CHIPCARD_STEPS
    pointers = {} if provider == "kopa" else {"status": "/transactionType /transactionStatus"}
    amount = {"amount": "100.00", "currency": "EUR"}
    server = ProviderServer(payments, 77, [State({**told, **amount}, 0) for told, _, _ in steps])
    shop = await account(payments, provider, lookupUrl=server.url, lookup=pointers)
    await payments.create("77", source_id=shop.source.id)
    for server.place, (_, status, balance) in enumerate(steps):
        own_id = f"step {server.place}"
        is_kopa = provider == "kopa"
        hint = kopa(77, "Approved", own_id) if is_kopa else chipcard(77, "00", own_id)
        await shop.send(hint)
        await payments.gateway.status_checker.check_due()
        seen = (await payments.status("77")).value, await payments.balance("77")
        assert seen == (status, balance), server.place
    assert (await payments.told())["transaction.authorized"] == 1
