"""One browser, and three gateways: an empty one, a usual one, a hostile one."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.pages import worlds
from tests.pages.browser import Visitor, running_browser
from tests.web.served_gateway import ServedGateway

_IN_BROWSER = {"browser", "empty_world", "usual_world", "hostile_world", "world"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test of a browser or of a world, so that `make browser` runs it."""
    for item in items:
        if isinstance(item, pytest.Function) and not _IN_BROWSER.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A browser: while it runs, no test of this thread can have a loop of its own."""
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


@pytest.fixture(scope="package")
def window(browser: Browser, usual_world: World) -> Iterator[Visitor]:
    """A window on the usual day: a new one takes seconds of computing."""
    visitor = Visitor(browser, usual_world.served.url, usual_world.served.session())
    yield visitor
    visitor.close()


@pytest.fixture(scope="package")
def plain_window(browser: Browser, usual_world: World) -> Iterator[Visitor]:
    """A window on the usual day that runs no scripts."""
    served = usual_world.served
    visitor = Visitor(browser, served.url, served.session(), scripts=False)
    yield visitor
    visitor.close()


@pytest.fixture
def visitor(window: Visitor) -> Iterator[Visitor]:
    """The window, which remembers no choice of an earlier test."""
    yield window
    window.page.evaluate("localStorage.clear()")
    assert not window.noticed
    window.open("about:blank")
