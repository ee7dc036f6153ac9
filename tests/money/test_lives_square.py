"""Square: the books agree with its balance, in whatever order its events come."""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.payment_harness import PaymentHarness
from tests.money.provider_lives import Event, account_at, assert_books_agree
from tests.scale import soak

pytestmark = pytest.mark.sqlite_first


def event(uid: str, what: str, state: str, value: int, moves: int = 0, **more: Any) -> Event:
    """Return an event with the whole object. `what` is its kind and id, unique in the payment."""
    name, _, id_ = what.partition(" ")
    amount = {"amount": value, "currency": "EUR"}
    written = {"id": f"{uid}{id_}", "amount_money": amount, "reference_id": uid, **more}
    written["state" if name == "dispute" else "status"] = state
    fields = {
        "type": f"{name}.updated",
        "event_id": f"{uid}{id_}{state}",
        "data": {"object": {name: written}},
    }
    return Event(fields, moves)


@soak
async def test_a_failed_try_two_means_a_refund_and_a_lost_dispute(
    payments: PaymentHarness,
) -> None:
    def life(uid: str) -> list[Event]:
        paid = {"payment_id": f"{uid}p2"}
        return [
            event(uid, "payment p1", "FAILED", 10_000),
            event(uid, "payment p2", "APPROVED", 7_000),
            event(uid, "payment p2", "COMPLETED", 7_000, 7_000),
            event(uid, "payment p3", "COMPLETED", 3_000, 3_000),
            event(uid, "refund r1", "COMPLETED", 1_000, -1_000, **paid),
            event(uid, "dispute d1", "INQUIRY_CLOSED", 6_000, disputed_payment=paid),
            event(uid, "dispute d1", "LOST", 6_000, -6_000, disputed_payment=paid),
        ]

    account = await account_at(
        payments, "square", "sqkey", notificationUrl="https://hooks.example/api/webhooks/x/token"
    )
    await assert_books_agree(account, life)


@soak
async def test_a_dispute_that_is_won(payments: PaymentHarness) -> None:
    def life(uid: str) -> list[Event]:
        paid = {"payment_id": f"{uid}p1"}
        return [
            event(uid, "payment p1", "COMPLETED", 10_000, 10_000),
            event(uid, "dispute d1", "EVIDENCE_REQUIRED", 10_000, disputed_payment=paid),
            event(uid, "dispute d1", "PROCESSING", 10_000, disputed_payment=paid),
            event(uid, "dispute d1", "WON", 10_000, disputed_payment=paid),
        ]

    account = await account_at(
        payments, "square", "sqkey", notificationUrl="https://hooks.example/api/webhooks/x/token"
    )
    await assert_books_agree(account, life)
