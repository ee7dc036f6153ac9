"""What every test may ask for. Larger worlds are built in the folders that need them."""

import pytest

from tillbell.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test turns."""
    return ManualClock()
