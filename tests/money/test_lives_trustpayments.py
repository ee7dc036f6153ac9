"""Whole lives of payments at Trust Payments: the books end as its own balance does."""

from __future__ import annotations

import pytest

from tests.money.lives import Event, Life, account, play
from tests.money.payment_harness import PENDING, PaymentHarness
from tests.scale import soak

pytestmark = pytest.mark.sqlite_first

AUTHORIZES = {"authorizationIsFinal": False}
DONE = "Approved"


def auth(n: int, settle: str, code: str = "0", attempt: str = "A", **more: str) -> Event:
    fields = {
        "baseamount": "10000",
        "currencyiso3a": "EUR",
        "errorcode": code,
        "livestatus": "1",
        "notificationreference": f"9-{n}-{attempt}-{settle}-{code}",
        "orderreference": f"{n}",
        "parenttransactionreference": f"57-{n - 1}-A",  # the payer's earlier payment
        "requesttypedescription": "AUTH",
        "settlestatus": settle,
        "transactionreference": f"57-{n}-{attempt}",
    }
    return Event({**fields, **more})


def refund(n: int, number: int, amount: str, code: str = "0", settle: str = "0") -> Event:
    fields = {
        "baseamount": amount,
        "currencyiso3a": "EUR",
        "errorcode": code,
        "livestatus": "1",
        "notificationreference": f"9-{n}-R{number}-{settle}-{code}",
        "orderreference": f"{n}",
        "parenttransactionreference": f"57-{n}-A",
        "requesttypedescription": "REFUND",
        "settlestatus": settle,
        "transactionreference": f"57-{n}-R{number}",
    }
    return Event(fields)


LIVES = (
    Life("settled by itself", lambda n: [auth(n, "0"), auth(n, "10"), auth(n, "100")], 10_000),
    Life(
        "refused, soft declined, paid",
        lambda n: [
            auth(n, "3", "70000", "X"),
            auth(n, "3", "71000", "Y"),
            auth(n, "0"),
            auth(n, "100"),
        ],
        10_000,
    ),
    Life(
        "queued and not certain, then paid",
        lambda n: [auth(n, "0", "79000"), auth(n, "0", "60010"), auth(n, "100")],
        10_000,
    ),
    Life(
        "a part settled, and refunds in parts",
        lambda n: [
            auth(n, "0"),
            auth(n, "100", settlebaseamount="6000"),
            refund(n, 1, "1000"),
            refund(n, 2, "1000"),
            refund(n, 3, "500", "70000", "3"),
        ],
        4_000,
        children=(DONE, DONE, "Declined"),
        config={**AUTHORIZES, "partialCapture": "credit"},
    ),
)


@soak
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
async def test_a_life_ends_as_the_providers_balance_does(
    payments: PaymentHarness, life: Life
) -> None:
    await play(payments, "trustpayments", life)


async def test_a_part_that_is_settled_credits_no_more(payments: PaymentHarness) -> None:
    site = await account(payments, "trustpayments", **AUTHORIZES)
    await payments.create("77")

    await site.send(auth(77, "0"))
    await site.send(auth(77, "100", settlebaseamount="6000"))

    (conflict,) = await payments.conflicts("77")
    assert (await payments.balance("77"), conflict.amount) == (0, 6_000)


async def test_test_money_moves_nothing(payments: PaymentHarness) -> None:
    site = await account(payments, "trustpayments")
    await payments.create("77")

    await site.send(auth(77, "100", livestatus="0"))

    assert await payments.status("77") is PENDING
    assert (await payments.callbacks())[-1].outcome == "noted"


async def test_a_code_in_no_table_is_visible_and_moves_nothing(payments: PaymentHarness) -> None:
    site = await account(payments, "trustpayments")
    await payments.create("77")

    await site.send(auth(77, "3", "12345"))

    assert await payments.status("77") is PENDING
    assert (await payments.callbacks())[-1].outcome == "unmapped"
