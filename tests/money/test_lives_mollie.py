"""Mollie: the books agree with its balance, in whatever order its signed events come."""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.payment_harness import PaymentHarness
from tests.money.provider_lives import Event, account_at, assert_books_agree
from tests.scale import soak

pytestmark = pytest.mark.sqlite_first

SECRET = "mollie-demo-secret"


def event(moves: int, uid: str, type_: str, id_: str, value: str, **entity: Any) -> Event:
    """Return an event with its entity, of the payment `<uid>tr_`."""
    kind, _, status = type_.partition(".")
    members = {"resource": kind, "id": f"{uid}{id_}", "mode": "live", "status": status, **entity}
    amount = {"currency": "EUR", "value": value}
    if kind != "payment":
        members["paymentId"] = f"{uid}tr_2"
    fields = {
        "resource": "event",
        "id": f"event_{uid}{id_}{type_}",
        "type": type_,
        "entityId": f"{uid}{id_}",
        "_embedded": {"entity": {**members, "amount": amount, "metadata": {"order_id": uid}}},
    }
    return Event(fields, moves)


@soak
async def test_a_second_payment_captured_refunded_and_charged_back(
    payments: PaymentHarness,
) -> None:
    def life(uid: str) -> list[Event]:
        return [
            event(0, uid, "payment.expired", "tr_1", "100.00"),
            event(0, uid, "payment.authorized", "tr_2", "100.00"),
            event(4_000, uid, "capture.succeeded", "cpt_1", "40.00"),
            event(6_000, uid, "capture.succeeded", "cpt_2", "60.00"),
            event(0, uid, "refund.pending", "re_1", "10.00"),
            event(-1_000, uid, "refund.refunded", "re_1", "10.00"),
            event(-5_000, uid, "chargeback.received", "chb_1", "50.00"),
            event(5_000, uid, "chargeback.reversed", "chb_1", "50.00"),
        ]

    account = await account_at(payments, "mollie", SECRET, reference="metadata.order_id")
    await assert_books_agree(account, life)
