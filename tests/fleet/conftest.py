"""A fleet on a schema of its own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.fleet.local_fleet import LocalFleet


@pytest.fixture
async def fleet(empty_database: Callable[[], str], tmp_path: Path) -> AsyncIterator[LocalFleet]:
    async with LocalFleet(empty_database(), tmp_path) as made:
        yield made
