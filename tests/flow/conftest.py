"""Worlds: on the real clock, and on one that tests turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.gateway_harness import START, GatewayHarness
from tillbell.testing import ManualClock


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[GatewayHarness]:
    async with GatewayHarness(tmp_path) as made:
        yield made


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[GatewayHarness]:
    """A gateway whose clock moves only when the test says so."""
    async with GatewayHarness(tmp_path, ManualClock(START)) as made:
        yield made
