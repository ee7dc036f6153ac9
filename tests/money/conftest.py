"""Payments in a gateway whose clock moves only when the test says so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.gateway_harness import START, GatewayHarness
from tests.money.payment_harness import PaymentHarness
from tillbell.model.sources import Source
from tillbell.testing import ManualClock


@pytest.fixture
async def payments(tmp_path: Path) -> AsyncIterator[PaymentHarness]:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        yield PaymentHarness(harness)


@pytest.fixture
async def psp(payments: PaymentHarness) -> Source:
    """A source whose unproven news goes to a person."""
    return await payments.source()
