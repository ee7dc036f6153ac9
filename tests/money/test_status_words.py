"""The words of a source's owner go before the provider's table, also in a look-up's answer."""

import pytest

from tests.money.payment_harness import APPROVED, ON_HOLD, PENDING, PaymentHarness, news
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.testing.exchange import ReceiverExchange

OWN = {"Zero-Confirmed": "Approved", "captured": "On Hold", "odd": "nearly paid"}


@pytest.mark.parametrize(
    ("told", "status"),
    [("zero_confirmed", APPROVED), ("captured", ON_HOLD), ("odd", PENDING)],
)
async def test_an_owners_word_decides_what_a_look_up_says(
    payments: PaymentHarness, told: str, status: TransactionStatus
) -> None:
    async def answer(exchange: ReceiverExchange) -> None:
        await exchange.answer(
            200, f'{{"status":"{told}","amount":"100.00","currency":"EUR"}}'.encode()
        )

    payments.harness.receiver.on("/state?of=O", answer)
    url = payments.harness.receiver.url("/state?of={uid}")
    source = await payments.source(lookupUrl=url, statuses=OWN)
    await payments.create("O")

    await payments.tell(source, news("O", APPROVED), trust=Trust.NONE)
    await payments.gateway.status_checker.check_due()

    assert await payments.status("O") is status
