"""A team at work, by clicking in a real browser: who comes, what two decide, who goes again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages.browser import Visitor
from tests.web.served_gateway import OWNER, ServedGateway

pytestmark = [pytest.mark.sqlite_first, pytest.mark.slow]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    """A gateway of two shops, where a pay-out needs two people."""
    with ServedGateway(tmp_path_factory.mktemp("team"), four_eyes=True) as served:
        for name in ("shoppex", "mozarto"):
            served.http.post("/app", json={"name": name.title(), "uid": name})
        served.session()
        yield served


def window(browser: Browser, served: ServedGateway, email: str) -> Visitor:
    """Return the window of somebody who signs in with the owner's password."""
    visitor = Visitor(browser, served.url, "")
    page = visitor.open("/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(OWNER.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/login" not in url)
    return visitor


def invite(owner: Page, served: ServedGateway, email: str, role: str, app: str = "") -> str:
    """Invite somebody by clicking; return the path of the link."""
    owner.goto(f"{served.url}/settings/people")
    owner.get_by_role("link", name="Invite").click()
    owner.get_by_label("E-mail").fill(email)
    if app:
        owner.get_by_role("radio", name="none").check()
        owner.get_by_label(f"In {app}").select_option(role)
    else:
        owner.get_by_role("radio", name=role).check()
    owner.get_by_role("button", name="Make the link").click()
    link = owner.locator("#shown-1").inner_text()
    return "/setup/" + link.rpartition("/setup/")[2]


def accept(browser: Browser, served: ServedGateway, path: str, name: str) -> Visitor:
    """Accept an invitation; return the window of the person, who is signed in."""
    visitor = Visitor(browser, served.url, "")
    page = visitor.open(path)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(OWNER.password)
    page.get_by_label("Password again").fill(OWNER.password)
    page.get_by_role("button", name="Make the account").click()
    page.wait_for_url(lambda url: "/setup/" not in url)
    return visitor


def test_a_person_is_invited_limited_and_removed(browser: Browser, served: ServedGateway) -> None:
    owner = window(browser, served, OWNER.email)
    path = invite(owner.page, served, "pia@shop.example", "operator", "Mozarto")
    pia = accept(browser, served, path, "Pia")
    page = pia.page

    # Limited: one application, no settings of others, and an act that says who may.
    page.goto(f"{served.url}/endpoints")
    expect(page.get_by_role("heading", name="Endpoints")).to_be_visible()
    expect(page.locator("header.top")).to_contain_text("Mozarto")
    expect(page.locator("header.top")).not_to_contain_text("Shoppex")
    refused = page.locator("[aria-disabled=true]", has_text="Add endpoint").first
    assert "Your role operator may not do this" in (refused.get_attribute("title") or "")
    page.goto(f"{served.url}/messages?app=shoppex")
    expect(page.get_by_text("There is no such application.")).to_be_visible()

    # More roles: the form has one for each application.
    people = owner.page
    people.goto(f"{served.url}/settings/people")
    acts = people.locator("tr", has_text="pia@shop.example").locator("details.menu")
    acts.locator("summary").click()
    acts.get_by_role("link", name="Change roles").click()
    expect(people.get_by_label("In Mozarto")).to_have_value("operator")
    people.get_by_label("In Shoppex").select_option("viewer")
    people.get_by_role("button", name="Change the roles").click()
    people.get_by_text("The roles of pia@shop.example are changed.").wait_for()
    page.goto(f"{served.url}/messages?app=shoppex")
    expect(page.get_by_role("heading", name="Messages")).to_be_visible()

    acts = people.locator("tr", has_text="pia@shop.example").locator("details.menu")
    acts.locator("summary").click()
    acts.get_by_role("link", name="Remove").click()
    people.get_by_role("button", name="Remove the person").click()
    people.get_by_text("The person is removed.").wait_for()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(people.get_by_text("pia@shop.example")).to_have_count(0)
    owner.close()
    pia.close()


def test_a_pay_out_is_approved_by_two_people(browser: Browser, served: ServedGateway) -> None:
    """Mozarto: one proposes, one may not do it twice, another does it."""
    out = {"direction": "pay_out", "amount": "250.00", "currency": "EUR", "uid": "OUT-9"}
    backend = {"url": served.receiver.url("/mozarto"), "profile": "mozarto"}
    assert served.http.post("/app/mozarto/endpoint", json=backend).status_code == 201
    served.http.post("/app/mozarto/transaction", json=out)
    owner = window(browser, served, OWNER.email)
    path = invite(owner.page, served, "otto@shop.example", "operator")
    otto = accept(browser, served, path, "Otto")

    approve(otto.page, served, "the invoice is right")
    otto.page.get_by_text("It happens when another person does the same.").wait_for()
    approve(otto.page, served, "the invoice is right")
    assert served.http.get("/app/mozarto/transaction/OUT-9").json()["status"] == "Pending"
    approve(owner.page, served, "looked at it too")
    owner.page.get_by_text("It is Processing now.").wait_for()
    assert served.http.get("/app/mozarto/transaction/OUT-9").json()["status"] == "Processing"

    # Transactions, find it, the acts of its row, Resend webhook.
    page = owner.page
    page.goto(f"{served.url}/transactions?app=mozarto&filter=uid:OUT-9")
    page.get_by_label("Acts on OUT-9").click()
    page.get_by_role("link", name="Resend webhook").click()
    page.get_by_label("Reason").fill("their server was away")
    page.get_by_role("button", name="Resend webhook").click()
    page.get_by_text("transaction.processing is sent again to 1 endpoint.").wait_for()
    owner.close()
    otto.close()


def approve(page: Page, served: ServedGateway, reason: str) -> None:
    """Find the pay-out in the list and approve it."""
    page.goto(f"{served.url}/transactions?app=mozarto")
    page.get_by_role("link", name="OUT-9").click()
    page.get_by_role("link", name="Approve").click()
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Approve").click()


def test_an_endpoint_is_added_fails_and_is_sent_again(
    browser: Browser, served: ServedGateway
) -> None:
    """Shoppex: Settings → Webhooks → Add endpoint, select events, see it fail, retry by hand."""
    owner = window(browser, served, OWNER.email)
    page = owner.page
    answer = {"status": 503}

    async def respond(exchange: object) -> None:
        await exchange.answer(answer["status"])  # type: ignore[attr-defined]

    served.receiver.on("/shop", respond)
    add_endpoint(page, served)
    [endpoint] = served.http.get("/app/shoppex/endpoint").json()["data"]
    assert set(endpoint["filterTypes"]) == {"order.paid", "subscription.*"}
    sent = {"eventType": "order.paid", "payload": {"id": "1001"}}
    other = {"eventType": "order.created", "payload": {"id": "1001"}}
    served.http.post("/app/shoppex/msg", json=other)
    id_ = served.http.post("/app/shoppex/msg", json=sent).json()["id"]
    served.wait_for_attempts(id_)

    page.goto(f"{served.url}/problems?app=shoppex")
    expect(page.get_by_text("503").first).to_be_visible()
    page.goto(f"{served.url}/deliveries?app=shoppex")
    page.locator("tr", has_text="Till").get_by_role("link").first.click()
    expect(page.get_by_text("503").first).to_be_visible()
    answer["status"] = 200
    page.get_by_role("link", name="Resend", exact=True).click()
    page.get_by_role("button", name="Resend").click()
    page.get_by_text("It is sent again now.").wait_for()
    served.wait_for_attempts(id_, 2)
    page.reload()
    expect(page.locator(".title").get_by_text("Succeeded")).to_be_visible()
    assert [request.path for request in served.receiver.to("/shop")] == ["/shop", "/shop"]
    owner.close()


def add_endpoint(page: Page, served: ServedGateway) -> None:
    """Settings, Webhooks, Add endpoint; select all events of subscriptions and one of orders."""
    page.goto(f"{served.url}/settings?app=shoppex")
    page.get_by_role("link", name="Webhooks", exact=True).click()
    page.get_by_role("link", name="Add endpoint").first.click()
    page.get_by_label("URL").fill(served.receiver.url("/shop"))
    page.get_by_role("textbox", name="Name").fill("Till")
    page.get_by_label("Only some").check()
    page.get_by_label("subscription.*", exact=False).check()
    page.get_by_label("order.paid", exact=False).first.check()
    page.get_by_role("button", name="Add endpoint").click()
    page.get_by_text("The endpoint is added.").wait_for()
