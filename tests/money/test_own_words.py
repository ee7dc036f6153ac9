"""The words of a source's owner go before the provider's table, also in a look-up's answer."""

import pytest

from tests.money.teller import APPROVED, ON_HOLD, PENDING, Teller, news
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.testing.exchange import ReceiverExchange

OWN = {"Zero-Confirmed": "Approved", "captured": "On Hold", "odd": "nearly paid"}


@pytest.mark.parametrize(
    ("told", "status"),
    [("zero_confirmed", APPROVED), ("captured", ON_HOLD), ("odd", PENDING)],
)
async def test_an_owners_word_decides_what_a_look_up_says(
    till: Teller, told: str, status: TransactionStatus
) -> None:
    async def answer(exchange: ReceiverExchange) -> None:
        await exchange.answer(200, f'{{"status":"{told}"}}'.encode())

    till.world.receiver.on("/state?of=O", answer)
    url = till.world.receiver.url("/state?of={uid}")
    source = await till.source(lookupUrl=url, statuses=OWN)
    await till.create("O")

    await till.tell(source, news("O", APPROVED), trust=Trust.NONE)
    await till.gateway.status_checker.check_due()

    assert await till.status("O") is status
