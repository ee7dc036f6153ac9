"""A teller in a gateway whose clock moves only when the test says so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.world import START, World
from tests.money.teller import Teller
from tillbell.model.sources import Source
from tillbell.testing import ManualClock


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Teller]:
    async with World(tmp_path, ManualClock(START)) as world:
        yield Teller(world)


@pytest.fixture
async def psp(till: Teller) -> Source:
    """A source whose unproven news goes to a person."""
    return await till.source()
