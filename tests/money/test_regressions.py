"""What went wrong with payments elsewhere: late, doubled, reordered and contradicting callbacks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from tests.money.payment_harness import (
    APPROVED,
    CANCELLED,
    DECLINED,
    FAILED,
    ON_HOLD,
    PAY_OUT,
    PENDING,
    PROCESSING,
    REJECTED,
    PaymentHarness,
    linked,
    news,
)
from tests.scale import full_or_tenth, soak
from tillbell.clock import DAY, HOUR, SECOND
from tillbell.model.callbacks import (
    Callback,
    Notice,
    Outcome,
    ProviderAmount,
    References,
    TransactionNotice,
)
from tillbell.model.sources import Source
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.storage.ports.database import Database

DAY_S, HOUR_S = DAY / SECOND, HOUR / SECOND


async def test_a_capture_told_after_its_refund_credits_once(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED))
    await payments.tell(psp, linked("O", TransactionKind.REFUND, "R1"))

    late = await payments.tell(psp, news("O", APPROVED))

    assert late.outcome is Outcome.DUPLICATE
    assert await payments.moved("O") == [("credit", "100.00"), ("debit", "100.00")]


@pytest.mark.parametrize("late", [FAILED, CANCELLED, DECLINED])
async def test_a_failure_told_after_approval_changes_nothing(
    payments: PaymentHarness, psp: Source, late: TransactionStatus
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED))

    callback = await payments.tell(psp, news("O", late))

    assert callback.outcome is Outcome.CONFLICT
    assert await payments.status("O") is APPROVED
    assert await payments.moved("O") == [("credit", "100.00")]
    assert [(one.status, one.current) for one in await payments.conflicts()] == [(late, APPROVED)]


async def test_completed_but_unpaid_stays_pending(payments: PaymentHarness, psp: Source) -> None:
    await payments.create("O")

    callback = await payments.tell(psp, news("O", PENDING, raw_status="complete/unpaid"))

    assert callback.outcome is Outcome.DUPLICATE
    assert await payments.status("O") is PENDING
    assert await payments.moved("O") == []


async def test_a_refund_told_before_its_capture_is_held_and_then_applied(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    early = await payments.tell(psp, linked("O", TransactionKind.REFUND, "R1", amount="30.00"))
    assert early.outcome is Outcome.UNMATCHED
    assert await payments.moved("O") == []

    await payments.tell(psp, news("O", APPROVED))

    assert await payments.moved("O") == [("credit", "100.00"), ("debit", "30.00")]
    assert [one.outcome for one in await payments.callbacks()] == [Outcome.APPLIED] * 2


async def test_a_refund_that_waits_is_not_decided_for_ever_if_another_has_its_id(
    payments: PaymentHarness, psp: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="T1"))
    await payments.tell(psp, linked("O", TransactionKind.REFUND, "R1"))
    await payments.create("P")
    decided: list[str] = []
    hand_over = payments.gateway.processor.hand_over

    def counted(
        callback: Callback, notices: Sequence[Notice], **options: Any
    ) -> asyncio.Task[None] | None:
        decided.append(callback.id)
        return hand_over(callback, notices, **options)

    monkeypatch.setattr(payments.gateway.processor, "hand_over", counted)
    early = await payments.tell(psp, linked("P", TransactionKind.REFUND, "R1"))
    for _ in range(20):
        await payments.idle()
    assert (early.outcome, decided) == (Outcome.UNMATCHED, [early.id])

    await payments.tell(psp, news("P", APPROVED, psp_transaction_id="T2"))
    assert await payments.moved("P") == [("credit", "100.00"), ("debit", "100.00")]


async def test_one_partial_refund_under_two_event_ids_is_one(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED))

    first = await payments.tell(
        psp, linked("O", TransactionKind.REFUND, "R1", amount="30.00"), key="e1"
    )
    again = await payments.tell(
        psp, linked("O", TransactionKind.REFUND, "R1", amount="30.00"), key="e2"
    )
    other = await payments.tell(
        psp, linked("O", TransactionKind.REFUND, "R2", amount="30.00"), key="e3"
    )

    outcomes = [first.outcome, again.outcome, other.outcome]
    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE, Outcome.APPLIED]
    assert len(await payments.children("O")) == 2


async def test_copies_of_a_refund_that_come_together_are_one(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O", order_id="order", psp_transaction_id="P1")
    await payments.tell(psp, news("O", APPROVED))

    refund = linked("O", TransactionKind.REFUND, "R1", amount="30.00")
    for name in ("O", "order", "O", "order"):
        await payments.send(psp, refund._replace(references=References((name,))))
    await payments.send(psp, refund._replace(references=References((), ("P1",))))
    await payments.idle()

    assert await payments.moved("O") == [("credit", "100.00"), ("debit", "30.00")]
    assert (await payments.told())["transaction.approved"] == 2


async def test_no_more_is_given_back_than_was_captured(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED))
    for number in range(3):
        await payments.send(psp, linked("O", TransactionKind.REFUND, f"R{number}", amount="40.00"))
    await payments.idle()

    children = [one.status for one in await payments.children("O")]
    assert children == [APPROVED, APPROVED, PENDING]
    assert [one.kind for one in await payments.conflicts()] == ["mismatch"]
    assert sorted(str(one.outcome) for one in await payments.callbacks()) == [
        "applied",
        "applied",
        "applied",
        "mismatch",
    ]


DISPUTES = {
    "lost": (PENDING, APPROVED),
    "won": (PENDING, DECLINED),
}


@pytest.mark.parametrize("end", DISPUTES)
async def test_a_dispute_ends_alike_in_whatever_order_it_is_told(
    payments: PaymentHarness, psp: Source, end: str
) -> None:
    ends = set()
    for number, order in enumerate(itertools.permutations((0, 1))):
        name, own_id = f"O{number}", f"D{number}"
        await payments.create(name)
        await payments.tell(psp, news(name, APPROVED))
        for place in order:
            status = DISPUTES[end][place]
            await payments.tell(
                psp, linked(name, TransactionKind.CHARGEBACK, own_id, status=status)
            )
        (dispute,) = await payments.children(name)
        ends.add((dispute.status, tuple(await payments.moved(name))))

    assert len(ends) == 1


async def test_a_dispute_both_won_and_lost_is_shown_to_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    for number, order in enumerate(itertools.permutations((PENDING, APPROVED, DECLINED))):
        name = f"O{number}"
        await payments.create(name)
        await payments.tell(psp, news(name, APPROVED))
        for status in order:
            await payments.tell(
                psp, linked(name, TransactionKind.CHARGEBACK, f"D{number}", status=status)
            )
        (dispute,) = await payments.children(name)
        (conflict,) = await payments.conflicts(dispute.id)
        assert {conflict.status, conflict.current} == {APPROVED, DECLINED}
        assert len(await payments.moved(name)) <= 2


async def test_a_reference_used_again_does_not_overwrite_the_first_payment(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("first", merchant_reference="M")
    await payments.tell(psp, news("M", APPROVED, psp_transaction_id="P1"))

    early = await payments.tell(psp, news("M", DECLINED, psp_transaction_id="P2"))
    assert early.outcome is Outcome.UNMATCHED
    await payments.create("second", merchant_reference="M")
    await payments.idle()

    assert await payments.status("first") is APPROVED
    assert await payments.status("second") is DECLINED
    assert (await payments.read("second")).psp_transaction_id == "P2"
    assert await payments.conflicts() == []


async def test_an_event_that_comes_again_after_45_days_is_known(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED), key="e1")
    await payments.pass_time(45 * DAY_S)

    again = await payments.tell(psp, news("O", APPROVED), key="e1")

    assert again.outcome is Outcome.DUPLICATE
    assert again.duplicate_of is not None


@pytest.mark.sqlite
@soak
async def test_the_last_of_many_events_of_a_transaction_reads_no_more_than_the_first(
    payments: PaymentHarness, psp: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    await payments.create("W", PAY_OUT)
    rows = RowsRead(payments.books, monkeypatch)
    count = full_or_tenth(10_000)
    for number in range(count):
        await payments.send(psp, news("W", (ON_HOLD, PENDING)[number % 2], sequence=number))
    await payments.idle()

    assert (await payments.read("W")).sequence == count + 1
    assert len(rows.counts) >= count - 1  # the first was looked up when it was stored
    assert set(rows.counts) == {1}


class RowsRead:
    """How many rows each list that a decision reads has brought."""

    def __init__(self, books: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: list[int] = []
        for name in (
            "candidate_transactions",
            "linked_transactions",
            "conflicts",
            "transitions",
            "effects",
        ):
            monkeypatch.setattr(books, name, self._counted(getattr(books, name)))

    def _counted(self, read: Callable[..., Awaitable[list[Any]]]) -> Callable[..., Any]:
        async def counted(*arguments: Any, **options: Any) -> list[Any]:
            found = await read(*arguments, **options)
            self.counts.append(len(found))
            return found

        return counted


async def test_rejected_then_approved_raises_the_alarm(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("W", PAY_OUT, reserves=True)
    await payments.tell(psp, news("W", PROCESSING))
    await payments.tell(psp, news("W", REJECTED))

    callback = await payments.tell(psp, news("W", APPROVED))

    assert callback.outcome is Outcome.CONFLICT
    assert await payments.moved("W") == [("reserve", "100.00"), ("release", "100.00")]
    (conflict,) = await payments.conflicts()
    assert conflict.severity == "critical"
    assert (await payments.told())["transaction.conflict"] == 1


async def test_a_dispute_that_closes_before_it_opens_stays_closed(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("p")
    await payments.tell(psp, news("p", APPROVED, amount="100.00"))
    closed = linked("p", TransactionKind.CHARGEBACK, "d", status=CANCELLED, is_closing=True)
    await payments.tell(psp, closed)
    await payments.tell(psp, linked("p", TransactionKind.CHARGEBACK, "d", status=PENDING))

    assert [child.status for child in await payments.children("p")] == [CANCELLED]
    assert await payments.conflicts() == []


async def test_a_refund_is_known_by_the_capture_that_it_names(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("p")
    authorized = {"psp_transaction_id": "auth", "substate": "authorized", "amount": "100.00"}
    await payments.tell(psp, news("p", PENDING, **authorized))
    of_capture = TransactionNotice(
        References((), ("cap",)),
        "refunded",
        APPROVED,
        kind=TransactionKind.REFUND,
        amount=ProviderAmount("10.00", "EUR"),
        psp_transaction_id="ref",
    )
    await payments.tell(psp, of_capture)  # before its capture
    capture = {"psp_transaction_id": "auth", "capture_id": "cap", "amount": "100.00"}
    await payments.tell(psp, news("p", APPROVED, **capture))

    assert await payments.moved("p") == [("credit", "100.00"), ("debit", "10.00")]
