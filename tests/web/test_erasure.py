"""What was expunged or erased is in no file any more, once the file is written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import psycopg
import pytest

from tests import stores
from tests.money.payment_harness import APPROVED, FAILED, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient
from tillbell.clock import HOUR
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import Misconfigured
from tillbell.model.alerts import AlertLine, AlertQueue
from tillbell.model.callbacks import OrderNotice, ProviderAmount, RecordNotice
from tillbell.model.emails import Email, Suppression
from tillbell.model.messages import Message
from tillbell.model.records import Task, TaskStatus
from tillbell.storage.ports.outbound import Publication
from tillbell.storage.sqlite.compact import compact

PERSON = "Anastasija-Petrović-4711"
CARD = "4111111111111111"


@pytest.mark.sqlite
def test_nothing_of_an_expunged_payload_is_left_in_the_files(tmp_path: Path) -> None:
    with ServedGateway(tmp_path) as served:
        app_id = served.http.post("/app", json={"name": "shop"}).json()["id"]
        served.http.post(f"/app/{app_id}/endpoint", json={"url": served.receiver.url("/echo")})
        payload = {"name": PERSON, "note": f"paid with {CARD}"}
        body = {"eventType": "order.paid", "payload": payload}
        made = served.http.post(f"/app/{app_id}/msg", json=body).json()
        served.wait_for_attempts(made["id"])
        assert _found(tmp_path), "it was there"

        task = served.http.post(f"/app/{app_id}/msg/expunge-all-contents").json()
        served.wait_for_task(task["id"])
        assert served.http.get(f"/app/{app_id}/msg/{made['id']}").json()["id"] == made["id"]
        with pytest.raises(Misconfigured, match="Another process"):
            _write_anew(tmp_path)
    mode = (tmp_path / stores.FILE).stat().st_mode
    _write_anew(tmp_path)
    assert (tmp_path / stores.FILE).stat().st_mode == mode
    assert not list(tmp_path.glob("*.part"))
    with ServedGateway(tmp_path) as served:
        assert served.http.get(f"/app/{app_id}/msg/{made['id']}").json()["id"] == made["id"]

    assert _found(tmp_path) == []


def _write_anew(folder: Path) -> None:
    compact(folder / stores.FILE)


def _found(folder: Path, wanted: tuple[str, ...] = (PERSON, CARD)) -> list[str]:
    """Name the files that hold the person or the card in clear."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if any(one.encode() in path.read_bytes() for one in wanted)]


# ── a customer ───────────────────────────────────────────────────────────────────────────────────

ADA: dict[str, Any] = {
    "id": "cus-ada-4711",
    "name": PERSON,
    "email": "Anastasija.P@Example.com",
    "phoneNumber": "+381641234711",
}
TRACES = (PERSON, ADA["email"], ADA["email"].lower(), ADA["phoneNumber"][1:], "Knez Mihailova 4711")
BOB = {"id": "cus-bob", "name": "Bob", "email": "bob@example.com", "phoneNumber": "+15550100"}


def _live(shop: ShopClient, buyer: dict[str, Any], order: str) -> str:
    """Let a customer buy, pay and be written to; return the id of a message about it."""
    profile = {name: value for name, value in buyer.items() if name != "id"}
    street = "Knez Mihailova 4711" if buyer is ADA else "Elm Street 1"
    address = {"line1": street, "city": "Beograd", "country": "RS"}
    priced = {"amount": "10.00", "currency": "EUR", "customer": buyer}
    puts = {
        f"customer/{buyer['id']}": {**profile, "address": address},
        f"order/{order}": {**priced, "status": "pending", "shippingAddress": address},
        f"subscription/box-{order}": {**priced, "status": "active", "interval": "month"},
    }
    for path, body in puts.items():
        assert shop.http.put(f"{shop.path}/{path}", json=body).status_code == 201
    _pay(shop, buyer, order, street)
    told = {"id": f"w-{order}", "amount": "10.00", "currency": "EUR", "customer": buyer}
    shop.tell(OrderNotice("order.created", told))
    payload = {"note": f"\u017d for {buyer['name']}", "order": {"id": order}}
    phone = buyer["phoneNumber"].lstrip("+")
    labels: dict[str, Any] = {
        "channels": [f"customer:{buyer['id']}"],
        "tags": ["new", f"tel:{phone}"],
    }
    labels |= {"orderKey": buyer["id"], "eventId": f"{order}.{phone}"}
    sent = shop.post("msg", {"eventType": "order.paid", "payload": payload, **labels}).json()["id"]
    shop.served.wait_for_attempts(sent, 2)
    named = {"eventType": "order.paid", "payload": {"note": f"call {street}"}}
    shop.served.wait_for_attempts(shop.post("msg", named).json()["id"], 2)
    mail = Email(
        id=f"eml_{order}", scope=shop.app_id, email_id="m", status="sent", to=(buyer["email"],)
    )
    block = Suppression(
        id=f"sup_{order}", scope=shop.app_id, uid=buyer["email"].lower(), reason="bounced"
    )
    for record in (mail, block):
        shop.served.do(shop.served.gateway.config_cache.add(record))
    _copy(shop, buyer, order)
    _ask(shop, buyer)
    return str(sent)


def _pay(shop: ShopClient, buyer: dict[str, Any], order: str, street: str) -> None:
    """Let a customer pay; what the provider and people say of it names the customer."""
    payment = {"userId": buyer["id"], "orderId": order, "metadata": {"payer": buyer["email"]}}
    shop.begin(uid=f"pay-{order}", amount="10.00", **payment)
    said = f"Paid by {buyer['name']}, {street}"
    paid = ProviderAmount("10.00", "EUR")
    shop.tell(news(f"pay-{order}", APPROVED, amount=paid, message=said, details={"payer": said}))
    shop.tell(news(f"pay-{order}", FAILED, message=said))
    (conflict,) = shop.get("conflict", transaction=f"pay-{order}")["data"]
    kept = shop.post(f"conflict/{conflict['id']}/keep", {"reason": f"{buyer['email']} has called"})
    assert kept.status_code == 200, kept.text


def _copy(shop: ShopClient, buyer: dict[str, Any], order: str) -> None:
    """Let the customer stand in a request to an inbox and in the file of a scheduled export."""
    inbox = shop.http.post("/inbox", json={"name": order, "appId": shop.app_id}).json()
    url = f"{shop.served.url}{urlsplit(inbox['url']).path}"
    sent = httpx.post(url, json={"buyer": buyer["email"]})
    assert sent.status_code == 200, sent.text
    stray = shop.http.post("/inbox", json={"name": f"of nobody {order}"}).json()
    form = {"payer_email": buyer["email"]}
    httpx.post(f"{shop.served.url}{urlsplit(stray['url']).path}", data=form)
    folder = shop.served.gateway.scheduled_exports.folder / shop.app_id
    folder.mkdir(parents=True, exist_ok=True)
    row = f"{buyer['id']},{buyer['name']},{buyer['email']}\r\n"
    (folder / f"{order}.csv").write_text(f"uid,name,email\r\n{row}")


def _ask(shop: ShopClient, buyer: dict[str, Any]) -> None:
    """Let people look for the customer: the audit log, links, tasks and mails name them."""
    wanted = f"email:{buyer['email']}"
    exported = shop.http.get(f"{shop.path}/export/orders", params={"filter": wanted})
    assert exported.status_code == 200, exported.text
    export = {"kind": "orders", "name": f"of {buyer['name']}", "filter": wanted}
    link = shop.made("export-link", export)
    assert httpx.get(f"{shop.served.url}{urlsplit(link['url']).path}").status_code == 200
    shop.made("export-schedule", {**export, "every": "day", "target": "folder"})
    about = {"description": f"for {buyer['email']}", "url": shop.served.receiver.url("/of")}
    endpoint = shop.made("endpoint", about)
    shop.http.delete(f"{shop.path}/endpoint/{endpoint['id']}")
    shop.served.do(_tell_operator(shop, buyer))
    problem = {"row": 2, "column": "email", "text": f"{buyer['email']!r} is in the file already"}
    report = Task(
        id=f"qtask_{buyer['id']}",
        scope=shop.app_id,
        kind="import",
        status=TaskStatus.FINISHED,
        arguments={"kind": "customers"},
        result={"count": 1, "problems": [problem]},
    )
    line = AlertLine(at=1, title="A new order", text=f"{buyer['name']} has ordered")
    queue = AlertQueue(id=f"alt_{buyer['id']}", read_until=1, lines=(line,))
    for record in (report, queue):
        shop.served.do(shop.served.gateway.config_cache.add(record))


async def _tell_operator(shop: ShopClient, buyer: dict[str, Any]) -> None:
    """Publish an operational webhook about a message whose event id names the customer."""
    told = {"appId": shop.app_id, "msgEventId": f"o.{buyer['phoneNumber'].lstrip('+')}"}
    body = msgspec.json.encode({"type": "message.attempt.exhausted", "data": told})
    id_ = f"msg_{buyer['id']:0<26}"
    message = Message(id_, OPERATIONAL, "message.attempt.exhausted", 1)
    await shop.served.gateway.database.publish(Publication(message, {"": body}, []))


def _copies(shop: ShopClient) -> list[int]:
    """Return how many requests each inbox has, and how many exported files there are."""
    inboxes = shop.http.get("/inbox").json()["data"]
    lists = [shop.http.get(f"/inbox/{each['id']}/request").json()["data"] for each in inboxes]
    counts = [len(requests) for requests in lists]
    folder = shop.served.gateway.scheduled_exports.folder / shop.app_id
    return [*sorted(counts), len(list(folder.iterdir()))]


def _rows(folder: Path) -> str:
    """Return everything that the tables of PostgreSQL hold, as text."""
    texts = []
    with psycopg.connect(stores.settings_of(folder)["database_url"]) as connection:
        tables = connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid ="
            " c.relnamespace WHERE relkind = 'r' AND nspname NOT LIKE 'pg\\_%'"
            " AND nspname <> 'information_schema'"
        ).fetchall()
        for (table,) in tables:
            for row in connection.execute(f"SELECT * FROM {table}".encode()).fetchall():
                texts += [
                    each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each)
                    for each in row
                ]
    return "\n".join(texts)


def _left(folder: Path) -> list[str]:
    if not stores.IS_POSTGRES:
        return _found(folder, TRACES)
    rows = _rows(folder)
    return [trace for trace in TRACES if trace in rows]


def test_nothing_of_an_erased_customer_is_left(tmp_path: Path) -> None:
    with ServedGateway(tmp_path) as served:
        shop = ShopClient(served)
        echo = served.receiver.url("/echo")
        shop.made("endpoint", {"url": echo})
        about_ada, about_bob = _live(shop, ADA, "o-4711"), _live(shop, BOB, "o-4712")
        assert _left(tmp_path), "it was there"
        assert _copies(shop) == [1, 1, 1, 1, 2]

        begun = shop.post(f"customer/{ADA['id']}/erase", None)
        assert begun.status_code == 202, begun.text
        done = served.wait_for_task(begun.json()["id"])
        assert "search" not in done["data"]
        counted = {"records", "payloads", "callbacks", "copies", "auditEntries"}
        assert set(done["data"]["counts"]) == counted
        assert done["data"]["mentionedIn"] == []
        assert all(done["data"]["counts"].values())
        _check_rest(shop, about_ada, about_bob)
        _check_late_news(shop)
        assert _copies(shop) == [0, 0, 1, 1, 1]
        assert _found(tmp_path / "exports", TRACES) == []
        if stores.IS_POSTGRES:
            assert _left(tmp_path) == []
    if not stores.IS_POSTGRES:
        _write_anew(tmp_path)
        assert _left(tmp_path) == []


def _check_rest(shop: ShopClient, about_ada: str, about_bob: str) -> None:
    """Money stays without the person, and other customers stay as they are."""
    assert shop.http.get(f"{shop.path}/customer/{ADA['id']}").status_code == 404
    again = shop.post(f"customer/{ADA['id']}/erase", None)
    assert again.status_code == 404
    order = shop.get("order/o-4711")
    assert (order["customer"], order["shippingAddress"]) == (None, None)
    assert (order["paidAmount"], order["paymentStatus"]) == ("10.00", "paid")
    paid = shop.get("transaction/pay-o-4711")
    assert (paid["status"], paid["amount"], paid["userId"]) == ("Approved", "10.00", None)
    assert paid["metadata"] == {}
    assert shop.get(f"msg/{about_ada}")["payload"] == {"expired": True}
    deleted = shop.get("msg", event_types="customer.deleted")["data"]
    assert [each["payload"]["data"] for each in deleted] == [{"id": ADA["id"]}]

    assert "Bob" in shop.get(f"msg/{about_bob}")["payload"]["note"]
    assert shop.get("order/o-4712")["customer"]["email"] == BOB["email"]
    assert shop.get("transaction/pay-o-4712")["userId"] == BOB["id"]
    assert [each["address"] for each in shop.get("suppression")["data"]] == [BOB["email"]]
    _check_texts(shop)
    trail = [each for each in shop.get("audit")["data"] if each["action"] == "customer.erase"]
    assert len(trail) == 1


def _check_late_news(shop: ShopClient) -> None:
    """A callback that comes later brings the person back neither to the order nor as a customer."""
    later = shop.served.gateway.clock.now() + HOUR
    told = {"id": "w-o-4711", "amount": "12.00", "customer": ADA, "currency": "EUR"}
    shop.tell(OrderNotice("order.updated", told, occurred_at=later))
    shop.tell(RecordNotice("customer", ADA, occurred_at=later))
    order = shop.get("order/w-o-4711")
    assert (order["amount"], order["customer"]) == ("12.00", None)
    assert shop.http.get(f"{shop.path}/customer/{ADA['id']}").status_code == 404
    (message,) = shop.get("msg", event_types="order.updated", limit=1)["data"]
    assert message["payload"]["data"]["id"] == "w-o-4711"
    assert "customer" not in message["payload"]["data"]
    body = {"also": [ADA["email"]]}
    again = shop.post(f"customer/{ADA['id']}/erase", body)
    done = shop.served.wait_for_task(again.json()["id"])
    assert done["data"]["counts"]["callbacks"] == 2


def _check_texts(shop: ShopClient) -> None:
    """What only tells of money stays; what names the person is erased, and is seen to be so."""
    steps = shop.get("transaction/pay-o-4711")["transitions"]
    assert [(step["status"], step["message"]) for step in steps][1:] == [("Approved", None)]
    assert steps[1]["details"] == {}
    labelled = [each for each in shop.get("msg", event_types="order.paid")["data"] if each["tags"]]
    assert [(each["eventId"], each["channels"]) for each in labelled] == [
        ("o-4712.15550100", ["customer:cus-bob"]),
        (None, ["(erased)"]),
    ]
    bobs = shop.get("transaction/pay-o-4712")["transitions"]
    assert "Bob" in bobs[1]["message"]
    assert "Bob" in bobs[1]["details"]["payer"]
    (conflict,) = shop.get("conflict", transaction="pay-o-4711")["data"]
    assert conflict["resolutionReason"] == "(erased)"
    proof = shop.http.get("/audit/verify").json()
    assert proof["whole"] is True
    erased = [each for each in shop.get("audit", limit=250)["data"] if each["redacted"]]
    assert proof["redacted"] == len(erased) > 3
    exports = [each for each in erased if each["action"].endswith("export")]
    assert {each["changes"]["filter"]["after"] for each in exports} == {"(erased)"}
    assert "(erased)" in {each["actorName"] for each in exports}
    for path in ("export-link", "export-schedule"):
        assert [each["name"] for each in shop.get(path)["data"]] == ["of Bob"]
