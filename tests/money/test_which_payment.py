"""Which payment: a callback that fits several moves none and asks, and a choice is remembered."""

from __future__ import annotations

import pytest

from tests.money.payment_harness import APPROVED, PENDING, PaymentHarness, linked, news
from tillbell.model.callbacks import Outcome, References
from tillbell.model.sources import Source
from tillbell.model.transactions import TransactionKind

pytestmark = pytest.mark.sqlite_first

REFUND = TransactionKind.REFUND


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
