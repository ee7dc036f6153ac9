"""Which payment: a callback that fits several moves none and asks, and the answer is remembered."""

from __future__ import annotations

import pytest

from tests.money.payment_harness import (
    APPROVED,
    DECLINED,
    PAY_IN,
    PENDING,
    PaymentHarness,
    linked,
    news,
)
from tillbell.errors import ConflictError, Invalid
from tillbell.model.callbacks import Outcome, References
from tillbell.model.sources import Source, Trust
from tillbell.model.transactions import MoneyConflict, TransactionKind
from tillbell.process.manual.audited import ActionReason
from tillbell.process.manual.conflicts import ConflictAnswer

pytestmark = pytest.mark.sqlite_first

REFUND = TransactionKind.REFUND
ACTOR = ActionReason("key_1", "asked the shop")


async def asked(payments: PaymentHarness) -> MoneyConflict:
    """Return the only open question about which payment is meant."""
    (conflict,) = [c for c in await payments.conflicts() if c.kind == "ambiguous"]
    return conflict


async def answer(payments: PaymentHarness, uid: str | None) -> None:
    """Say which payment is meant, or that it is none."""
    choice = "keep" if uid is None else "accept"
    conflict_id = (await asked(payments)).id
    resolver = payments.gateway.conflict_resolver
    said = ConflictAnswer(transaction_id=uid)
    await resolver.resolve(payments.app_id, conflict_id, choice, ACTOR, said)
    await payments.idle()


async def test_a_person_says_which_of_several_payments_is_meant_and_later_callbacks_follow(
    payments: PaymentHarness, psp: Source
) -> None:
    first = await payments.create("O1", order_id="order")
    second = await payments.create("O2", order_id="order")
    success = news("order", APPROVED, psp_transaction_id="A", amount="100.00")

    for _ in range(3):
        assert (await payments.tell(psp, success)).outcome is Outcome.UNMATCHED
    refund = linked("order", REFUND, "R", amount="30.00", references=References(("order",), ("A",)))
    await payments.tell(psp, refund)

    conflict = await asked(payments)
    assert set(conflict.candidates) == {first.id, second.id}
    assert conflict.reference == "A"
    assert await payments.balance("O1") == await payments.balance("O2") == 0
    await answer(payments, "O1")

    assert (await payments.balance("O1"), await payments.balance("O2")) == (7_000, 0)
    assert await payments.conflicts() == []
    more = linked("order", REFUND, "R2", amount="20.00", references=References(("order",), ("A",)))
    await payments.tell(psp, more)
    assert (await payments.tell(psp, success)).outcome is Outcome.DUPLICATE
    assert (await payments.balance("O1"), await payments.balance("O2")) == (5_000, 0)
    assert {c.outcome for c in await payments.callbacks()} == {Outcome.APPLIED, Outcome.DUPLICATE}


async def test_a_person_says_that_none_is_meant_and_is_not_asked_again(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O1", order_id="order")
    await payments.create("O2", order_id="order")
    success = news("order", APPROVED, psp_transaction_id="A", amount="100.00")
    await payments.tell(psp, success)

    await answer(payments, None)
    again = await payments.tell(psp, success)

    assert [c.outcome for c in await payments.callbacks()] == [Outcome.NOTED] * 2
    assert "none of these" in again.why
    assert await payments.conflicts() == []
    other = await payments.tell(psp, success._replace(psp_transaction_id="B"))
    assert other.outcome is Outcome.UNMATCHED
    assert (await asked(payments)).reference == "B"


async def test_a_second_payment_of_an_order_that_is_paid_asks_at_once(
    payments: PaymentHarness, psp: Source
) -> None:
    for number, field in enumerate(("order_id", "merchant_reference")):
        name = f"order {number}"
        await payments.create(f"O{number}", PAY_IN, **{field: name})
        for own_id in ("A", "B"):
            notice = news(name, APPROVED, psp_transaction_id=f"{own_id}{number}", amount="100.00")
            await payments.tell(psp, notice)
        assert await payments.balance(f"O{number}") == 10_000
        assert (await asked(payments)).status is APPROVED

        await answer(payments, f"O{number}")

        (conflict,) = await payments.conflicts(f"O{number}")
        assert (conflict.kind, conflict.amount) == ("mismatch", 10_000)
        resolver = payments.gateway.conflict_resolver
        await resolver.resolve(payments.app_id, conflict.id, "accept", ACTOR)
        assert await payments.balance(f"O{number}") == 20_000


async def test_a_question_ends_when_its_transaction_appears(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O1", order_id="order")
    await payments.tell(psp, news("order", APPROVED, psp_transaction_id="A", amount="100.00"))
    await payments.tell(psp, news("order", APPROVED, psp_transaction_id="B", amount="100.00"))
    await asked(payments)

    await payments.create("O2", order_id="order", psp_transaction_id="B")
    await payments.idle()

    assert await payments.conflicts() == []
    assert (await payments.balance("O1"), await payments.balance("O2")) == (10_000, 10_000)


async def test_a_callback_without_an_id_of_the_provider_asks_if_one_may_be_paid_already(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O1", order_id="order")
    await payments.tell(psp, news("order", APPROVED, amount="100.00"))
    await payments.create("O2", order_id="order")

    repeat = await payments.tell(psp, news("order", APPROVED, amount="100.00"))

    assert repeat.outcome is Outcome.UNMATCHED
    assert (await payments.balance("O1"), await payments.balance("O2")) == (10_000, 0)
    await answer(payments, "O2")
    assert (await payments.balance("O1"), await payments.balance("O2")) == (10_000, 10_000)


async def test_one_id_of_the_provider_for_two_payments_asks(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O1")
    await payments.create("O2")
    await payments.tell(psp, news("O1", APPROVED, psp_transaction_id="A", amount="100.00"))

    await payments.tell(psp, news("O2", APPROVED, psp_transaction_id="A", amount="100.00"))

    assert await payments.balance("O2") == 0
    await answer(payments, "O2")
    assert (await payments.balance("O1"), await payments.balance("O2")) == (10_000, 10_000)


async def test_what_moves_no_money_asks_nobody(payments: PaymentHarness, psp: Source) -> None:
    await payments.create("O1", order_id="order")
    await payments.create("O2", order_id="order")
    await payments.tell(psp, news("order", PENDING, psp_transaction_id="A"))
    await payments.tell(psp, news("order", None, psp_transaction_id="A"))
    await payments.tell(psp, news("order", APPROVED, psp_transaction_id="A", is_hint=True))
    assert await payments.conflicts() == []

    await payments.tell(psp, news("order", DECLINED, psp_transaction_id="A"))
    await answer(payments, "O2")
    assert (await payments.status("O1"), await payments.status("O2")) == (PENDING, DECLINED)


async def test_the_answer_names_a_payment_of_that_source_and_proves_nothing(
    payments: PaymentHarness, psp: Source
) -> None:
    other = await payments.source()
    await payments.create("foreign", source_id=other.id)
    await payments.create("O1", order_id="order")
    await payments.create("O2", order_id="order")
    success = news("order", APPROVED, psp_transaction_id="A", amount="100.00")
    await payments.tell(psp, success, trust=Trust.SECRET)

    for wrong in ("foreign", "nobody", ""):
        with pytest.raises(Invalid):
            await answer(payments, wrong)
    await answer(payments, "O1")

    assert await payments.balance("O1") == 0
    (conflict,) = await payments.conflicts("O1")
    assert conflict.kind == "unconfirmed"


async def test_a_refund_known_by_its_own_id_belongs_to_its_payment(
    payments: PaymentHarness, psp: Source
) -> None:
    for uid in ("O1", "O2"):
        await payments.create(uid, order_id="order")
        await payments.tell(psp, news(uid, APPROVED, amount="100.00"))
    refund = linked("order", REFUND, "R", amount="30.00", status=PENDING)
    await payments.tell(psp, refund)
    await answer(payments, "O2")

    await payments.tell(psp, refund._replace(status=APPROVED))

    assert (await payments.balance("O1"), await payments.balance("O2")) == (10_000, 7_000)
    assert await payments.conflicts() == []


async def test_an_answer_that_books_nothing_now_and_cannot_be_remembered_is_refused(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O1", order_id="order")
    await payments.create("O2", order_id="order")
    await payments.tell(psp, linked("order", REFUND, "R", amount="30.00"))

    with pytest.raises(ConflictError, match="Pending"):
        await answer(payments, "O1")

    await asked(payments)


async def test_a_callback_is_decided_at_once_when_its_payment_learns_the_id_that_it_names(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="40.00"))
    ids = {"attempt": References(psp=("B",)), "capture": References(psp=("C1",))}
    for name, references in ids.items():
        early = await payments.tell(
            psp, linked("", REFUND, f"R of {name}", amount="10.00", references=references)
        )
        assert early.outcome is Outcome.UNMATCHED

    authorized = news("O", PENDING, psp_transaction_id="B", substate="authorized", amount="60.00")
    await payments.tell(psp, authorized)
    await payments.tell(
        psp, news("O", APPROVED, psp_transaction_id="B", capture_id="C1", amount="60.00")
    )

    assert await payments.balance("O") == 8_000
    assert {callback.outcome for callback in await payments.callbacks()} <= {
        Outcome.APPLIED,
        Outcome.MISMATCH,
    }
