"""A fleet on a schema of its own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.fleet.fleet import FleetOf


@pytest.fixture
async def fleet(fresh_schema: Callable[[], str], tmp_path: Path) -> AsyncIterator[FleetOf]:
    async with FleetOf(fresh_schema(), tmp_path) as made:
        yield made
