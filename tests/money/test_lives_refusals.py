"""Providers whose refusal ends a payment: what is paid after it asks a person, and is never lost.

Their ids of ours are of one try: the same one is not taken twice.
"""

from __future__ import annotations

import pytest

from tests.money.lives import Event, account
from tests.money.payment_harness import APPROVED, DECLINED, FAILED, PaymentHarness

pytestmark = pytest.mark.sqlite_first

BELIEVED = {"confirm": "trust"}


def allsecure(own_id: str, *, paid: bool) -> Event:
    fields = {
        "uuid": own_id,
        "merchantTransactionId": "77",
        "purchaseId": f"20260301-{own_id}",
        "transactionType": "DEBIT",
        "amount": "100.00",
        "currency": "EUR",
    }
    return Event({**fields, **({"result": "OK"} if paid else {"result": "ERROR", "code": "2003"})})


def genesis(own_id: str, *, paid: bool) -> Event:
    fields = {
        "unique_id": own_id,
        "transaction_id": "77",
        "transaction_type": "sale3d",
        "status": "approved" if paid else "declined",
        "amount": "10000",
        "currency": "EUR",
    }
    return Event(fields)


REFUSING = {
    "allsecure": allsecure,
    "emerchantpay": genesis,
}


@pytest.mark.parametrize("own_id", ["refused", "another"])
@pytest.mark.parametrize("provider", list(REFUSING))
async def test_what_is_paid_after_a_refusal_asks_a_person(
    payments: PaymentHarness, provider: str, own_id: str
) -> None:
    said = REFUSING[provider]
    at = await account(payments, provider, **BELIEVED)
    await payments.create("77")
    await at.send(said("refused", paid=False))
    assert await payments.status("77") in (DECLINED, FAILED)

    for _ in range(2):
        await at.send(said(own_id, paid=True))
    (conflict,) = await payments.conflicts("77")
    assert (conflict.kind, conflict.status) == ("contradiction", APPROVED)
    assert await payments.balance("77") == 0

    if conflict.amount is None:
        return  # whoever accepts it says how much it is
    await payments.accept(conflict.id)
    await at.send(said(own_id, paid=True))
    assert (await payments.balance("77"), await payments.conflicts()) == (10_000, [])
