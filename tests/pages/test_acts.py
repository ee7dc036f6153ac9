"""What people change on pages, by clicking in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.pages import worlds
from tests.pages.browser import Visitor
from tests.pages.conftest import World
from tests.patience import PATIENCE_S
from tests.web.served_gateway import ServedGateway
from tillbell.errors import StoreUnavailable

pytestmark = pytest.mark.sqlite_first


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A usual day of its own: what is done here would change what other tests see."""
    with ServedGateway(tmp_path_factory.mktemp("acts")) as served:
        yield World(served, worlds.usual(served))


@pytest.fixture(scope="module")
def window(browser: Browser, world: World) -> Iterator[Visitor]:
    """A window on that day; `visitor` is it."""
    visitor = Visitor(browser, world.served.url, world.served.session())
    yield visitor
    visitor.close()


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
    page.get_by_label("Reason").fill("x" * 300_000)
    page.get_by_role("button", name="Release").click()
    page.get_by_text("Go back and write less.").wait_for()
    assert [status for each in visitor.noticed for status in ("422", "413") if status in each] == [
        "422",
        "413",
    ]
    visitor.noticed.clear()


def _add_application(visitor: Visitor, name: str) -> Locator:
    """Fill the form of a new application; return its button."""
    page = visitor.open("/settings/applications/new")
    page.get_by_label("Name", exact=True).fill(name)
    return page.get_by_role("button", name="Add the application")


def _applications(world: World, name: str) -> int:
    listed = world.served.http.get("/app?limit=250").json()["data"]
    return sum(app["name"] == name for app in listed)


def test_a_double_click_acts_once(visitor: Visitor, world: World) -> None:
    _add_application(visitor, "Double").dblclick()
    visitor.page.wait_for_url("**/?app=*")
    assert _applications(world, "Double") == 1


def test_a_form_acts_once_after_a_failure_that_leaves_much_open(
    visitor: Visitor, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    applications = world.served.gateway.applications
    create = applications.create

    async def create_and_fail(fields: Any) -> None:
        await create(fields)
        raise StoreUnavailable

    monkeypatch.setattr(applications, "create", create_and_fail)
    _add_application(visitor, "Lost").click()
    visitor.page.get_by_text("Perhaps it has happened.").wait_for()
    monkeypatch.undo()
    visitor.page.get_by_role("button", name="Add the application").click()
    visitor.page.get_by_text("Look at Applications whether it was done.").wait_for()
    visitor.noticed.clear()
    assert _applications(world, "Lost") == 1


def test_an_old_page_with_other_values_says_that_it_was_sent(
    visitor: Visitor, world: World
) -> None:
    set_once = "field => field.value = 'of-a-page-that-the-browser-kept'"
    button = _add_application(visitor, "First")
    visitor.page.locator("[name=once]").evaluate(set_once)
    button.click()
    visitor.page.wait_for_url("**/?app=*")
    button = _add_application(visitor, "Second")
    visitor.page.locator("[name=once]").evaluate(set_once)
    button.click()
    visitor.page.get_by_text("This form was sent before with other values").wait_for()
    visitor.noticed.clear()
    button.click()
    visitor.page.wait_for_url("**/?app=*")
    assert (_applications(world, "First"), _applications(world, "Second")) == (1, 1)


def test_a_source_is_set_up_tested_and_mended(visitor: Visitor, world: World) -> None:
    """Mozhe's shop: a wrong secret, why, the right one, and the callback once more."""
    app = world.names["app"]
    page = visitor.open(f"/sources?app={app}")
    page.get_by_role("link", name="New source").click()
    page.get_by_role("link", name="Stripe").first.click()
    page.get_by_role("textbox", name="Name").fill("Second account")
    page.get_by_label("Secret", exact=True).fill("whsec_" + "d3Jvbmcgc2VjcmV0IG9mIGEgc2hvcA==")
    page.get_by_role("button", name="Add the source").click()
    page.get_by_text("The source is there.").wait_for()
    url = page.locator(".secret code").first.inner_text()
    right = "whsec_" + "cmlnaHQgc2VjcmV0IG9mIGEgc2hvcCE="
    event = worlds._stripe_event("evt_right", "payment_intent.succeeded", "pi_9", "9")
    headers = worlds._stripe_headers(event, right)
    path = "/api" + url.partition("/api")[2]
    refused = world.served.http.post(world.served.url + path, content=event, headers=headers)
    assert refused.status_code == 401
    page.reload()
    page.get_by_text("The last callback was refused").wait_for()
    page.get_by_role("link", name="New secret").click()
    page.get_by_label("Secret", exact=True).fill(right)
    page.get_by_role("button", name="Use the new secret").click()
    page.get_by_role("link", name="Look at the last one").click()
    page.get_by_role("link", name="Replay", exact=True).click()
    page.get_by_role("button", name="Replay").click()
    page.get_by_text("It is believed now").wait_for()
    world.served.wait_for_callbacks()
    page.reload()
    page.locator(".title").get_by_text("Unmatched").wait_for()


def test_a_key_is_made_shown_once_and_revoked(visitor: Visitor, world: World) -> None:
    page = visitor.open("/settings/keys")
    page.get_by_role("link", name="New API key").click()
    page.get_by_role("textbox", name="Name").fill("Warehouse")
    page.get_by_label("Or only parts").fill("message:read")
    page.get_by_role("button", name="Make the key").click()
    key = page.locator("#shown-1").inner_text()
    with world.served.client(key) as http:
        assert http.get(f"/app/{world.names['app']}/msg").status_code == 200
        page.get_by_role("link", name="Go on").click()
        page.locator("tr", has_text="Warehouse").get_by_role("link", name="Revoke").click()
        page.get_by_role("button", name="Revoke the key").click()
        page.get_by_text("The key is revoked.").wait_for()
        assert http.get(f"/app/{world.names['app']}/msg").status_code == 401


def test_a_payload_is_edited_and_sent_and_an_event_type_registered(
    visitor: Visitor, world: World
) -> None:
    names = world.names
    page = visitor.open(
        f"/messages/{names['message']}/endpoints/{names['failing']}?app={names['app']}"
    )
    page.keyboard.press("Shift+R")
    page.get_by_label("Payload").fill('{"orderId": "edited", "total": 1.50}')
    page.get_by_role("button", name="Send the message").click()
    page.get_by_text("The edited message is sent now.").wait_for()
    [newest] = world.served.http.get(f"/app/{names['app']}/msg?limit=1").json()["data"]
    assert newest["payload"] == {"orderId": "edited", "total": 1.5}
    page = visitor.open("/event-types")
    page.get_by_role("link", name="New event type").click()
    page.get_by_label("Name", exact=True).fill("loyalty.joined")
    page.get_by_label("Description").fill("Somebody has joined the club.")
    page.get_by_label("Schemas").fill('{"1": {"type": "object", "examples": [{"club": "gold"}]}}')
    page.get_by_role("button", name="Register the event type").click()
    page.get_by_text("The event type is saved.").wait_for()
    assert "gold" in page.inner_text("main")


def test_a_product_gets_a_webhook_and_each_order_arrives_once(
    visitor: Visitor, world: World
) -> None:
    """Zenofy's seller: product, Webhook, URL, secret, enabled; then somebody buys."""
    served, shop = world.served, world.names["shop"]
    page = visitor.open(f"/products?app={shop}")
    page.locator(f"tr[data-id={world.names['book']}] a.open").click()
    page.get_by_role("link", name="Set a webhook").click()
    page.get_by_label("URL").fill("ftp://files.example")
    page.get_by_role("button", name="Save").click()
    page.locator("#url-e").wait_for()
    visitor.noticed.clear()
    page.get_by_label("URL").fill(served.receiver.url("/ok?seller"))
    page.get_by_label("Secret").fill("s3cret-of-the-seller")
    assert page.get_by_label("Enabled").is_checked()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("It is saved: the next order is sent there.").wait_for()
    assert "/ok?seller" in page.inner_text("main")

    lines = [{"productId": "book", "totalPrice": "5.00"}, {"productId": "book", "quantity": 2}]
    order = {"amount": "5.00", "currency": "EUR", "status": "paid", "items": lines}
    answer = served.http.put(f"/app/{shop}/order/sold", json=order)
    assert answer.status_code == 201, answer.text
    listed = served.http.get(f"/app/{shop}/msg", params={"event_types": "order.paid"}).json()
    paid = listed["data"][0]["id"]
    served.wait_for_attempts(paid, 2)
    arrived = [r for r in served.receiver.requests if r.path.endswith("?seller")]
    [body] = [json.loads(r.body) for r in arrived if r.header("webhook-id") == paid]
    assert body["event"] == "order_paid"
    assert {r.header("x-webhook-secret") for r in arrived} == {"s3cret-of-the-seller"}
    visitor.open(f"/products?app={shop}")
    page.locator(f"tr[data-id={world.names['book']}] a.open").click()
    page.get_by_role("link", name="Webhook logs").click()
    page.get_by_role("link", name="order.paid").first.wait_for()
    visitor.open(f"/orders?app={shop}&q=sold")
    page.get_by_role("link", name="sold").click()
    page.get_by_text("It is paid").first.wait_for()
    page.get_by_role("link", name="order.paid").click()
    page.get_by_text("Webhook of product book").first.wait_for()


def test_somebody_is_told_by_e_mail_and_no_more(visitor: Visitor, world: World) -> None:
    page = visitor.open("/settings/alerts/new")
    page.get_by_label("E-mail address").fill("ada@shop.example")
    page.get_by_label("The disk is nearly full").check()
    page.get_by_label("No mail from").fill("22")
    page.get_by_role("button", name="Add the alert").click()
    page.get_by_text("must be a time of day: 22:00").wait_for()
    visitor.noticed.clear()
    page.get_by_label("No mail from").fill("22:00")
    page.get_by_label("No mail until").fill("07:00")
    page.get_by_role("button", name="Add the alert").click()
    page.get_by_text("ada@shop.example is told from now on").wait_for()
    alerts = world.served.http.get("/alert").json()["data"]
    [alert] = [each for each in alerts if each["email"] == "ada@shop.example"]
    row = page.locator(f"tr[data-id={alert['id']}]")
    assert (alert["kinds"], alert["quietFrom"]) == (["disk"], "22:00")
    row.get_by_role("link", name="Test").click()
    page.get_by_role("button", name="Send test").click()
    page.get_by_text("No mail server is set: TILLBELL_SMTP_URL.").wait_for()
    page = _unsubscribe(visitor, world, alert["id"])
    row = page.locator(f"tr[data-id={alert['id']}]")
    row.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete the alert").click()
    page.get_by_text("The alert is deleted.").wait_for()
    assert world.served.http.get(f"/alert/{alert['id']}").status_code == 404


def _unsubscribe(visitor: Visitor, world: World, alert: str) -> Page:
    """Follow the link in a mail, as a person without an account and as a mail program."""
    link = worlds.link_in_mail(world.served, alert)
    page = visitor.open(link)
    page.get_by_text("The disk is nearly full").wait_for()
    assert world.served.http.get(f"/alert/{alert}").json()["unsubscribedAt"] is None, "a look"
    page.get_by_role("button", name="Stop these mails").click()
    page.get_by_role("heading", name="No more mails are sent").wait_for()
    assert world.served.http.get(f"/alert/{alert}").json()["unsubscribedAt"]
    by_link = world.served.http.get("/audit", params={"target": alert, "limit": 1}).json()["data"]
    assert [(act["action"], act["actorKind"]) for act in by_link] == [("alert.update", "nobody")]
    world.served.http.patch(f"/alert/{alert}", json={"paused": False})
    one_click = {"List-Unsubscribe": (None, "One-Click")}
    url = world.served.url + link
    assert httpx.post(url, files=one_click, timeout=PATIENCE_S).status_code == 200
    assert httpx.post(url + "x", files=one_click, timeout=PATIENCE_S).status_code == 404
    page = visitor.open("/settings/alerts")
    page.get_by_text("by the link in a mail").wait_for()
    return page


def test_a_file_is_checked_then_imported_and_a_link_made_and_revoked(
    visitor: Visitor, world: World
) -> None:
    """Products → Import, as Mozhe's shop does it, and a stock list in a spreadsheet."""
    served, shop = world.served, world.names["shop"]
    page = visitor.open(f"/products?app={shop}")
    page.get_by_role("link", name="Import", exact=True).click()
    table = "uid;name;stock;price;currency\ncandle;Candle;7;12,50;EUR\nbook;Book;many;5,00;EUR\n"
    file = {"name": "p.csv", "mimeType": "text/csv", "buffer": b"\xef\xbb\xbf" + table.encode()}
    page.get_by_label("CSV file").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Check it").click()
    page.get_by_text("1 would be new, 0 changed; 0 are so already, 1 is wrong.").wait_for()
    assert "stock" in page.locator("#result tbody").inner_text()
    assert not page.get_by_role("button", name="Import 1").is_visible()
    page.get_by_label("Write the others").check()
    page.get_by_role("button", name="Check it").click()
    page.get_by_role("button", name="Import 1").click()
    page.get_by_text("1 new, 0 changed, 0 were so already, 1 left out.").wait_for()
    shown = served.http.get(f"/app/{shop}/product/candle").json()
    assert (shown["stock"], shown["price"]) == (7, "12.50")

    visitor.open(f"/imports/stock?app={shop}")
    page.get_by_label("Or its rows").fill("uid,stock\ncandle,6\n")
    page.get_by_role("button", name="Check it").click()
    page.get_by_role("button", name="Import 1").click()
    page.get_by_text("It is imported.").wait_for()
    _make_and_revoke_a_link(page, served, shop)


def _make_and_revoke_a_link(page: Page, served: ServedGateway, shop: str) -> None:
    page.get_by_role("link", name="Exports and imports").first.click()
    page.get_by_role("link", name="New link").click()
    page.get_by_role("textbox", name="Name").fill("Stock for Maria")
    page.locator("#f-kind").select_option("products")
    page.get_by_label("Filter").fill("stock:6")
    page.get_by_role("button", name="Make the link").click()
    url = served.url + "/export-link/" + page.locator("#shown-1").inner_text().split("link/")[1]
    with served.client(None) as http:
        assert [row.split(",")[0] for row in http.get(url).text.splitlines()] == ["uid", "candle"]
        page.get_by_role("link", name="Go on").click()
        row = page.locator("li", has_text="Stock for Maria")
        row.get_by_role("link", name="Revoke").click()
        page.get_by_role("button", name="Revoke the link").click()
        page.get_by_text("The link is revoked.").wait_for()
        assert http.get(url).status_code in (401, 404)
    with served.client(None, cookies={"tillbell": served.session()}) as http:
        query = {"app": shop, "format": "ndjson", "filter": "uid:candle"}
        answer = http.get(f"{served.url}/exports/products", params=query)
        assert json.loads(answer.text)["stock"] == 6
