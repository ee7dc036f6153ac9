"""Every page, in a real browser: quiet, accessible, narrow, and safe with any text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser

from tests import scale
from tests.pages.browser import COLOURS, NARROW, WIDE, Visitor
from tests.pages.conftest import World
from tests.pages.registry import PAGES, Looked
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.sqlite_first
FIRST_LOAD_MAX = 150_000  # bytes of a page with all its files, as they are sent
_OWN_FILE = re.compile(r'(?:href|src)="(/static/[^"#]+)')
ONE_OF_EACH = tuple({looked.page: looked for looked in reversed(PAGES)}.values())


class Checks(NamedTuple):
    """What is checked besides widths, noise and statuses. It takes most of the time."""

    rules: bool = False  # of accessibility
    dark: bool = False  # its colours, in one state of each page


def _there_in(world: World, pages: Sequence[Looked]) -> list[Looked]:
    """Return the pages that are there in a world."""
    return [looked for looked in pages if world.names or not looked.needs_data]


def _look_at_all(browser: Browser, world: World, pages: Sequence[Looked], checks: Checks) -> None:
    """Open pages, and make them as narrow as a telephone; collect all that is wrong."""
    visitor = Visitor(browser, world.served.url, world.served.session())
    visitor.enter_portal(world.names.get("portal_token", ""))
    width = WIDE if checks.rules else NARROW  # each other width is laid out and painted anew
    visitor.width(width)
    wrong: list[str] = []
    for looked in _there_in(world, pages):
        path = looked.path.format(**world.names)
        visitor.open(path)
        if checks.rules:
            wrong += [f"{looked.name}: {rule}" for rule in visitor.axe()]
        if checks.dark and looked in ONE_OF_EACH:
            visitor.theme("dark")
            wrong += [f"{looked.name}, dark: {rule}" for rule in visitor.axe(COLOURS)]
            visitor.theme("light")
        visitor.width(NARROW)
        if (wider := visitor.scrolls_sideways()) > 0:
            wrong.append(f"{looked.name}: {wider} px wider than {NARROW}")
        visitor.width(width)
        status = f"status of {looked.status} "
        noticed = [line for line in visitor.noticed if looked.status == 200 or status not in line]
        wrong += [f"{looked.name}: {line}" for line in noticed]
    visitor.close()
    assert not wrong, "\n".join(wrong)


def test_all_pages_with_hostile_text(browser: Browser, hostile_world: World) -> None:
    _look_at_all(browser, hostile_world, PAGES, Checks())


def _sent(http: httpx.Client, path: str) -> tuple[httpx.Response, int]:
    """Open a path; return the answer, and how many bytes of body came over the line."""
    with http.stream("GET", path) as answer:
        answer.read()
        return answer, answer.num_bytes_downloaded


def test_all_pages_answer_and_are_light_on_a_usual_day_and_at_the_first_start(
    usual_world: World, empty_world: World
) -> None:
    for world in (usual_world, empty_world):
        served = world.served
        with httpx.Client(
            base_url=served.url,
            cookies={
                "tillbell": served.session(),
                "tillbell-portal": f"{world.names.get('portal_token', '')}~~~",
            },
            headers={"accept": "text/html"},
            follow_redirects=True,
        ) as http:
            files: dict[str, int] = {}
            for looked in _there_in(world, PAGES):
                answer, size = _sent(http, looked.path.format(**world.names))
                assert answer.status_code == looked.status, looked.name
                assert "</html>" in answer.text, looked.name
                own = set(_OWN_FILE.findall(answer.text))
                files |= {path: _sent(http, path)[1] for path in own - files.keys()}
                first_load = size + sum(files[path] for path in own)
                assert 0 < first_load <= FIRST_LOAD_MAX, (looked.name, first_load)
                assert len(own) >= 3, looked.name


def test_lists_are_sorted_and_exported_as_they_are_shown(usual_world: World) -> None:
    served = usual_world.served
    cookies = {"tillbell": served.session()}
    columns = {
        "/messages": ("time", "id"),
        "/deliveries": ("time", "id"),
        "/attempts": ("time", "id"),
        "/callbacks": ("time", "id"),
        "/transactions": ("time", "id"),
        "/jobs": ("time", "id"),
        "/endpoints": ("name", "name"),
        "/event-types": ("name", "name"),
        "/problems": ("last", "last"),
        "/sources": ("name", "name"),
        "/settings/keys": ("name", "name"),
        "/settings/people": ("name", "name"),
    }
    of_shop = ("/orders", "/products", "/customers", "/subscriptions", "/shipments")
    columns |= dict.fromkeys(of_shop, ("time", "id"))
    with httpx.Client(base_url=served.url, cookies=cookies, timeout=PATIENCE_S) as http:

        def shown(path: str, **query: str) -> str:
            chosen = {"app": usual_world.names["shop"]} if path in of_shop else {}
            answer = http.get(path, params=query | chosen, headers={"accept": "text/html"})
            assert answer.status_code == 200, path
            return answer.text

        for path, (column, member) in columns.items():
            orders: dict[str, list[str]] = {}
            for sort, word in ((column, "ascending"), (f"-{column}", "descending")):
                assert f'aria-sort="{word}"' in shown(path, sort=sort), path
                lines = shown(path, sort=sort, format="json").splitlines()
                orders[word] = [str(json.loads(line)[member]) for line in lines if line]
            assert orders["ascending"] == orders["descending"][::-1], path
            assert len(orders["ascending"]) > 0, path
            head = shown(path, format="csv").splitlines()[0]
            assert member in head.split(","), path


def test_orders_are_filtered_and_found(usual_world: World) -> None:
    served = usual_world.served
    query = {"app": usual_world.names["shop"], "format": "json"}
    with served.client(None, cookies={"tillbell": served.session()}) as http:
        for wanted, numbers in (
            ({"filter": "payment:overpaid"}, ["7001"]),
            ({"filter": "payment:overpaid status:cancelled"}, []),
            ({"filter": "data.items.0.productId:course -payment:overpaid"}, ["Course"]),
            ({"q": "ANA@shop.example", "filter": "status:cancelled"}, ["Course"]),
            ({"q": "7001"}, ["7001"]),
            ({"q": "nobody"}, []),
        ):
            lines = http.get(f"{served.url}/orders", params=query | wanted).text.splitlines()
            assert [json.loads(line)["number"] for line in lines if line] == numbers, wanted
    noted = served.http.get("/audit", params={"filter": "action:order.export"}).json()["data"]
    assert noted[0]["changes"]["q"]["after"] == "nobody"


def test_an_order_tells_of_its_payment_parcels_and_webhooks(usual_world: World) -> None:
    served, names = usual_world.served, usual_world.names
    with served.client(None, cookies={"tillbell": served.session()}) as http:
        path = f"{served.url}/orders/{names['order']}?app={names['shop']}"
        text = http.get(path, headers={"accept": "text/html"}).text
    assert "10.09 EUR too much was paid" in text
    told = ("order.created", "transaction.pending", "Callback of", "order.paid", "Parcel with")
    timeline = text[text.index("What happened") :]
    places = [timeline.index(word) for word in told]
    assert places == sorted(places)
    assert timeline.count("1 delivery") >= 4


def test_a_transaction_tells_in_one_line_of_a_callback_that_was_repeated(
    usual_world: World,
) -> None:
    served, names = usual_world.served, usual_world.names
    path = f"transaction/{names['transaction']}"
    steps = served.http.get(f"/app/{names['app']}/{path}/why").json()["steps"]
    repeated = [step for step in steps if step["word"] == "duplicate"]
    assert [(step["title"], step["changed"]) for step in repeated] == [
        ("Cards: payment_intent.succeeded repeated once", False)
    ]
    assert repeated[0]["at"] > steps[0]["at"]
    with served.client(None, cookies={"tillbell": served.session()}) as http:
        page = http.get(f"{served.url}/transactions/{names['transaction']}?app={names['app']}").text
    assert page.count("repeated once") == 1
    assert "by the key test" in page


@pytest.mark.slow
def test_all_pages_are_accessible_whatever_they_show(
    browser: Browser, usual_world: World, empty_world: World, hostile_world: World
) -> None:
    _look_at_all(browser, usual_world, PAGES, Checks(rules=True, dark=True))
    pages = PAGES if scale.IS_WHOLE else ONE_OF_EACH
    _look_at_all(browser, empty_world, pages, Checks(rules=True))
    _look_at_all(browser, hostile_world, pages, Checks(rules=True))
