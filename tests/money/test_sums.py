"""How much: what a payment has captured, and what went back, is booked as the provider counts it.

Each test plays a life, and compares the books with what the provider's balance would say.
"""

from __future__ import annotations

import pytest

from tests.money.payment_harness import APPROVED, PENDING, PaymentHarness, linked, news
from tillbell.model.callbacks import Outcome
from tillbell.model.sources import Source
from tillbell.model.transactions import TransactionKind
from tillbell.process.manual.audited import ActionReason

pytestmark = pytest.mark.sqlite_first

CHARGEBACK, BACK = TransactionKind.CHARGEBACK, TransactionKind.CHARGEBACK_REVERSAL
REFUND = TransactionKind.REFUND
ACTOR = ActionReason("key_1", "looked at it")
HOUR_S = 3_600.0


async def resolve(payments: PaymentHarness, conflict_id: str, choice: str) -> None:
    resolver = payments.gateway.conflict_resolver
    await resolver.resolve(payments.app_id, conflict_id, choice, ACTOR)
    await payments.idle()


async def paid(payments: PaymentHarness, psp: Source, uid: str, amount: str = "100.00") -> None:
    """Create a payment of 100.00 EUR, and let its attempt A capture an amount."""
    await payments.create(uid)
    own_id = f"A of {uid}"
    await payments.tell(psp, news(uid, APPROVED, psp_transaction_id=own_id, amount=amount))


# ── disputes ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_reversal_gives_back_only_what_a_chargeback_took(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")

    for movement in (None, "back"):
        early = await payments.tell(
            psp, linked("O", BACK, "D", amount="40.00", movement_id=movement)
        )
        assert early.outcome is Outcome.UNMATCHED
        assert "chargeback" in early.why
    assert await payments.balance("O") == 10_000

    await payments.tell(psp, linked("O", CHARGEBACK, "D", amount="40.00", movement_id="taken"))
    assert await payments.balance("O") == 10_000
    more = await payments.tell(psp, linked("O", BACK, "D", amount="10.00", movement_id="more"))
    assert more.outcome is Outcome.UNMATCHED
    assert await payments.balance("O") == 10_000


async def test_a_reversal_of_more_than_was_taken_asks_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")
    await payments.tell(psp, linked("O", CHARGEBACK, "D1", amount="30.00", movement_id="t1"))
    await payments.tell(psp, linked("O", CHARGEBACK, "D2", amount="50.00", movement_id="t2"))

    back = await payments.tell(psp, linked("O", BACK, "D1", amount="80.00", movement_id="r1"))

    assert back.outcome is Outcome.MISMATCH
    assert await payments.balance("O") == 2_000
    (conflict,) = await payments.conflicts("O")
    await resolve(payments, conflict.id, "accept")
    assert await payments.balance("O") == 10_000


async def test_a_reversal_whose_chargeback_never_comes_asks_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")
    await payments.tell(psp, linked("O", BACK, "D", amount="40.00", movement_id="back"))
    assert await payments.conflicts("O") == []

    await payments.pass_time(73 * HOUR_S)
    await payments.gateway.unmatched_callbacks.retry_due()
    await payments.idle()

    (conflict,) = await payments.conflicts("O")
    assert (conflict.kind, conflict.amount) == ("mismatch", 4_000)
    assert await payments.balance("O") == 10_000


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_without_an_amount_is_the_whole_payment_unless_a_part_went_back(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "whole")
    await payments.tell(psp, linked("whole", REFUND, "W"))
    assert await payments.balance("whole") == 0

    await paid(payments, psp, "part")
    await payments.tell(psp, linked("part", REFUND, "R1", amount="30.00"))
    second = await payments.tell(psp, linked("part", REFUND, "R2"))
    assert second.outcome is Outcome.MISMATCH
    assert await payments.balance("part") == 7_000
    assert "R2" in (await payments.conflicts("part"))[0].why

    await paid(payments, psp, "open")
    await payments.tell(psp, linked("open", REFUND, "R3", amount="30.00", status=PENDING))
    other = await payments.tell(psp, linked("open", REFUND, "R4"))
    assert other.outcome is Outcome.MISMATCH
    await payments.tell(psp, linked("open", REFUND, "R3"))
    assert await payments.balance("open") == 7_000


async def test_a_hint_at_a_refund_without_an_amount_asks_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")

    for _ in range(2):
        await payments.tell(psp, linked("O", REFUND, "R", is_hint=True))

    assert await payments.balance("O") == 10_000
    assert [conflict.kind for conflict in await payments.conflicts("O")] == ["unconfirmed_linked"]
