"""Filters over HTTP: every list takes them, mistakes are marked, and bulk jobs take the same."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, NamedTuple

import httpx
import pytest

from tests.money.payment_harness import APPROVED, FAILED, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient


class FilteredShop(NamedTuple):
    """A shop with rows of every list."""

    client: ShopClient
    messages: dict[str, str]  # by name

    def ids(self, path: str, text: str, **query: Any) -> list[str]:
        """Return the ids of the whole list, two a page, oldest first."""
        ids: list[str] = []
        iterator = None
        while True:
            more: dict[str, str] = {"iterator": iterator} if iterator else {}
            page = self.client.http.get(
                path, params={"filter": text, "limit": 2, **query, **more}
            ).json()
            ids += [row["id"] for row in page["data"]]
            if page["done"]:
                return ids[::-1]
            iterator = page["iterator"]


@pytest.fixture(scope="module")
def shop(served: ServedGateway) -> FilteredShop:
    client = ShopClient(served)
    down = client.made(
        "endpoint",
        {"url": served.receiver.url("/status/500"), "uid": "down", "channels": ["down"]},
    )
    assert down["uid"] == "down"
    messages = {}
    for name, type_, more in (
        ("paid", "order.paid", {"tags": ["test"], "eventId": "evt-1"}),
        ("refunded", "order.refunded", {"channels": ["web"]}),
        ("low", "stock.low", {"orderKey": "k", "channels": ["down"]}),
    ):
        body = {"eventType": type_, "payload": {"name": name, "amount": "12.50"}, **more}
        messages[name] = str(client.http.post(f"{client.path}/msg", json=body).json()["id"])
        served.wait_for_attempts(messages[name], 2 if name == "low" else 1)
    client.begin(uid="u-1", orderId="1001")
    client.begin(uid="u-2", amount="7.00", userId="ada")
    client.tell(news("u-1", APPROVED, amount="100.00"))
    client.tell(news("u-2", FAILED))
    client.tell(news("u-2", APPROVED, amount="7.00"))
    return FilteredShop(client, messages)


def test_every_list_takes_a_filter(shop: FilteredShop) -> None:
    client, named = shop.client, shop.messages
    app, endpoint = client.path, client.endpoint["id"]
    for text, expected in [
        ("type:order.*", ["paid", "refunded"]),
        ("tag:test", ["paid"]),
        ("-tag:test type:order.*,stock.low", ["refunded", "low"]),
        ("channel:web", ["refunded"]),
        ("event:evt-1", ["paid"]),
        ("order:k since:1h", ["low"]),
        ("data.name:low,paid data.amount:>12.49", ["paid", "low"]),
        ("until:1h", []),
    ]:
        wanted = [named[name] for name in expected]
        if "data" not in text and "order:" not in text:
            text = f"{text} -type:transaction.*"
        assert shop.ids(f"{app}/msg", text) == wanted, text
        assert shop.ids("/message", f"app:{client.app_id} {text}") == wanted, text
        assert shop.ids("/message", text, app=client.app_id) == wanted, text
    deliveries = shop.ids("/delivery", "endpoint:down", app=client.app_id)
    assert len(deliveries) == 1
    assert shop.ids(f"{app}/delivery", "endpoint:down code:5xx status:waiting") == deliveries
    assert shop.ids(f"{app}/delivery", "code:5xx -endpoint:down") == []
    failed = shop.ids("/attempt", "code:500", app=client.app_id)
    assert [id_[6:43] for id_ in failed] == [deliveries[0][4:]]
    assert shop.ids(f"{app}/attempt/endpoint/down", "status:failed") == failed
    assert shop.ids(f"{app}/attempt/endpoint/{endpoint}", "status:failed") == []
    by_status = [len(shop.ids(f"{app}/callback", f"status:{s}")) for s in ("applied", "conflict")]
    assert by_status == [2, 1]
    assert len(shop.ids("/callback", "source:psp provider:psp", app=client.app_id)) == 3
    (first,) = shop.ids(f"{app}/transaction", "order:1001 status:approved amount:>=100")
    assert shop.ids("/transaction", "order:1001 currency:EUR", app=client.app_id) == [first]
    assert shop.ids("/transaction", "-reference:1001 user:ada", app=client.app_id) != [first]
    assert len(shop.ids(f"{app}/conflict", "status:open amount:7 currency:EUR")) == 1
    assert shop.ids("/conflict", "status:resolved", app=client.app_id) == []
    assert shop.ids(f"{app}/endpoint", "health:failing") == [shop.ids("/endpoint", "uid:down")[0]]
    assert shop.ids(f"{app}/endpoint", "-uid:down status:active") == [endpoint]


def test_attempts_of_a_message_and_endpoints_that_take_a_type(shop: FilteredShop) -> None:
    app, low = shop.client.path, shop.messages["low"]
    down = shop.ids(f"{app}/endpoint", "uid:down")
    (other,) = shop.ids(f"{app}/endpoint", "-uid:down")
    failed = shop.ids(f"{app}/attempt/endpoint/down", "status:failed")
    assert shop.ids(f"{app}/attempt/msg/{low}", "status:failed") == failed
    assert shop.ids(f"{app}/attempt/msg/{low}", "code:5xx", endpoint_id=other) == []
    assert shop.ids(f"{app}/attempt/msg/{shop.messages['paid']}", "status:failed") == []
    wrong = shop.client.http.get(f"{app}/attempt/msg/{low}", params={"filter": "stat:1"})
    assert wrong.json()["detail"][0]["length"] == 4

    assert shop.ids(f"{app}/endpoint", "takes:order.paid uid:down") == down
    assert shop.ids(f"{app}/endpoint", "-takes:order.paid,stock.low") == []


def test_a_filter_and_the_other_parameters_hold_together(shop: FilteredShop) -> None:
    client = shop.client
    path = f"{client.path}/msg"
    assert shop.ids(path, "-tag:test", event_types="order.paid,order.refunded") == [
        shop.messages["refunded"]
    ]
    query = {"state": "waiting", "endpoint_id": "down"}
    assert len(shop.ids(f"{client.path}/delivery", "type:stock.low", **query)) == 1
    assert shop.ids(f"{client.path}/delivery", "type:order.*", **query) == []


def test_a_mistake_is_marked_in_the_answer(shop: FilteredShop) -> None:
    client = shop.client
    for path, text, place, suggestion in [
        (f"{client.path}/msg", "tag:a stat:x", (6, 4), None),
        (f"{client.path}/delivery", "status:faild", (7, 5), "failed"),
        ("/transaction", "amount:1x", (7, 2), None),
        (f"{client.path}/delivery", "endpoint:dwn", (9, 3), "down"),
        ("/callback", "source:nowhere", (7, 7), None),
        ("/attempt", 'type:"x', (5, 2), None),
    ]:
        answer = client.http.get(path, params={"filter": text})
        assert answer.status_code == 422, text
        (problem,) = answer.json()["detail"]
        assert problem["loc"] == ["query", "filter"]
        assert (problem["position"], problem["length"]) == place, text
        assert problem["type"] == "filter"
        if suggestion is not None:
            assert problem["suggestion"] == suggestion


def test_a_key_of_one_application_sees_only_that(shop: FilteredShop, served: ServedGateway) -> None:
    other = ShopClient(served)
    key = served.make_key("read", app_id=other.app_id)
    with served.client(key) as bound:
        for path in ("/message", "/delivery", "/attempt", "/callback", "/transaction"):
            everything = bound.get(path, params={"filter": "since:1h"}).json()["data"]
            assert everything == []
        answer = bound.get("/message", params={"filter": f"app:{shop.client.app_id}"})
        assert answer.json()["data"] == []
        assert bound.get("/delivery", params={"filter": "endpoint:down"}).status_code == 422


def test_what_the_list_shows_is_what_is_sent_again(shop: FilteredShop) -> None:
    client = shop.client
    path = f"{client.path}/endpoint/{client.endpoint['id']}/bulk-replay"
    text = "type:order.* -tag:test"
    shown = shop.ids(f"{client.path}/delivery", f"{text} endpoint:{client.endpoint['id']}")
    assert len(shown) == 1
    begun = client.http.post(path, json={"since": "2020-01-01T00:00:00Z", "filter": text})
    assert begun.status_code == 202, begun.text
    client.served.do(client.served.gateway.tasks.wait_idle())
    task = client.http.get(f"/background-task/{begun.json()['id']}").json()
    assert (task["status"], task["data"]["count"]) == ("finished", 1)
    client.served.wait_for_attempts(shop.messages["refunded"], 2)
    wrong = {"since": "2020-01-01T00:00:00Z", "filter": text, "tag": "test"}
    assert client.http.post(path, json=wrong).status_code == 422
    callbacks = {"filter": "status:conflict", "dryRun": True}
    preview = client.http.post(f"{client.path}/callback/replay", json=callbacks)
    assert [one["callbackId"] for one in preview.json()["previews"]] == shop.ids(
        f"{client.path}/callback", "status:conflict"
    )


def completed(http: httpx.Client, **query: Any) -> tuple[int, int, list[str]]:
    answer = http.get("/filter/completion", params=query)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    return document["position"], document["length"], [one["text"] for one in document["items"]]


def test_a_filter_is_completed_where_the_cursor_stands(shop: FilteredShop) -> None:
    http, app = shop.client.http, shop.client.app_id
    assert completed(http, list="delivery", filter="type:x sta") == (7, 3, ["status:"])
    assert completed(http, list="delivery", filter="-co type:x", at=3) == (1, 2, ["code:"])
    assert completed(http, list="delivery", filter="status:failed,w")[1:] == (1, ["waiting"])
    assert completed(http, list="transaction", filter="status:on") == (7, 2, ["on_hold"])
    assert "order.paid" in completed(http, list="message", filter="type:order.p")[2]
    assert completed(http, list="attempt", filter="endpoint:do", app=app)[2] == ["down"]
    assert completed(http, list="callback", filter="source:p", app=app)[2] == ["psp"]
    assert completed(http, list="message", filter='tag:"a b",type:"')[2] == []
    assert "24h" in completed(http, list="message", filter="since:")[2]
    assert len(completed(http, list="conflict", filter="")[2]) > 5


# ── export ───────────────────────────────────────────────────────────────────────────────────────


def exported(http: httpx.Client, list_: str, **query: Any) -> str:
    answer = http.get(f"/export/{list_}", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    return answer.text


def test_an_export_has_exactly_the_rows_of_the_list(shop: FilteredShop) -> None:
    client = shop.client
    for list_, text in [
        ("message", "-type:transaction.*"),
        ("delivery", "status:succeeded,waiting"),
        ("attempt", "code:5xx"),
        ("callback", "source:psp"),
        ("transaction", "amount:>=1"),
        ("conflict", "status:open"),
    ]:
        shown = client.http.get(
            f"/{list_}", params={"filter": text, "app": client.app_id, "limit": 250}
        ).json()["data"]
        assert shown, list_
        query = {"filter": text, "app": client.app_id}
        lines = exported(client.http, list_, **query, format="ndjson").splitlines()
        stable = [json.loads(line) for line in lines]
        assert [row["id"] for row in stable] == [row["id"] for row in shown]
        assert stable[-1].keys() >= {"id", "appId"}
        if list_ in ("callback", "transaction", "conflict", "message"):
            assert stable == shown, list_
        rows = list(csv.DictReader(io.StringIO(exported(client.http, list_, **query))))
        assert [row["id"] for row in rows] == [row["id"] for row in shown]
        if list_ == "transaction":
            assert [row["amount"] for row in rows] == [row["amount"] for row in shown]
    entries = client.http.get("/audit", params={"app": client.app_id, "limit": 250}).json()["data"]
    assert sum(entry["action"] == "transaction.export" for entry in entries) == 2
    wrong = client.http.get("/export/message", params={"filter": "tag"})
    assert wrong.status_code == 422


def test_no_cell_of_an_export_is_a_formula(shop: FilteredShop) -> None:
    client = shop.client
    for number, text in enumerate(("=1+1", "+1", "-1+1", "@x", "\t=1", " =1", "-5.00")):
        body = {"eventType": "order.paid", "payload": {"n": number}, "eventId": f"{text} ".rstrip()}
        answer = client.http.post(f"{client.path}/msg", json=body)
        assert answer.status_code == 202, answer.text
    table = exported(client.http, "message", app=client.app_id, filter="data.n:>=0")
    cells = [row["eventId"] for row in csv.DictReader(io.StringIO(table))]
    assert len(cells) == 7
    assert {cell for cell in cells if not cell.startswith("'")} == {"-5.00"}


def test_a_long_export_is_sent_in_parts(shop: FilteredShop) -> None:
    client = ShopClient(shop.client.served)
    body = {"eventType": "order.paid", "payload": {"n": 1}}
    ids = [client.post("msg", body).json()["id"] for _ in range(205)]
    query = {"app": client.app_id, "format": "ndjson"}
    with client.http.stream("GET", "/export/message", params=query) as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        lines = list(answer.iter_lines())
    assert [json.loads(line)["id"] for line in lines] == ids[::-1]
    assert client.http.head("/export/message", params=query).status_code == 200


# ── search ───────────────────────────────────────────────────────────────────────────────────────


def test_a_search_finds_things_by_any_id_or_name(shop: FilteredShop, served: ServedGateway) -> None:
    client, http = shop.client, shop.client.http
    transaction = client.shown("u-1")
    delivery = shop.ids("/delivery", "endpoint:down", app=client.app_id)[0]
    attempt = shop.ids("/attempt", "code:500", app=client.app_id)[0]
    callback = shop.ids(f"{client.path}/callback", "status:conflict")[0]
    conflict = shop.ids(f"{client.path}/conflict", "status:open")[0]

    def kinds(text: str, asker: httpx.Client = http, **query: Any) -> list[tuple[str, str]]:
        answer = asker.get("/search", params={"q": text, **query})
        assert answer.status_code == 200, answer.text
        hits = answer.json()["data"]
        for hit in hits:
            assert asker.get(served.url + hit["href"]).status_code == 200, hit
        return [(hit["type"], hit["id"]) for hit in hits]

    for text, type_, id_ in [
        (client.app_id, "application", client.app_id),
        (shop.messages["paid"], "message", shop.messages["paid"]),
        ("evt-1", "message", shop.messages["paid"]),
        (delivery, "delivery", delivery),
        (attempt, "attempt", attempt),
        (transaction["id"], "transaction", transaction["id"]),
        ("u-1", "transaction", transaction["id"]),
        ("1001", "transaction", transaction["id"]),
        (callback, "callback", callback),
        (conflict, "conflict", conflict),
        (client.endpoint["id"], "endpoint", client.endpoint["id"]),
        (client.source["id"], "source", client.source["id"]),
        ("order.paid", "event-type", "order.paid"),
    ]:
        assert (type_, id_) in kinds(text), text
        assert (type_, id_) in kinds(text, app=client.app_id), text
    assert kinds("nothing like it") == []
    assert [kind for kind, _ in kinds("ada", app=client.app_id)] == ["transaction"]


def test_a_search_finds_only_what_the_key_may_see(
    shop: FilteredShop, served: ServedGateway
) -> None:
    def kinds(text: str, asker: httpx.Client) -> list[str]:
        hits = asker.get("/search", params={"q": text}).json()["data"]
        return [hit["type"] for hit in hits]

    other = ShopClient(served)
    with served.client(served.make_key("read", app_id=other.app_id)) as bound:
        for text in (shop.messages["paid"], "evt-1", "1001", shop.client.app_id):
            assert kinds(text, bound) == []
    few = served.make_key("search:read", "message:read", app_id=shop.client.app_id)
    with served.client(few) as bound:
        assert kinds("evt-1", bound) == ["message"]
        assert kinds("1001", bound) == []
