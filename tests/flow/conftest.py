"""Worlds: on the real clock, and on one that tests turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.world import START, World
from tillbell.testing import ManualClock


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as made:
        yield made


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose clock moves only when the test says so."""
    async with World(tmp_path, ManualClock(START)) as made:
        yield made
