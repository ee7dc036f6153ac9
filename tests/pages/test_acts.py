"""What people change on pages, by clicking in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.pages import worlds
from tests.pages.browser import Visitor
from tests.pages.conftest import World
from tests.web.served_gateway import ServedGateway

pytestmark = pytest.mark.sqlite_first


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A usual day of its own: what is done here would change what other tests see."""
    with ServedGateway(tmp_path_factory.mktemp("acts")) as served:
        yield World(served, worlds.usual(served))


@pytest.fixture
def visitor(browser: Browser, world: World) -> Iterator[Visitor]:
    visitor = Visitor(browser, world.served.url, world.served.session())
    yield visitor
    visitor.close()
    assert not visitor.noticed


def test_a_delivery_is_resent_by_a_key_and_a_button(visitor: Visitor, world: World) -> None:
    names = world.names
    place = f"/messages/{names['message']}/endpoints/{names['failing']}"
    page = visitor.open(f"{place}?app={names['app']}")
    page.keyboard.press("r")
    page.get_by_text("The same bytes go out at once").wait_for()
    page.get_by_role("button", name="Resend").click()
    page.get_by_text("It is sent again now.").wait_for()
    assert page.url.endswith(f"{place}?app={names['app']}")
    deliveries = world.served.http.get(
        f"/app/{names['app']}/delivery", params={"msg_id": names["message"]}
    ).json()["data"]
    [resent] = [each for each in deliveries if each["endpointId"] == names["failing"]]
    assert resent["triggerType"] == 1
    page.reload()
    assert not page.get_by_text("It is sent again now.").is_visible()


def test_a_conflict_is_accepted_with_a_reason(visitor: Visitor, world: World) -> None:
    """Mozarto's operator: find the transaction, decide, and send its webhook again."""
    names = world.names
    api = world.served.http
    [conflict, *_] = api.get(f"/app/{names['app']}/conflict?open=true").json()["data"]
    page = visitor.open("/review")
    page.locator(f"tr[data-id={conflict['id']}] a.open").click()
    page.get_by_role("link", name="Keep it as it is").first.click()
    page.get_by_role("button", name="Keep it as it is").click()
    assert page.get_by_role("button", name="Keep it as it is").is_visible(), "a reason is needed"
    page.get_by_label("Reason").fill("the provider's page says the same")
    page.get_by_role("button", name="Keep it as it is").click()
    page.get_by_text("It stays as it is, and the question is closed.").wait_for()
    decided = api.get(f"/app/{names['app']}/conflict/{conflict['id']}").json()
    assert (decided["resolution"], decided["resolutionReason"]) == (
        "keep",
        "the provider's page says the same",
    )
    page.get_by_role("link", name="Resend webhook").click()
    page.get_by_label("Reason").fill("the shop asked for it")
    page.get_by_role("button", name="Resend webhook").click()
    page.get_by_text("is sent again to").wait_for()


def test_what_the_api_refuses_is_said_beside_the_field(visitor: Visitor, world: World) -> None:
    names = world.names
    page = visitor.open(f"/transactions/OUT-7/release?app={names['app']}")
    page.get_by_label("Reason").fill("x" * 1_001)
    page.get_by_role("button", name="Release").click()
    page.get_by_text("Nothing has happened yet.").wait_for()
    assert "1000" in page.locator("#reason-e").inner_text()
    assert len(page.get_by_label("Reason").input_value()) == 1_001
    [noticed] = visitor.noticed
    assert "422" in noticed
    visitor.noticed.clear()
