"""Refunds that a person expects: the provider's refund is the same one, booked once."""

from __future__ import annotations

import asyncio

import pytest

from tests.money.payment_harness import (
    APPROVED,
    CANCELLED,
    FAILED,
    PAY_OUT,
    PENDING,
    PaymentHarness,
    linked,
    news,
)
from tests.patience import PATIENCE_S
from tillbell.clock import DAY, SECOND, Micros
from tillbell.errors import ConflictError, Invalid
from tillbell.model.callbacks import Outcome
from tillbell.model.sources import Source
from tillbell.model.transactions import Transaction, TransactionKind
from tillbell.process.manual.actions import ExpectedRefund
from tillbell.process.manual.audited import ActionReason

REFUND = TransactionKind.REFUND
ACTOR = ActionReason("key_1", "the customer sent it back")
WITHIN = 14 * DAY


async def expect(payments: PaymentHarness, amount: int | None, uid: str = "O") -> Transaction:
    actions = payments.gateway.manual_actions
    payment = await payments.read(uid)
    return await actions.expect_refund(
        payments.app_id, payment.id, ExpectedRefund(amount, WITHIN), ACTOR
    )


async def wait(payments: PaymentHarness, time: Micros) -> None:
    """Let time pass, and do what has come due."""
    await payments.pass_time(time / SECOND)
    await payments.gateway.status_checker.check_due()
    await payments.gateway.unmatched_callbacks.retry_due()
    await payments.idle()


@pytest.fixture
async def paid(payments: PaymentHarness, psp: Source) -> Source:
    """A source whose payment of 100.00 is Approved."""
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="100.00"))
    return psp


async def test_the_providers_refund_is_the_expected_one(
    payments: PaymentHarness, paid: Source
) -> None:
    expected = await expect(payments, 3_000)
    assert (expected.status, expected.substate) == (PENDING, "expected")
    assert await payments.balance("O") == 10_000

    told = await payments.tell(paid, linked("O", REFUND, "R1", amount="30.00"))
    again = await payments.tell(paid, linked("O", REFUND, "R1", amount="30.00"))
    other = await payments.tell(paid, linked("O", REFUND, "R2", amount="30.00"))

    outcomes = [callback.outcome for callback in (told, again, other)]
    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE, Outcome.APPLIED]
    first, second = await payments.children("O")
    assert (first.id, first.status, first.psp_transaction_id) == (expected.id, APPROVED, "R1")
    assert second.psp_transaction_id == "R2"
    payment = await payments.read("O")
    assert payment.refunded == 6_000
    assert await payments.balance("O") == 4_000
    await wait(payments, 30 * DAY)
    assert await payments.conflicts() == []


async def test_it_is_the_one_that_the_provider_opens_first(
    payments: PaymentHarness, paid: Source
) -> None:
    expected = await expect(payments, 3_000)
    await payments.tell(paid, linked("O", REFUND, "R1", amount="30.00", status=PENDING))
    waiting = await payments.read(expected.id)
    assert (waiting.status, waiting.psp_transaction_id) == (PENDING, "R1")

    await payments.tell(paid, linked("O", REFUND, "R1", amount="30.00"))

    assert [child.id for child in await payments.children("O")] == [expected.id]
    assert await payments.balance("O") == 7_000


async def test_other_news_leaves_it_as_it_is(payments: PaymentHarness, paid: Source) -> None:
    expected = await expect(payments, 3_000)
    await payments.tell(paid, linked("O", REFUND, "R1", amount="20.00"))
    await payments.tell(paid, linked("O", REFUND, None, amount="10.00"))
    await payments.tell(paid, linked("O", REFUND, "R2", amount="30.00", status=FAILED))

    assert (await payments.read(expected.id)).status is PENDING
    assert await payments.balance("O") == 7_000
    without_amount = await payments.tell(paid, linked("O", REFUND, "R3", amount=None))
    assert without_amount.outcome is Outcome.MISMATCH  # it may be the expected one, or all


async def test_a_sum_that_a_provider_counts_has_it_in_it(
    payments: PaymentHarness, paid: Source
) -> None:
    expected = await expect(payments, 3_000)
    told = await payments.tell(paid, linked("O", REFUND, None, amount="30.00", is_total=True))
    assert told.outcome is not Outcome.NOTED  # it waits for callbacks that name the refunds
    await wait(payments, DAY)
    async with asyncio.timeout(PATIENCE_S):
        while await payments.status(expected.id) is not APPROVED:
            await payments.idle()  # the gateway's own chore may have taken the callback

    assert [child.id for child in await payments.children("O")] == [expected.id]
    assert await payments.balance("O") == 7_000
    named = await payments.tell(paid, linked("O", REFUND, "R1", amount="30.00"))
    assert named.outcome is Outcome.DUPLICATE
    assert await payments.balance("O") == 7_000


async def test_when_none_comes_a_person_is_asked_and_books_it_once(
    payments: PaymentHarness, paid: Source
) -> None:
    expected = await expect(payments, 3_000)
    await wait(payments, 13 * DAY)
    assert await payments.conflicts() == []
    await wait(payments, DAY)
    (conflict,) = await payments.conflicts(expected.id)
    assert (conflict.kind, conflict.status, conflict.amount) == ("stuck", APPROVED, 3_000)
    assert "30.00 EUR was expected" in conflict.why

    await payments.accept(conflict.id)

    assert (await payments.read(expected.id)).status is APPROVED
    assert (await payments.read("O")).refunded == 3_000
    assert await payments.balance("O") == 7_000
    late = await payments.tell(paid, linked("O", REFUND, "R1", amount="30.00"))
    assert late.outcome is Outcome.DUPLICATE
    assert await payments.balance("O") == 7_000


@pytest.mark.parametrize("answer", ["it comes late", "it is cancelled"])
async def test_the_question_is_closed_by_what_answers_it(
    payments: PaymentHarness, paid: Source, answer: str
) -> None:
    expected = await expect(payments, 3_000)
    await wait(payments, WITHIN)
    assert len(await payments.conflicts(expected.id)) == 1

    if answer == "it comes late":
        await payments.tell(paid, linked("O", REFUND, "R1", amount="30.00"))
    else:
        actions = payments.gateway.manual_actions
        await actions.change_status(payments.app_id, expected.id, "cancel", ACTOR)

    status = APPROVED if answer == "it comes late" else CANCELLED
    assert (await payments.read(expected.id)).status is status
    conflicts = await payments.conflicts(expected.id)
    assert [c.resolved_by for c in conflicts if c.resolved_at is not None] == ["janitor"] * len(
        conflicts
    )


async def test_no_more_is_expected_than_is_left(payments: PaymentHarness, paid: Source) -> None:
    await expect(payments, 6_000)
    with pytest.raises(Invalid, match=r"40.00 EUR is left"):
        await expect(payments, 5_000)
    rest = await expect(payments, None)
    assert rest.amount == 4_000
    with pytest.raises(ConflictError, match="Nothing is left"):
        await expect(payments, None)
    await payments.create("open")
    await payments.create("out", PAY_OUT)
    for uid in ("open", "out"):
        with pytest.raises(ConflictError):
            await expect(payments, 1_000, uid)
