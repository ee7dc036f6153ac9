"""Whole lives of payments at Access Worldpay: the books end as Worldpay's balance does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.lives import Event, Life, account, play
from tests.money.payment_harness import PAY_OUT, PaymentHarness
from tests.scale import soak

pytestmark = pytest.mark.sqlite_first

DONE = "Approved"


def event(n: int, type_: str, number: int = 0, amount: int | None = 10_000, **more: Any) -> Event:
    details: dict[str, Any] = {
        "classification": "payment",
        "downstreamReference": f"d-{n}",
        "transactionReference": f"{n}",
        "type": type_,
        "date": "2026-03-01",
        **more,
    }
    if amount is not None:
        details["amount"] = {"value": amount, "currencyCode": "EUR"}
    return Event(
        {
            "eventId": f"evt-{n}-{type_}-{number}",
            "eventTimestamp": "2026-03-01T10:00:00.407",
            "eventDetails": details,
        }
    )


def dispute(n: int, type_: str, number: int = 0, amount: int = 10_000) -> Event:
    class_ = "chargeback" if type_ == "informationRequested" else "payment"
    return event(n, type_, number, amount, classification=class_, downstreamReference=None)


LIVES = (
    Life(
        "a part settled, the rest cancelled",
        lambda n: [
            event(n, "authorized"),
            event(n, "settled", 1, 4_000),
            event(n, "cancelled", 2, 6_000),
        ],
        4_000,
        config={"partialCapture": "credit"},
    ),
    Life(
        "authorised and settled",
        lambda n: [
            event(n, "sentForAuthorization", amount=None),
            event(n, "authorized"),
            event(n, "sentForSettlement"),
            event(n, "settled"),
        ],
        10_000,
    ),
    Life(
        "refused, failed, then paid",
        lambda n: [
            event(n, "refused", amount=None, downstreamReference=f"x-{n}"),
            event(n, "error", amount=None, downstreamReference=f"y-{n}"),
            event(n, "authorized"),
            event(n, "settled"),
        ],
        10_000,
    ),
    Life(
        "settled in two parts",
        lambda n: [
            event(n, "authorized"),
            event(n, "sentForSettlement", 1, 6_000, reference="part-1"),
            event(n, "settled", 1, 6_000),
            event(n, "sentForSettlement", 2, 4_000, reference="part-2"),
            event(n, "settled", 2, 4_000),
        ],
        10_000,
    ),
    Life(
        "two refunds of one amount, without an id",
        lambda n: [
            event(n, "settled"),
            event(n, "sentForRefund", 1, 1_500, reference="RET-1"),
            event(n, "sentForRefund", 2, 1_500, reference="RET-2"),
            event(n, "refunded", 1, 1_500),
            event(n, "refunded", 2, 1_500),
        ],
        7_000,
        children=(DONE, DONE),
        first=3,
    ),
    Life(
        "disputed and charged back",
        lambda n: [
            event(n, "settled"),
            dispute(n, "informationRequested"),
            dispute(n, "chargedBack"),
        ],
        0,
        children=(DONE,),
        first=2,
    ),
    Life(
        "charged back in two parts",
        lambda n: [
            event(n, "settled"),
            dispute(n, "chargedBack", 1, 4_000),
            dispute(n, "chargedBack", 2, 3_000),
        ],
        3_000,
        children=(DONE, DONE),
    ),
)


@soak
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
async def test_a_life_ends_as_worldpays_balance_does(payments: PaymentHarness, life: Life) -> None:
    await play(payments, "worldpay-access", life)


async def test_a_word_in_no_table_is_visible_and_moves_nothing(payments: PaymentHarness) -> None:
    worldpay = await account(payments, "worldpay-access")
    await payments.create("77")
    await worldpay.send(event(77, "settled"))

    await worldpay.send(event(77, "chargebackOfTomorrow", classification="chargeback"))

    assert await payments.balance("77") == 10_000
    assert (await payments.callbacks())[-1].outcome == "unmapped"


async def test_a_pay_out_is_disbursed(payments: PaymentHarness) -> None:
    worldpay = await account(payments, "worldpay-access")
    await payments.create("77", PAY_OUT)
    for type_ in ("pending", "disbursed"):
        await worldpay.send(event(77, type_, classification="payout", downstreamReference=None))

    assert await payments.balance("77") == -10_000
