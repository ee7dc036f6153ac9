"""Payments of an older database get the sums that their effects add up to."""

from __future__ import annotations

import contextlib
from pathlib import Path

import apsw
import psycopg

from tests.flow.gateway_harness import START, GatewayHarness
from tests.money.payment_harness import APPROVED, PaymentHarness, linked, news
from tests.store.test_sqlite import WITHOUT_SUMS_HERE, WITHOUT_SUMS_THERE
from tillbell.model.transactions import TransactionKind
from tillbell.testing import ManualClock

SUMS = ("captured", "credited", "refunded", "charged_back", "reinstated", "reversed_")


async def sums(payments: PaymentHarness, uid: str) -> dict[str, int]:
    payment = await payments.read(uid)
    return {name: getattr(payment, name) for name in SUMS}


async def live(payments: PaymentHarness) -> None:
    """Play a life that has every sum."""
    psp = await payments.source()
    await payments.create("O")
    await payments.create("open")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="100.00"))
    for kind, own_id, amount in (
        (TransactionKind.REFUND, "R1", "10.00"),
        (TransactionKind.CHARGEBACK, "D1", "40.00"),
        (TransactionKind.CHARGEBACK_REVERSAL, "D1", "20.00"),
        (TransactionKind.REVERSAL, "V1", "5.00"),
    ):
        await payments.tell(psp, linked("O", kind, own_id, amount=amount))


def take_back(harness: GatewayHarness) -> None:
    """Make the database as it was before payments had sums."""
    settings = harness.gateway.settings
    if settings.database_url.startswith("postgres"):
        with psycopg.connect(settings.database_url, autocommit=True) as connection:
            connection.execute(WITHOUT_SUMS_THERE.encode())
    else:
        file = settings.data_dir / "tillbell.db"
        with contextlib.closing(apsw.Connection(str(file))) as connection:
            connection.execute(WITHOUT_SUMS_HERE)


async def test_sums_are_those_of_the_effects(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        payments = PaymentHarness(harness)
        await live(payments)
        before = await sums(payments, "O")
        await harness.stop()
        take_back(harness)
        await harness.start()

        payments = PaymentHarness(harness)
        assert before == {
            "captured": 10_000,
            "credited": 10_000,
            "refunded": 1_000,
            "charged_back": 4_000,
            "reinstated": 2_000,
            "reversed_": 500,
        }
        assert await sums(payments, "O") == before
        assert await sums(payments, "open") == dict.fromkeys(SUMS, 0)
