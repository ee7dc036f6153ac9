"""What people do on pages, in a real browser: by keyboard alone, and without scripts."""

from __future__ import annotations

import json
import shlex

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages.browser import Visitor
from tests.pages.conftest import World

pytestmark = pytest.mark.sqlite_first


def _in_hand(page: Page) -> str:
    id_: str = page.evaluate("document.activeElement.closest('tr')?.dataset.id ?? ''")
    return id_


def test_a_list_is_walked_by_keys_alone(visitor: Visitor) -> None:
    page = visitor.open("/messages")
    page.keyboard.press("j")
    first = _in_hand(page)
    page.keyboard.press("j")
    second = _in_hand(page)
    assert first.startswith("msg_")
    assert first != second
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#drawer[data-of={second}]")
    assert f"open={second}" in page.url
    page.keyboard.press("k")
    page.wait_for_selector(f"#drawer[data-of={first}]")
    page.keyboard.press("Escape")
    assert page.locator("#drawer").is_hidden()
    assert "open=" not in page.url
    assert _in_hand(page) == first


def test_a_link_to_an_open_drawer_opens_it_again(visitor: Visitor, usual_world: World) -> None:
    names = usual_world.names
    page = visitor.open(f"/messages?open={names['message']}&of={names['app']}")
    assert page.locator(f"#drawer[data-of={names['message']}]").is_visible()
    page.get_by_role("tab", name="Payload").click()
    assert page.get_by_text('"149.99"').first.is_visible()


def test_the_palette_goes_anywhere(visitor: Visitor) -> None:
    page = visitor.open("/ui/components")
    page.keyboard.press("Control+k")
    page.keyboard.type("mess")
    page.keyboard.press("Enter")
    page.wait_for_url("**/messages")
    page.keyboard.press("Control+k")
    page.keyboard.type("webhook logs")
    page.keyboard.press("Enter")
    page.wait_for_url("**/attempts")


def test_single_keys_can_be_switched_off(visitor: Visitor) -> None:
    page = visitor.open("/messages")
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert _in_hand(page) == ""


def test_the_theme_and_the_rows_stay_as_they_were_chosen(visitor: Visitor) -> None:
    page = visitor.open("/messages")
    page.keyboard.press("t")
    page.locator("summary.avatar").click()
    page.get_by_role("button", name="Compact").click()
    page.reload()
    assert page.evaluate("({...document.documentElement.dataset})") == {
        "theme": "dark",
        "density": "compact",
    }


def test_times_are_in_the_zone_of_the_browser(browser: Browser, usual_world: World) -> None:
    served = usual_world.served
    visitor = Visitor(browser, served.url, served.session(), zone="Asia/Tokyo")
    visitor.open("/messages")
    assert "Asia/Tokyo" in visitor.open("/messages").locator(".side footer").inner_text()
    visitor.close()


def test_pages_read_without_scripts(plain_window: Visitor) -> None:
    page = plain_window.open("/messages")
    page.get_by_role("link", name="order.partially_refunded").first.click()
    assert page.get_by_role("heading", name="order.partially_refunded").is_visible()
    assert "/messages/msg_" in page.url
    assert page.get_by_text("ERP Novi Sad").first.is_visible()


def test_a_list_is_given_as_csv_and_json(usual_world: World) -> None:
    served = usual_world.served
    with served.client(None, cookies={"tillbell": served.session()}) as http:
        table = http.get(f"{served.url}/messages?format=csv&app=baobab")
        lines = http.get(f"{served.url}/messages?format=json&app=baobab").text.splitlines()
    rows = table.text.splitlines()
    assert rows[0].startswith("time,application,id,event_type")
    listed = served.http.get("/app/baobab/msg", params={"limit": 250}).json()["data"]
    assert len(rows) - 1 == len(lines) == len(listed)
    assert '"event_type":"order.paid"' in lines[-1]
    assert ",-312.40,EUR" in table.text


def test_the_audit_log_is_read_filtered_exported_and_verified(usual_world: World) -> None:
    served, names = usual_world.served, usual_world.names
    target = names["down"]
    wanted = {"filter": f"target:{target}"}
    with served.client(None, cookies={"tillbell": served.session()}) as http:

        def page(path: str, **query: str) -> str:
            answer = http.get(f"{served.url}{path}", params=query)
            assert answer.status_code == 200, answer.text
            return answer.text

        opened = page("/settings/audit", open=names["act"], **wanted)
        for text in ("Partner in Beira", "description: Partner in Beira", "secrets: (secret)"):
            assert text in opened
        assert f'href="/endpoints/{target}?app=baobab"' in opened
        rows = [
            json.loads(line)
            for line in page("/settings/audit", format="json", **wanted).splitlines()
        ]
        listed = served.http.get("/audit", params=wanted).json()["data"]
        assert rows == listed
        assert len(page("/settings/audit", format="csv", **wanted).splitlines()) == 1 + len(rows)
        exports = served.http.get("/audit", params={"filter": "action:audit.export"}).json()["data"]
        assert [(act["actorKind"], act["changes"]["filter"]["after"]) for act in exports] == [
            ("person", wanted["filter"])
        ] * 2
        assert "Whole: " in page("/settings/audit/verify")
        for path, id_ in (
            (f"/endpoints/{target}", target),
            (f"/transactions/{names['transaction']}", names["transaction"]),
        ):
            assert f"filter=target%3A{id_}" in page(path, app="baobab")
        for path in ("/sources/cards", "/settings/keys", "/settings/applications"):
            assert "/settings/audit?" in page(path, app="baobab")


def test_a_filter_is_written_with_suggestions_and_taken_apart_again(visitor: Visitor) -> None:
    page = visitor.open("/messages")
    all_rows = page.locator("tbody tr").count()
    page.keyboard.press("/")
    page.keyboard.type("ty")
    page.wait_for_selector("#sug [role=option]:first-child:has-text('type:')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator(".filter [role=combobox]").input_value() == "type:"
    page.keyboard.type("order.partially_refunded")
    page.keyboard.press("Enter")
    page.wait_for_url("**/messages?filter=type%3Aorder.partially_refunded")
    assert page.locator("tbody tr").count() == 1
    page.get_by_label("Remove type:order.partially_refunded").click()
    page.wait_for_url("**/messages")
    assert page.locator("tbody tr").count() == all_rows > 1


def test_a_mistake_in_a_filter_is_marked_with_what_was_meant(visitor: Visitor) -> None:
    page = visitor.open("/messages?filter=typ:order.partially_refunded")
    assert page.locator("mark").inner_text() == "typ"
    page.get_by_role("link", name="Did you mean").click()
    assert page.locator("tbody tr").count() == 1


def test_a_filter_works_without_scripts(plain_window: Visitor) -> None:
    page = plain_window.open("/messages?app=baobab")
    page.get_by_label("Add a condition").fill("type:order.paid")
    page.keyboard.press("Enter")
    page.wait_for_url("**/messages?app=baobab&filter=type%3Aorder.paid")
    assert page.locator("tbody tr").count() == 2


def test_an_id_that_is_pasted_opens_what_it_names(visitor: Visitor, usual_world: World) -> None:
    message = usual_world.names["message"]
    page = visitor.open("/")
    page.keyboard.press("Control+k")
    page.keyboard.insert_text(message)
    page.wait_for_selector("#pal-found [role=option]")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/messages/{message}?app=baobab")
    visitor.open(f"/search?q={message}")
    assert f"/messages/{message}" in page.url


def test_a_new_message_waits_behind_a_button_until_somebody_asks(
    visitor: Visitor, usual_world: World
) -> None:
    served = usual_world.served
    page = visitor.open("/messages?filter=type:order.live")
    expect(page.locator(".live .state")).to_have_text("Live")
    assert page.get_by_role("heading", name="No message matches").is_visible()
    body = {"eventType": "order.live", "payload": {"id": "live"}}
    assert served.http.post("/app/baobab/msg", json=body).status_code == 202
    page.get_by_role("button", name="1 new").click()
    page.wait_for_selector("tbody tr")
    visitor.open("/")
    page.keyboard.press("p")
    assert page.get_by_role("button", name="Paused").is_visible()


def _verdict(page: Page) -> str:
    return page.locator(".verdict").inner_text()


def test_a_stopped_breaker_is_said_where_home_leads_to(
    visitor: Visitor, usual_world: World
) -> None:
    down = usual_world.names["down"]
    page = visitor.open("/?app=baobab")
    page.locator(f".needs a[href*='/endpoints/{down}']").first.click()
    page.wait_for_url(f"**/endpoints/{down}?app=baobab")
    assert "It keeps failing: it answers 500" in _verdict(page)
    assert "as a probe" in _verdict(page)
    assert page.locator(".verdict [role=timer]").count() <= 1  # none if the probe is due now


def test_a_disabled_endpoint_says_who_disabled_it(visitor: Visitor, usual_world: World) -> None:
    page = visitor.open("/endpoints")
    page.get_by_role("link", name="Disabled").click()
    page.wait_for_url("**filter=status%3Adisabled")
    page.get_by_role("link", name="Old CRM").click()
    page.wait_for_url(f"**/endpoints/{usual_world.names['gone']}**")
    assert "its receiver answered that it is gone" in _verdict(page)


def test_a_filtered_message_is_tried_without_scripts(
    plain_window: Visitor, usual_world: World
) -> None:
    names = usual_world.names
    page = plain_window.open(
        f"/endpoints/{names['filters']}?app={names['app']}&msg={names['message']}"
    )
    assert page.get_by_label("Message").input_value() == names["message"]
    page.get_by_role("button", name="Test it").click()
    page.wait_for_url(f"**msg={names['message']}**")
    answer = page.locator("#tester .callout").inner_text()
    assert "No, it would not get this message" in answer
    assert "It does not take the event type order.paid" in answer


def test_home_leads_to_why_a_message_has_not_arrived(visitor: Visitor, usual_world: World) -> None:
    served = usual_world.served
    served.http.post("/app", json={"name": "Why not", "uid": "why"})
    for name, path, types in (
        ("Mails", "/ok", ["order.created"]),
        ("Accounting", "/status/410", None),
        ("Loyalty", "/status/500", None),
    ):
        address = {"url": served.receiver.url(path), "description": name}
        wishes = {"filterTypes": types, "retrySchedule": [3600]}
        assert served.http.post("/app/why/endpoint", json=address | wishes).status_code == 201
    body = {"eventType": "order.why", "payload": {"id": "1", "note": "it's"}}
    message = served.http.post("/app/why/msg", json=body).json()["id"]
    served.wait_for_attempts(message, 2)
    says = {
        "Mails": ("The endpoint did not ask for it", "does not take the event type"),
        "Accounting": ("It did not arrive", "No attempt is left after 1."),
        "Loyalty": ("It has not arrived yet", "1 attempt has failed; it is tried again"),
    }
    for name, (title, text) in says.items():
        assert _verdict_from_home(visitor, name) == title
        assert text in visitor.page.locator(".verdict p").inner_text()
    page = visitor.page
    assert page.locator(".schedule li").count() == 2
    assert page.locator(".schedule [aria-current=step]").inner_text().startswith("2")
    command = shlex.split((page.locator("#curl").text_content() or "").replace("\\\n", ""))
    assert command[-1] == '{"id":"1","note":"it\'s"}'
    assert "webhook-signature: SIGNATURE" in command
    assert served.http.delete(f"/app/why/msg/{message}/content").status_code == 204
    assert _verdict_from_home(visitor, "Loyalty") == "It cannot be sent any more"


def _verdict_from_home(visitor: Visitor, endpoint: str) -> str:
    """Go from Home to the newest message, and to what became of it at an endpoint."""
    page = visitor.open("/?app=why")
    page.get_by_role("link", name="order.why").first.click()
    page.get_by_role("link", name=endpoint).first.click()
    page.wait_for_url("**/endpoints/**")
    return page.locator(".verdict h2").inner_text()


def test_a_page_that_was_hidden_shows_what_it_missed(visitor: Visitor, usual_world: World) -> None:
    page = visitor.open("/")
    expect(page.locator(".live .state").first).to_have_text("Live")
    hide = """(isHidden) => {
        Object.defineProperty(document, "hidden", {value: isHidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    message = {"eventType": "order.missed", "payload": {}}
    path = f"/app/{usual_world.names['app']}/msg"
    assert usual_world.served.http.post(path, json=message).status_code == 202
    expect(page.locator("#tail")).not_to_contain_text("order.missed")
    page.evaluate(hide, False)
    expect(page.locator("#tail")).to_contain_text("order.missed")
