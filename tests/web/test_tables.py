"""Exports and imports of the shop's records: every cell comes back as it was."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import msgspec
import pytest

from tests.money.payment_harness import APPROVED, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import BEGIN, ShopClient, problem
from tillbell.clock import DAY
from tillbell.model.exports import ExportSchedule
from tillbell.model.imports import ImportPart
from tillbell.model.records import Task, TaskStatus

HOSTILE = (
    *("=1+1", "+381 64 1", "-5", "@x", "\tx", "\rx", "|x", "%x", "＝1", " x ", "'x", "''", "'"),
    *("a\nb", "a\r\nb", 'say "hi"', "a,b;c\td", "007", "1e5", "10.50", "1-2", "SEP-1", "12:30"),
    *(
        "TRUE",
        "null",
        "12345678901234567890",
        "\u202eevil",
        "šđčćž",
        "مرحبا",
        "日本",
        "😀",
        "sep=;",
    ),
)


@pytest.fixture
def shop(served: ServedGateway) -> ShopClient:
    return ShopClient(served)


def table(shop: ShopClient, kind: str, **query: Any) -> str:
    answer = shop.http.get(f"{shop.path}/export/{kind}", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="{kind}.csv"'
    return answer.content.decode()


def imported(shop: ShopClient, kind: str, file: str | bytes, **query: Any) -> httpx.Response:
    content = file if isinstance(file, bytes) else file.encode()
    headers = {"content-type": "text/csv"}
    return shop.http.post(
        f"{shop.path}/import/{kind}", content=content, params=query, headers=headers
    )


def report(shop: ShopClient, kind: str, file: str | bytes, **query: Any) -> dict[str, Any]:
    answer = imported(shop, kind, file, **query)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def counts(shown: dict[str, Any]) -> tuple[int, int, int, int]:
    return shown["created"], shown["changed"], shown["unchanged"], shown["failed"]


def messages(shop: ShopClient) -> list[str]:
    return [m["eventType"] for m in shop.get("msg", limit=250)["data"]][::-1]


def fill(shop: ShopClient) -> None:
    """Put records with a hostile text in every member that takes one."""
    for number, text in enumerate(HOSTILE):
        line = {"productId": text, "quantity": number + 1, "unitPrice": "0.10", "currency": "EUR"}
        address = {"line1": text, "city": text, "country": "RS"}
        buyer = {"id": text, "name": text, "email": text, "phoneNumber": text}
        for path, body in {
            f"order/{number:03}": {
                "number": text,
                "amount": "1234567890.12",
                "currency": "EUR",
                "customer": buyer,
                "shippingAddress": address,
                "metadata": {text: [None, text]},
                "items": [line, {"productName": text, "isBumpProduct": True}, {}][: number % 4],
            },
            f"product/p-{number}": {
                "name": text,
                "sku": text,
                "description": text if number else "",
                "price": "0.100000000000000001",
                "currency": "ETH",
                "stock": -number,
            },
            f"customer/1e{number}": {
                "name": text,
                "tags": [text, f"{text},"],
                "address": address,
                "consent": {"isGiven": number % 2 == 0, "source": text, "at": None},
                "createdAt": "2026-05-01T10:30:00+02:00",
            },
        }.items():
            answer = shop.http.put(f"{shop.path}/{path}", json=body)
            assert answer.status_code == 201, answer.text


def test_what_is_exported_and_imported_again_has_no_difference(
    shop: ShopClient, served: ServedGateway
) -> None:
    fill(shop)
    other = ShopClient(served)
    before = messages(shop)
    for kind in ("orders", "products", "customers"):
        file = table(shop, kind)
        rows = list(csv.reader(io.StringIO(file, newline="")))
        for text in (cell for row in rows[1:] for cell in row):
            assert not text.lstrip(" ").startswith(tuple("=+-@\t\r|%＝")) or _is_number(text)
        again = report(shop, kind, file)
        assert counts(again) == (0, 0, len(HOSTILE), 0), again
        assert counts(report(other, kind, file, dryRun=True)) == (len(HOSTILE), 0, 0, 0)
        assert table(other, kind).count("\n") == 1
        created = report(other, kind, file)
        assert counts(created) == (len(HOSTILE), 0, 0, 0), created
        assert (created["isWritten"], created["rows"]) == (True, len(rows) - 1)
        for theirs, ours in zip(_members(table(other, kind)), _members(file), strict=True):
            assert theirs.items() ^ ours.items() == set()
        assert counts(report(other, kind, file)) == (0, 0, len(HOSTILE), 0)
        one, two = (
            s.get(kind.removesuffix("s"), limit=250, order="ascending")["data"]
            for s in (shop, other)
        )
        assert [_own(record) for record in two] == [_own(record) for record in one]
    assert messages(shop) == before


def _is_number(text: str) -> bool:
    return text.replace("-", "", 1).replace(".", "", 1).isdecimal()


def _members(file: str) -> list[dict[str, str]]:
    told = {"id", "sourceId", "version", "updatedAt"}
    rows = csv.DictReader(io.StringIO(file, newline=""))
    return [{name: cell for name, cell in row.items() if name not in told} for row in rows]


def _own(record: dict[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in record.items() if n not in {"id", "version", "updatedAt", "createdAt"}}


def test_a_customer_is_exported_with_what_they_ordered(shop: ShopClient) -> None:
    priced: dict[str, Any] = {"currency": "EUR", "createdAt": "2026-05-02T10:30:00Z"}
    ada, email = {"customer": {"id": "ada", "email": "Ada@example.com"}}, "ada@example.com"
    orders: dict[str, dict[str, Any]] = {
        "o-1": {**priced, **ada, "amount": "10.10", "status": "paid"},
        "o-2": {**priced, **ada, "amount": "0.20", "status": "refunded"},
        "o-3": {**priced, **ada, "amount": "5.00", "status": "pending", "currency": "BTC"},
        "o-4": {**priced, "amount": "1500", "status": "paid", "customer": {"email": email}},
        "o-5": {**priced, "amount": "7.00", "status": "paid", "customer": {"email": "x@y.example"}},
    }
    orders["o-2"]["createdAt"] = "2026-05-01T10:30:00Z"
    orders["o-4"] |= {"currency": "JPY", "createdAt": "2026-06-01T10:30:00Z"}
    for uid, body in {**orders, "o-6": {**priced, "amount": "9.00", **ada}}.items():
        assert shop.http.put(f"{shop.path}/order/{uid}", json=body).status_code == 201
    paid = shop.post("transaction", {**BEGIN, "amount": "4.00", "orderId": "o-6", "userId": "ada"})
    shop.tell(news(paid.json()["id"], APPROVED, amount="4.00"))
    for uid, address in {"ada": "ADA@example.com", "bob": "bob@example.com"}.items():
        answer = shop.http.put(f"{shop.path}/customer/{uid}", json={"email": address})
        assert answer.status_code == 201, answer.text

    file = table(shop, "customers")
    names = ("orderCount", "firstOrderAt", "lastOrderAt", "paidAmounts")
    rows = [[row[name] for name in names] for row in csv.DictReader(io.StringIO(file))]
    first, last = "2026-05-01T10:30:00Z", "2026-06-01T10:30:00Z"
    assert rows == [["5", first, last, "14.30 EUR, 1500 JPY"], ["0", "", "", ""]]
    assert counts(report(shop, "customers", file)) == (0, 0, 2, 0)
    answer = shop.http.get(f"{shop.path}/export/customers", params={"format": "json"})
    shown = [[doc[name] for name in names] for doc in answer.json()]
    assert shown == [[5, first, last, ["14.30 EUR", "1500 JPY"]], [0, None, None, None]]


def test_a_spreadsheet_changes_what_was_edited_alone(shop: ShopClient) -> None:
    for uid, stock in (("p1", 3), ("p2", 4), ("p3", 5)):
        body = {"name": uid, "sku": f"S-{uid}", "stock": stock, "price": "9.90", "currency": "EUR"}
        shop.http.put(f"{shop.path}/product/{uid}", json=body)
    rows = list(csv.reader(io.StringIO(table(shop, "products"), newline="")))
    stock, price = rows[0].index("stock"), rows[0].index("price")
    rows[1][stock] = "0"
    for row in rows[1:]:
        row[price] = "9,9"  # as a spreadsheet with decimal commas writes 9.90
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows(rows)
    excel = b"\xef\xbb\xbf" + text.getvalue().encode()
    heard = len(messages(shop))
    assert counts(report(shop, "products", excel)) == (0, 1, 2, 0)
    assert messages(shop)[heard:] == ["product.stock"]
    assert shop.get("product/p1")["stock"] == 0
    by_sku = "SKU\tStock\tprice\r\nS-p2\t7\t1\r\nS-p9\t1\t1\r\n"
    wrong = report(shop, "stock", by_sku.encode("utf-16"))
    assert counts(wrong) == (0, 0, 0, 1)
    assert wrong["problems"] == [{"row": 3, "column": "sku", "text": "there is no such product"}]
    assert (wrong["isWritten"], shop.get("product/p2")["stock"]) == (False, 4)
    assert counts(report(shop, "stock", by_sku.encode("utf-16"), onError="skip")) == (0, 1, 0, 1)
    p2 = shop.get("product/p2")
    assert (p2["stock"], p2["price"]) == (7, "9.90")


def test_the_encoding_that_a_request_names_is_read(shop: ShopClient) -> None:
    def sent(content_type: str, **query: str) -> httpx.Response:
        content = "uid,name\np-1,Größe\n".encode("windows-1252")
        headers = {"content-type": content_type}
        path = f"{shop.path}/import/products"
        return shop.http.post(path, content=content, headers=headers, params=query)

    named = sent('text/csv; header=present; charset="Windows-1252"')
    assert named.json()["created"] == 1
    assert shop.get("product/p-1")["name"] == "Größe"
    assert sent("text/csv; charset=utf-8", encoding="windows-1252").json()["unchanged"] == 1
    assert "windows-1252" in sent("text/csv; charset=utf-8").json()["detail"][0]["msg"]
    assert problem(sent("text/csv; charset=klingon"))[0] == "header.content-type"


def test_a_file_that_is_wrong_is_told_where(shop: ShopClient) -> None:
    for file, loc, text in (
        ("", "body.1", "the file is empty"),
        ("uid,nmae\n", "body.1.nmae", "did you mean `name`?"),
        ("uid,name,Name\n", "body.1.name", "is there 2 times"),
        ("name\nx\n", "body.1.uid", "it says which record a row is"),
        (b"uid,name\na,\xe9\n", "body.2", "0xE9 is not UTF-8"),
        (b"u\0i\0d\0", "body.1", "UTF-16 with its mark"),
        ('uid,name\na,"x"y\n', "body.2", "cannot be read"),
    ):
        answer = imported(shop, "customers", file)
        assert answer.status_code == 422, file
        (problem,) = answer.json()["detail"]
        assert ".".join(problem["loc"]) == loc
        assert text in problem["msg"]
    answer = imported(shop, "customers", b"uid,name\na,\xe9\n", encoding="windows-1252")
    assert answer.status_code == 200
    assert shop.get("customer/a")["name"] == "é"
    file = "uid,amount,currency,status,paidAt,line.quantity,customer.id\n" + "\n".join(
        (
            *("a,1.005,EUR,,,,", "b,1,EURO,,,,", "c,1,EUR,new,,,", "d,1,EUR,,soon,,"),
            *("e,1,EUR,,,0,", "f,,EUR,,,,", "g,1,EUR,,,,", "g,1,EUR,,,1,2", "h,1", "a b,1,EUR,,,,"),
            *(",1,EUR,,,,", "g2,1,EUR,,,,", "g,1,EUR,,,,"),
        )
    )
    shown = report(shop, "orders", file, onError="skip")
    assert [(p["row"], p["column"]) for p in sorted(shown["problems"], key=lambda p: p["row"])] == [
        *((2, "amount"), (3, "currency"), (4, "status"), (5, "paidAt"), (6, "line.quantity")),
        *((7, "amount"), (9, "customer.id"), (10, None), (11, "uid"), (14, None)),
    ], shown["problems"]
    assert (shown["created"], shown["failed"]) == (1, 12)


def test_a_large_file_is_imported_by_a_task(shop: ShopClient) -> None:
    rows = [f"c{number},Name {number},a@b.example" for number in range(1_100)]
    file = "\r\n".join(["uid,name,email", *rows, ""])
    wrong = imported(shop, "customers", f"{file}bad uid,x,y\r\n")
    assert wrong.status_code == 202, wrong.text
    shop.served.do(shop.served.gateway.tasks.wait_idle())
    task = shop.http.get(f"/background-task/{wrong.json()['id']}").json()
    assert (task["status"], task["data"]["isWritten"]) == ("finished", False), task
    assert (task["data"]["created"], task["data"]["failed"], task["data"]["rows"]) == (0, 1, 1_101)
    assert task["data"]["problems"][0]["row"] == 1_102
    task = imported(shop, "customers", file).json()
    shop.served.do(shop.served.gateway.tasks.wait_idle())
    data = shop.http.get(f"/background-task/{task['id']}").json()["data"]
    assert (data["created"], data["failed"], data["count"]) == (1_100, 0, 2_200)
    assert table(shop, "customers").count("\r\n") == 1_101
    task = imported(shop, "customers", file, onError="skip").json()
    shop.served.do(shop.served.gateway.tasks.wait_idle())
    data = shop.http.get(f"/background-task/{task['id']}").json()["data"]
    assert (data["created"], data["changed"], data["unchanged"]) == (0, 0, 1_100)
    broken = imported(shop, "customers", f"{file}x,y\udcff".encode("utf-8", "surrogateescape"))
    assert broken.status_code == 422
    gateway, id_ = shop.served.gateway, task["id"]
    canceled = shop.served.do(gateway.database.get(Task, id_, shop.app_id))
    assert canceled is not None
    part = ImportPart(id=f"{canceled.arguments['file']}-000004", scope=shop.app_id, rows=())
    shop.served.do(gateway.config_cache.add(part))
    assert canceled.arguments["parts"] == 5

    def cancel(stored: Task) -> Task:
        return msgspec.structs.replace(stored, status=TaskStatus.CANCELED)

    shop.served.do(gateway.config_cache.change(Task, shop.app_id, id_, cancel))
    shop.served.do(gateway.importer.remove_ended())
    assert shop.served.do(gateway.database.list(ImportPart, shop.app_id)) == []


def test_exports_take_the_filter_and_all_formats(shop: ShopClient) -> None:
    fill(shop)
    texts = shop.http.get(f"{shop.path}/export/orders", params={"format": "json"})
    orders = texts.json()
    assert [order["number"] for order in orders] == list(HOSTILE)
    lines = shop.http.get(f"{shop.path}/export/orders", params={"format": "ndjson"}).text
    assert [json.loads(line) for line in lines.split("\n")[:-1]] == orders
    assert orders[1]["items"][0]["quantity"] == 2
    for kind, text, expected in (
        ("orders", "number:007", 1),
        ("orders", "payment:pending -number:007", len(HOSTILE) - 1),
        ("products", "stock:<5", len(HOSTILE)),
        ("products", "data.currency:EUR", 0),
        ("customers", "consent:given", (len(HOSTILE) + 1) // 2),
        ("customers", "since:1h", len(HOSTILE)),
        ("customers", "until:1h", 0),
    ):
        query = {"filter": text, "format": "json"}
        if "stock" in text:  # a stock below zero is none that a filter can name
            expected = 1
        rows = shop.http.get(f"{shop.path}/export/{kind}", params=query).json()
        assert len(rows) == expected, (kind, text)
    wrong = shop.http.get(f"{shop.path}/export/orders", params={"filter": "state:paid"})
    assert wrong.status_code == 422
    assert "status" in wrong.text
    marked = shop.http.get(f"{shop.path}/export/orders", params={"bom": True}).content
    assert marked.startswith(b"\xef\xbb\xbfuid,")
    for kind in ("subscriptions", "shipments", "messages", "deliveries", "attempts", "callbacks"):
        assert shop.http.get(f"{shop.path}/export/{kind}").status_code == 200
    acts = shop.get("audit", limit=250)["data"]
    assert {act["action"] for act in acts} >= {"order.export", "customer.export"}


def here(shop: ShopClient, url: str) -> str:
    """Return a URL of the gateway at the port that the test has."""
    return shop.served.url + httpx.URL(url).path


def test_a_spreadsheet_gets_one_export_by_a_link(shop: ShopClient) -> None:
    fill(shop)
    body = {"name": "Sheet", "kind": "customers", "filter": "consent:given"}
    link = shop.made("export-link", body)
    url = here(shop, link["url"])
    with shop.served.client(None) as stranger:
        answer = stranger.get(url)
        query = {"filter": "consent:given"}
        assert (answer.status_code, answer.text) == (200, table(shop, "customers", **query))
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        (shown,) = shop.get("export-link")["data"]
        assert shown["lastUsedAt"] is not None
        assert shown.keys() == link.keys() - {"url"}
        for wrong in (url.replace(link["id"], "exl_0"), f"{url[:-20]}/x.csv"):
            assert stranger.get(wrong).status_code == 404
        assert stranger.post(url).status_code == 405
        acts = shop.get("audit", limit=250)["data"]
        assert any(a["action"] == "customer.export" and link["id"] in a.values() for a in acts)
        assert shop.http.delete(f"{shop.path}/export-link/{link['id']}").status_code == 204
        assert stranger.get(url).status_code == 404
    narrow = shop.served.client(shop.served.make_key("export-link:write", app_id=shop.app_id))
    with narrow:
        refused = narrow.post(f"{shop.served.url}/api/v1{shop.path}/export-link", json=body)
        assert refused.status_code == 403


def test_a_scheduled_export_is_made_once_for_each_time(shop: ShopClient) -> None:
    gateway = shop.served.gateway
    shop.http.put(f"{shop.path}/customer/c1", json={"name": "Ada"})
    each = {"name": "Daily", "kind": "customers"}
    file = shop.made("export-schedule", {**each, "every": "hour", "target": "folder"})
    message = shop.made("export-schedule", {**each, "every": "hour", "target": "message"})
    for id_ in (file["id"], message["id"]):  # as if they had been there for a day
        shop.served.do(
            gateway.config_cache.change(
                ExportSchedule,
                shop.app_id,
                id_,
                lambda stored: msgspec.structs.replace(stored, created_at=stored.created_at - DAY),
            )
        )
    for _ in range(2):
        shop.served.do(gateway.scheduled_exports.run())
    shown = {s["id"]: s for s in shop.get("export-schedule")["data"]}
    assert shown[file["id"]]["lastError"] is None, shown
    path = gateway.settings.data_dir / shown[file["id"]]["lastFile"]
    assert path.read_bytes().decode() == table(shop, "customers")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    sent = shop.get("msg", event_types="export.ready")["data"]
    assert [m["payload"]["data"]["scheduleId"] for m in sent] == [message["id"]]
    with shop.served.client(None) as stranger:
        assert stranger.get(here(shop, sent[0]["payload"]["data"]["url"])).text == table(
            shop, "customers"
        )
    for id_ in shown:
        assert shop.http.delete(f"{shop.path}/export-schedule/{id_}").status_code == 204
