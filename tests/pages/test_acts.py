"""What people change on pages, by clicking in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.pages.browser import Visitor
from tests.pages.conftest import World

pytestmark = pytest.mark.sqlite_first


@pytest.fixture
def visitor(browser: Browser, usual_world: World) -> Iterator[Visitor]:
    visitor = Visitor(browser, usual_world.served.url, usual_world.served.session())
    yield visitor
    visitor.close()
    assert not visitor.noticed


def test_a_delivery_is_resent_by_a_key_and_a_button(visitor: Visitor, usual_world: World) -> None:
    names = usual_world.names
    place = f"/messages/{names['message']}/endpoints/{names['failing']}"
    page = visitor.open(f"{place}?app={names['app']}")
    page.keyboard.press("r")
    page.get_by_text("The same bytes go out at once").wait_for()
    page.get_by_role("button", name="Resend").click()
    page.get_by_text("It is sent again now.").wait_for()
    assert page.url.endswith(f"{place}?app={names['app']}")
    deliveries = usual_world.served.http.get(
        f"/app/{names['app']}/delivery", params={"msg_id": names["message"]}
    ).json()["data"]
    [resent] = [each for each in deliveries if each["endpointId"] == names["failing"]]
    assert resent["triggerType"] == 1
    page.reload()
    assert not page.get_by_text("It is sent again now.").is_visible()
