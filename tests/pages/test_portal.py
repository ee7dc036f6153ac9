"""The portal in a frame of another origin, and Svix's React components, in a real browser.

The browser blocks cookies of third parties, as others do by default.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, Request, expect

from tests.pages.browser import launched
from tests.web.served_gateway import ServedGateway
from tillbell.web.pages.portal_look import DARK, LIGHT, contrast, stylesheet, tokens

pytestmark = pytest.mark.sqlite_first

HERE = Path(__file__).parent
SCRIPTS = {
    "/svix-react.js": HERE / "vendor" / "svix-react" / "svix-react.min.js",
    "/shop.js": HERE / "shop_page.js",
}
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8"/></svg>'
)
PATIENCE_MS = 60_000


class ShopServer:
    """A shop's own server, on another site than the gateway's: its page, and nothing else."""

    def __init__(self) -> None:
        self.access: dict[str, str] = {}
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_script = self.path in SCRIPTS
                body = SCRIPTS[self.path].read_bytes() if is_script else page.html()
                self.send_response(200)
                self.send_header("content-type", "text/javascript" if is_script else "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def html(self) -> bytes:
        access = json.dumps(self.access)
        return (
            '<!doctype html><link rel="icon" href="data:,"><div id="root"></div>'
            f'<script type="application/json" id="access">{access}</script>'
            '<script src="/svix-react.js"></script><script src="/shop.js"></script>'
        ).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Framed(NamedTuple):
    """A gateway whose portal a shop's page may show, and that page."""

    served: ServedGateway
    shop: ShopServer


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Framed]:
    folder = tmp_path_factory.mktemp("portal")
    logo = folder / "logo.svg"
    logo.write_text(LOGO)
    shop = ShopServer()
    with ServedGateway(
        folder,
        portal_frame_origins=[shop.origin],
        cors_origins=[shop.origin],
        portal_name="Baobab Hooks",
        portal_logo=str(logo),
        access_log="all",
    ) as served:
        served.http.post("/app", json={"name": "Baobab & Lipa", "uid": "baobab"})
        hook = {"url": served.receiver.url("/first"), "description": "Warehouse Maputo"}
        served.http.post("/app/baobab/endpoint", json=hook)
        body = {"eventType": "order.paid", "payload": {"amount": "149.99", "currency": "EUR"}}
        served.wait_for_attempts(served.http.post("/app/baobab/msg", json=body).json()["id"])
        yield Framed(served, shop)
    shop.close()


@pytest.fixture(scope="module")
def strict_browser(browser: Browser) -> Iterator[Browser]:
    with launched(browser.browser_type, "--test-third-party-cookie-phaseout") as strict:
        yield strict


def enter(framed: Framed, page: Page, body: dict[str, object]) -> FrameLocator:
    """Open the shop's page with a new link in a frame; return the frame."""
    served = framed.served
    link = served.http.post("/auth/app-portal-access/baobab", json=body).json()
    way = link["url"][link["url"].index("/portal") :]
    framed.shop.access = {
        "token": link["token"],
        "url": served.url + way,
        "appId": "baobab",
        "serverUrl": served.url,
    }
    page.goto(framed.shop.origin)
    return page.frame_locator("iframe")


@pytest.mark.slow
def test_a_shop_shows_the_portal_in_a_frame_and_calls_the_api(
    framed: Framed, strict_browser: Browser, capfd: pytest.CaptureFixture[str]
) -> None:
    served = framed.served
    page = strict_browser.new_page(color_scheme="light")
    page.set_default_timeout(PATIENCE_MS)
    noticed: list[str] = []
    sent: list[Request] = []
    page.on("console", lambda line: noticed.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: sent.append(request))
    frame = enter(framed, page, {})

    _use_the_components(framed, page)
    _look_as_the_shop_wants(page, frame)
    _add_an_endpoint(framed, frame)
    _act_on_it(framed, page, frame)

    # Each way out ends it at once, and the token was in no address, Referer or log.
    assert served.http.post("/auth/app/baobab/expire-all").status_code == 204
    assert all("status of 422" in line for line in noticed), noticed
    frame.get_by_role("link", name="Event types").click()
    expect(frame.get_by_role("heading", name="This portal is closed")).to_be_visible()
    token = framed.shop.access["token"]
    at_gateway = [request for request in sent if request.url.startswith(served.url)]
    assert len(at_gateway) > 20
    for request in at_gateway:
        assert token not in request.url.partition("#")[0]
        assert token not in request.headers.get("referer", "")
    assert token not in capfd.readouterr().err
    page.close()


def _use_the_components(framed: Framed, page: Page) -> None:
    """Call the API from the shop's origin: lists, a secret, a refusal, an addition."""
    served = framed.served
    expect(page.locator("#state")).to_have_text("ready", timeout=PATIENCE_MS)
    expect(page.locator("#endpoints")).to_have_text("Warehouse Maputo")
    expect(page.locator("#messages")).to_have_text("order.paid")
    (first,) = served.http.get("/app/baobab/endpoint").json()["data"]
    secret = served.http.get(f"/app/baobab/endpoint/{first['id']}/secret").json()["key"]
    expect(page.locator("#secret")).to_have_text(secret)
    page.locator("#new").fill("no address")
    page.locator("#add").click()
    expect(page.locator("#said")).to_contain_text("refused 422", timeout=PATIENCE_MS)
    expect(page.locator("#said")).to_contain_text("url")
    page.locator("#new").fill(served.receiver.url("/second"))
    page.locator("#add").click()
    expect(page.locator("#said")).to_contain_text("added ep_", timeout=PATIENCE_MS)


def _look_as_the_shop_wants(page: Page, frame: FrameLocator) -> None:
    expect(frame.get_by_role("heading", name="Endpoints")).to_be_visible()
    expect(frame.locator("header .brand")).to_contain_text("Baobab Hooks")
    assert frame.locator("html").get_attribute("data-theme") == "dark"
    assert frame.locator('link[href="/portal/accent/0a7ea4.css"]').count() == 1
    logo_width = frame.locator("img.logo").evaluate("image => image.naturalWidth")
    assert logo_width > 0
    expect(page.locator("iframe")).to_have_attribute("style", re.compile(r"height: \d+px"))


def _add_an_endpoint(framed: Framed, frame: FrameLocator) -> None:
    """Add an endpoint for one event type; a message of that type arrives there, others do not."""
    served = framed.served
    frame.get_by_role("link", name="Add endpoint").click()
    frame.get_by_label("URL").fill(served.receiver.url("/third"))
    frame.get_by_label("Name").fill("Novi Sad")
    frame.get_by_label("Only some").check()
    frame.get_by_role("button", name="Add endpoint").click()
    expect(frame.get_by_text("Nothing has happened yet.")).to_be_visible()
    frame.get_by_label("order.created", exact=False).first.check()
    frame.get_by_role("button", name="Add endpoint").click()
    expect(frame.get_by_text("The endpoint is added.")).to_be_visible()
    for event_type in ("order.paid", "order.created"):
        body = {"eventType": event_type, "payload": {"id": "1002"}}
        id_ = served.http.post("/app/baobab/msg", json=body).json()["id"]
        served.wait_for_attempts(id_, 3 if event_type == "order.created" else 2)
    (arrived,) = served.receiver.to("/third")
    assert b"1002" in arrived.body


def _act_on_it(framed: Framed, page: Page, frame: FrameLocator) -> None:
    """Test it, show and change its secret, change it, stop it, start it, send again, delete it."""
    served = framed.served
    frame.get_by_role("link", name="Send test").click()
    frame.get_by_role("button", name="Send test").click()
    expect(frame.get_by_text("A sample is on its way.")).to_be_visible()
    inside = page.frames[1]
    sample = inside.url.partition("/messages/")[2].partition("/")[0]
    served.wait_for_attempts(sample)
    inside.goto(inside.url)
    frame.get_by_role("link", name="Resend", exact=True).click()
    frame.get_by_role("button", name="Resend").click()
    expect(frame.get_by_text("It is sent again now.")).to_be_visible()
    frame.get_by_role("navigation", name="Main").get_by_role("link", name="Endpoints").click()
    frame.get_by_role("link", name="Novi Sad").click()
    listed = served.http.get("/app/baobab/endpoint").json()["data"]
    id_ = next(each["id"] for each in listed if each["description"] == "Novi Sad")
    path = f"/app/baobab/endpoint/{id_}"
    before = served.http.get(f"{path}/secret").json()["key"]
    _act(frame, "Show")
    expect(frame.locator("#shown-1")).to_have_text(before)
    frame.get_by_role("link", name="Go on").click()
    _act(frame, "New secret", "Make new secret")
    expect(frame.locator("#shown-1")).not_to_have_text(before)
    frame.get_by_role("link", name="Go on").click()
    _act(frame, "Disable")
    expect(frame.get_by_text("The endpoint is disabled:")).to_be_visible()
    assert served.http.get(path).json()["disabled"]
    _act(frame, "Enable")
    expect(frame.get_by_text("The endpoint is enabled:")).to_be_visible()
    frame.get_by_role("link", name="Change").click()
    frame.get_by_text("More settings").click()
    frame.get_by_label("Messages a second, at most").fill("7")
    frame.get_by_role("button", name="Save").click()
    expect(frame.get_by_text("The changes are saved.")).to_be_visible()
    assert served.http.get(path).json()["throttleRate"] == 7
    _act(frame, "Delete", "Delete endpoint")
    expect(frame.get_by_text("The endpoint is deleted.")).to_be_visible()
    assert served.http.get(path).status_code == 404


def _act(frame: FrameLocator, word: str, verb: str = "") -> None:
    """Open the page of an act, which says what will happen, and do it.

    A click is lost while the page in the frame is still loading.
    """
    inside = frame.owner.element_handle().content_frame()
    assert inside is not None
    inside.wait_for_load_state("load")
    frame.get_by_role("link", name=word, exact=True).click()
    expect(frame.get_by_role("heading", name="What will happen")).to_be_visible()
    frame.get_by_role("button", name=verb or word, exact=True).click()


def test_a_link_that_only_reads_disables_what_one_could_do(
    framed: Framed, strict_browser: Browser
) -> None:
    page = strict_browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    frame = enter(framed, page, {"readOnly": True, "theme": {"accent": "#aa0055"}})
    frame.get_by_role("link", name="Warehouse Maputo").click()
    expect(frame.get_by_role("heading", name="Warehouse Maputo")).to_be_visible()
    for word in ("Change", "Disable", "Delete", "Send test", "Recover", "Show", "New secret"):
        disabled = frame.locator("[aria-disabled=true]", has_text=word)
        assert "Your link does not allow this" in (disabled.first.get_attribute("title") or "")
    page.close()


def test_an_accent_is_read_on_every_ground() -> None:
    levels = range(0, 256, 51)
    accents = [
        f"{red:02x}{green:02x}{blue:02x}" for red in levels for green in levels for blue in levels
    ]
    grounds = {LIGHT: ("ffffff", "f5f7f9", "eef1f4"), DARK: ("0d1015", "15181f", "1c2028")}
    for accent in (*accents, "777777", "767676"):
        for theme in (LIGHT, DARK):
            named = tokens(accent, theme)
            for ground in (*grounds[theme], named["brass-wash"]):
                assert contrast(named["brass-text"], ground) >= 4.5, (accent, theme)
                assert contrast(named["brass-line"], ground) >= 3, (accent, theme)
            for fill in ("brass", "brass-2"):
                assert contrast(named["brass-ink"], named[fill]) >= 4.5, (accent, theme)
    assert "--brass: light-dark(" in stylesheet("0a7ea4")
