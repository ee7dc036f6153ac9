"""One browser, and three gateways: an empty one, a usual one, a hostile one."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.pages import worlds
from tests.pages.browser import running_browser
from tests.web.served_gateway import ServedGateway


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of one file: while it runs, no test of this thread can have a loop of its own."""
    with running_browser() as browser:
        yield browser


class World:
    """A gateway with its data."""

    def __init__(self, served: ServedGateway, names: worlds.Names) -> None:
        self.served = served
        self.names = names


@pytest.fixture(scope="session")
def empty_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway as it is after the first start."""
    with ServedGateway(tmp_path_factory.mktemp("empty")) as served:
        yield World(served, {})


@pytest.fixture(scope="session")
def usual_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway on a usual day."""
    with ServedGateway(tmp_path_factory.mktemp("usual")) as served:
        yield World(served, worlds.usual(served))


@pytest.fixture(scope="session")
def hostile_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway in which every text is hostile."""
    with ServedGateway(tmp_path_factory.mktemp("hostile")) as served:
        yield World(served, worlds.hostile(served))
