"""Orders, products, customers, subscriptions and shipments: whole lives over the API."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.money.payment_harness import APPROVED, FAILED, linked, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient, problem
from tillbell.clock import DAY, HOUR, Micros, iso
from tillbell.model.callbacks import (
    Notice,
    OrderNotice,
    ProviderAmount,
    RecordNotice,
    ShipmentNotice,
)
from tillbell.model.transactions import TransactionKind

ORDER: dict[str, Any] = {
    "number": "ORD-1001",
    "amount": "149.9",
    "currency": "EUR",
    "createdAt": "2026-05-01T10:30:00+02:00",
    "affiliateId": "aff-7",
    "customer": {"id": "cus-1", "name": "Ada Lovelace", "email": "Ada@Example.com"},
    "shippingAddress": {"line1": "Avenida 25 de Setembro 420", "city": "Maputo", "country": "MZ"},
    "items": [
        {"productId": "p1", "productName": "Course", "unitPrice": "100", "totalPrice": "100.00"},
        {"productId": "p2", "quantity": 2, "totalPrice": "49.90", "isBumpProduct": True},
    ],
    "metadata": {"campaign": "spring"},
}
REFUND = TransactionKind.REFUND


@pytest.fixture
def shop(served: ServedGateway) -> ShopClient:
    return ShopClient(served)


class Records:
    """The records of a shop, and what was published since it was last asked."""

    def __init__(self, shop: ShopClient) -> None:
        self.shop = shop
        self._heard: set[str] = set()

    def put(self, path: str, body: Any, status: int = 200) -> dict[str, Any]:
        answer = self.shop.http.put(f"{self.shop.path}/{path}", json=body)
        assert answer.status_code == status, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def patch(self, path: str, body: Any) -> dict[str, Any]:
        answer = self.shop.http.patch(f"{self.shop.path}/{path}", json=body)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def delete(self, path: str) -> int:
        return self.shop.http.delete(f"{self.shop.path}/{path}").status_code

    def news(self, *families: str) -> list[dict[str, Any]]:
        """Return the payloads of new messages of these families, the oldest first."""
        listed = self.shop.get("msg", limit=250)["data"]
        fresh = [each for each in reversed(listed) if each["id"] not in self._heard]
        self._heard |= {each["id"] for each in fresh}
        return [m["payload"] for m in fresh if m["eventType"].split(".")[0] in families]

    def types(self, family: str = "order") -> list[str]:
        return [each["type"].removeprefix(f"{family}.") for each in self.news(family)]


@pytest.fixture
def records(shop: ShopClient) -> Records:
    return Records(shop)


# ── webhooks of products and sources ─────────────────────────────────────────────────────────────


def _received(shop: ShopClient, path: str, message_id: str) -> list[dict[str, Any]]:
    """Return the bodies that came to a path with the id of a message."""
    requests = [r for r in shop.served.receiver.requests if r.path == f"{shop.hook}{path}"]
    return [json.loads(r.body) for r in requests if r.header("webhook-id") == message_id]


def _lines(body: dict[str, Any]) -> list[str]:
    return [line["productId"] for line in body["items"]]


def test_each_receiver_of_a_product_gets_an_order_once(records: Records) -> None:
    shop, secret = records.shop, {"secret": "s3cret-of-shop"}
    url = shop.served.receiver.url
    both = {"url": url(f"{shop.hook}/both"), **secret}
    for product in ("p1", "p2"):
        shown = records.put(f"product/{product}/webhook", both)
        assert (shown["productId"], shown["inherited"], shown["hasSecret"]) == (
            product,
            False,
            True,
        )
    own = {"url": url(f"{shop.hook}/own"), "ownLinesOnly": True}
    assert records.put("product/p3/webhook", own)["ownLinesOnly"]
    records.put("product/p4/webhook", {"url": url(f"{shop.hook}/off"), "enabled": False})
    default = records.put("product-webhook", {"url": url(f"{shop.hook}/rest")})
    assert (default["productId"], default["enabled"]) == (None, True)
    assert shop.get("product/p9/webhook")["inherited"]

    items = [
        {"productId": f"p{n}", "unitPrice": "1.00", "totalPrice": "1.00"} for n in (1, 2, 3, 4)
    ]
    records.put("order/o-1", {**ORDER, "status": "paid", "items": items}, 201)
    (paid,) = [m for m in shop.get("msg")["data"] if m["eventType"] == "order.paid"]
    shop.served.wait_for_attempts(paid["id"], 3)
    (whole,) = _received(shop, "/both", paid["id"])
    (part,) = _received(shop, "/own", paid["id"])
    assert (whole["event"], _lines(whole)) == ("order_paid", ["p1", "p2", "p3", "p4"])
    assert (part["totalAmount"], _lines(part)) == (149.9, ["p3"])
    assert not _received(shop, "/off", paid["id"])
    assert not _received(shop, "/rest", paid["id"])

    _check_refusals(shop, paid["id"])

    assert records.delete("product/p4/webhook") == 204
    assert records.delete("product/p4/webhook") == 404
    records.put("order/o-2", {**ORDER, "status": "paid", "items": items[3:]}, 201)
    paid = shop.get("msg", event_types="order.paid")["data"][0]
    shop.served.wait_for_attempts(paid["id"], 2)
    assert len(_received(shop, "/rest", paid["id"])) == 1


def _check_refusals(shop: ShopClient, message_id: str) -> None:
    """Check what is said of the endpoints that an order of p1 to p4 does not go to."""
    told = {each["endpointId"]: each for each in shop.get(f"msg/{message_id}/why")["data"]}
    texts = {
        uid: told[shop.get(f"endpoint/{uid}")["id"]]["text"] for uid in ("product.p2", "products")
    }
    assert "goes to the same URL and secret" in texts["product.p2"]
    assert "a product without a webhook of its own" in texts["products"]
    path = f"msg/{message_id}/endpoint"
    assert shop.post(f"{path}/products/resend", None).json()["code"] == "filtered_payload"
    assert shop.post(f"{path}/product.p2/resend", None).json()["code"] == "filtered_payload"
    assert shop.post(f"{path}/product.p1/resend", None).status_code == 202
    bad = shop.http.put(f"{shop.path}/product/p1/webhook", json={"url": "ftp://x"})
    assert problem(bad)[0] == "body.url"


def test_a_platform_gets_whole_products_from_their_records(records: Records) -> None:
    shop = records.shop
    product = {"name": "Course", "description": "Six lessons", "sku": "C-1", "stock": 3}
    records.put("product/p1", {**product, "price": "100.00", "currency": "EUR"}, 201)
    records.put("order/o-1", {**ORDER, "status": "paid"}, 201)
    url = shop.served.receiver.url(f"{shop.hook}/shoppex")
    wanted = {"profile": "shoppex", "eventTypes": ["order:paid:product"]}
    shop.made("endpoint", {"url": url, **wanted})
    records.put("order/o-2", {**ORDER, "status": "paid"}, 201)
    late, early = shop.get("msg", event_types="order.paid")["data"]
    shop.served.wait_for_attempts(late["id"], 2)
    (body,) = _received(shop, "/shoppex", f"{late['id']}_product")
    course, other = body["data"]["products"]
    assert (course["uniqid"], course["title"], course["sku"]) == ("p1", "Course", "C-1")
    assert (course["description"], course["stock"], course["total"]) == ("Six lessons", 3, 100)
    assert (other["uniqid"], other["quantity"], "sku" in other) == ("p2", 2, False)
    assert "product" not in early["payload"]["data"]["items"][0]


def test_a_source_has_a_webhook_for_its_transactions(records: Records) -> None:
    shop = records.shop
    hook = {"webhookUrl": shop.served.receiver.url(f"{shop.hook}/mozarto")}
    source = records.patch("source/psp", {**hook, "webhookSecret": "pass-word"})
    assert (source["webhookUrl"], source["isWebhookSecured"]) == (hook["webhookUrl"], True)
    other = shop.made("source", {"name": "other", "provider": "psp", "uid": "other"})
    payments = {each: shop.begin(sourceId=each, orderId=each) for each in ("psp", "other")}
    messages = {}
    for each, payment in payments.items():
        shop.act(payment["id"], "cancel")
        listed = shop.get("msg", channel=f"source:{shop.get(f'source/{each}')['id']}")["data"]
        messages[each] = listed[0]["id"]
    shop.served.wait_for_attempts(messages["psp"], 2)
    shop.served.wait_for_attempts(messages["other"], 1)
    (body,) = _received(shop, "/mozarto", messages["psp"])
    assert (body["transaction_id"], body["transaction_status"]) == (
        payments["psp"]["id"],
        "Cancelled",
    )
    (request,) = [r for r in shop.served.receiver.requests if r.path == f"{shop.hook}/mozarto"][-1:]
    assert request.header("authorization") == "pass-word"
    assert not _received(shop, "/mozarto", messages["other"])
    endpoint = source["webhookEndpointId"]
    why = shop.get(f"msg/{messages['other']}/endpoint/{endpoint}/why")
    assert (why["code"], source["id"] in why["text"]) == ("filtered_channel", True)

    bad = shop.http.patch(f"{shop.path}/source/other", json={"webhookSecret": "x"})
    assert problem(bad)[0] == "body.webhookSecret"
    bad = shop.http.patch(f"{shop.path}/source/other", json={"webhookUrl": "nowhere"})
    assert problem(bad)[0] == "body.webhookUrl"
    assert other["webhookUrl"] is None
    assert records.patch("source/psp", {"webhookUrl": None})["webhookUrl"] is None
    assert shop.http.get(f"{shop.path}/endpoint/{endpoint}").status_code == 404


# ── orders ───────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_told_as_it_was_put(records: Records) -> None:
    made = records.put("order/o1", ORDER, 201)
    assert (made["uid"], made["status"], made["paymentStatus"]) == ("o1", "pending", "pending")
    assert (made["amount"], made["items"][0]["unitPrice"]) == ("149.90", "100.00")
    assert made["createdAt"] == ORDER["createdAt"]
    (created,) = records.news("order")
    assert created["type"] == "order.created"
    assert created["data"] == {
        **ORDER,
        "id": "o1",
        "status": "pending",
        "paymentStatus": "pending",
        "amount": "149.90",
        "items": [
            {**ORDER["items"][0], "unitPrice": "100.00", "currency": "EUR"},
            {**ORDER["items"][1], "currency": "EUR"},
        ],
    }

    assert records.put("order/o1", ORDER)["version"] == made["version"] == 1
    assert records.types() == []


def test_each_step_of_an_order_is_told_once(records: Records) -> None:
    records.put("order/o1", ORDER, 201)
    records.news()
    steps: list[tuple[dict[str, Any], list[str]]] = [
        ({"number": "ORD-1001-B"}, ["updated"]),
        ({"number": "ORD-1001-B"}, []),
        ({"status": "paid", "gateway": "EMIS_GPO", "reference": "PC1"}, ["paid"]),
        ({"status": "paid"}, []),
        ({"affiliateId": None}, ["updated"]),
        ({"status": "partially_refunded", "refundedAmount": "49.90"}, ["partially_refunded"]),
        ({"refundedAmount": "60"}, ["partially_refunded"]),
        ({"status": "disputed"}, ["disputed"]),
        ({"status": "refunded", "paymentStatus": "refunded"}, ["refunded"]),
        ({"status": "refunded"}, []),
    ]
    for body, types in steps:
        shown = records.patch("order/o1", body)
        assert (body, records.types()) == (body, types)
        assert shown["paymentStatus"] == shown["status"]
    assert shown["paidAt"] is not None
    assert shown["refundedAt"] is not None
    assert shown["affiliateId"] is None

    timeline = records.shop.get("order/o1")["timeline"]
    assert [each["type"] for each in timeline if each["kind"] == "message"] == [
        "order.created",
        *(f"order.{type_}" for _, types in steps for type_ in types),
    ]


def test_a_cancelled_order_is_told_once_with_its_snapshot(records: Records) -> None:
    records.put("order/o1", ORDER, 201)
    records.news()
    for _ in range(2):
        records.put("order/o1", {**ORDER, "status": "cancelled", "cancelReason": "expired"})
    (cancelled,) = records.news("order")
    assert cancelled["type"] == "order.cancelled"
    assert (cancelled["data"]["status"], cancelled["data"]["cancelReason"]) == (
        "cancelled",
        "expired",
    )
    assert cancelled["data"]["cancelledAt"]


@pytest.mark.parametrize(
    ("body", "place", "rule"),
    [
        ({"amount": 149.9}, "body.amount", "text"),
        ({"amount": "1.999"}, "body.amount", "digits"),
        ({"currency": "XXY"}, "body.currency", "currency"),
        ({"paymentstatus": "paid"}, "body.paymentstatus", "did you mean `paymentStatus`?"),
        ({"colour": "red"}, "body.colour", "unknown member"),
        (
            {"items": [{"productName": "x", "unitprice": "1"}]},
            "body.items.0.unitprice",
            "unitPrice",
        ),
        ({"items": [{"unitPrice": "0.001"}]}, "body.items.0.unitPrice", "digits"),
        ({"customer": {"mail": "x"}}, "body.customer.mail", "did you mean `email`?"),
        ({"status": "shipped"}, "body.status", "should be"),
        ({"createdAt": "1714552200"}, "body.createdAt", "must be a time"),
    ],
)
@pytest.mark.sqlite_first
def test_a_wrong_order_is_refused_with_the_place(
    records: Records, body: dict[str, Any], place: str, rule: str
) -> None:
    answer = records.shop.http.put(f"{records.shop.path}/order/o1", json={**ORDER, **body})
    where, why = problem(answer)
    assert where == place
    assert rule in why
    assert records.shop.get("order")["data"] == []


def test_many_orders_are_put_in_one_commit_or_none(records: Records) -> None:
    shop = records.shop
    shop.begin(uid="pay-1", orderId="M-2", amount="20.00")
    shop.tell(paid("pay-1", "20.00"))
    records.types()
    orders = [
        {**ORDER, "uid": "M-1", "updatedAt": "2026-05-01T12:00:00Z"},
        {"uid": "M-2", "amount": "20", "currency": "EUR"},
        {"uid": "M-3", "amount": "30", "currency": "EUR", "status": "pending"},
    ]
    wrong = [{**orders[2], "uid": "M-4"}, {**orders[2], "uid": "M-5", "amount": "1.234"}]
    for refused, place in [
        (wrong, ["body", "data", "1", "amount"]),
        ([orders[0], orders[0]], ["body", "data", "1", "uid"]),
        ([{**orders[0], "nmber": 1}], ["body", "data", "0", "nmber"]),
    ]:
        answer = shop.http.put(f"{shop.path}/order", json={"data": refused})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == place
    assert records.types() == []
    assert records.put("order", {"data": orders}) == {"created": 3, "changed": 0, "unchanged": 0}
    assert sorted(records.types()) == ["created", "created", "created", "paid"]
    assert shop.get("order/M-2")["paymentStatus"] == "paid"
    assert shop.get("order/M-1")["amount"] == "149.90"

    assert records.put("order", {"data": orders}) == {"created": 0, "changed": 0, "unchanged": 3}
    assert records.types() == []
    late = {**orders[0], "status": "cancelled", "updatedAt": "2026-05-01T11:00:00Z"}
    changed = [late, {**orders[2], "status": "cancelled"}]
    assert records.put("order", {"data": changed}) == {"created": 0, "changed": 1, "unchanged": 1}
    assert records.types() == ["cancelled"]
    own_id = shop.get("order/M-3")["id"]
    again = {"uid": own_id, "amount": "31", "currency": "EUR", "status": "cancelled"}
    assert records.put("order", {"data": [again]})["changed"] == 1
    assert shop.get("order/M-3")["amount"] == "31.00"


def test_an_older_version_moves_nothing_back(records: Records) -> None:
    newest = {**ORDER, "status": "paid", "updatedAt": "2026-05-01T12:00:00Z"}
    records.put("order/o1", newest, 201)
    assert records.types() == ["created", "paid"]
    shown = records.put("order/o1", {**ORDER, "updatedAt": "2026-05-01T11:59:59Z"})
    assert (shown["status"], records.types()) == ("paid", [])
    # Nothing changed, but it is later: what is older than that is late too.
    records.put("order/o1", {**newest, "updatedAt": "2026-05-01T14:00:00Z"})
    records.put("order/o1", {**ORDER, "updatedAt": "2026-05-01T13:00:00Z"})
    assert records.shop.get("order/o1")["status"] == "paid"
    assert records.types() == []


# ── how an order is paid ─────────────────────────────────────────────────────────────────────────


def paid(name: str, amount: str = "149.90") -> Notice:
    return news(name, APPROVED, amount=amount)


def refunded(name: str, own_id: str, amount: str) -> Notice:
    return linked(name, REFUND, own_id, amount=amount)


@pytest.mark.parametrize("is_order_first", [True, False])
def test_an_approved_transaction_pays_its_order(records: Records, *, is_order_first: bool) -> None:
    shop = records.shop
    if is_order_first:
        records.put("order/o1", ORDER, 201)
    shop.begin(uid="pay-1", orderId="o1", amount="149.90")
    shop.tell(paid("pay-1"))
    shop.tell(paid("pay-1"))
    if not is_order_first:
        records.put("order/o1", ORDER, 201)

    assert records.types() == ["created", "paid"]
    shown = shop.get("order/o1")
    assert (shown["status"], shown["paymentStatus"]) == ("paid", "paid")
    assert shown["paidAmount"] == "149.90"
    records.put("order/o1", {**ORDER, "status": "pending"})  # the shop has not heard of it yet
    assert shop.get("order/o1")["status"] == "paid"
    assert records.types() == []

    shop.tell(refunded("pay-1", "r1", "49.90"))
    shop.tell(refunded("pay-1", "r2", "50.00"))
    shop.tell(refunded("pay-1", "r2", "50.00"))
    shop.tell(refunded("pay-1", "r3", "50.00"))
    told = records.news("order")
    assert [(each["type"], each["data"]["refundedAmount"]) for each in told] == [
        ("order.partially_refunded", "49.90"),
        ("order.partially_refunded", "99.90"),
        ("order.refunded", "149.90"),
    ]
    shown = shop.get("order/o1")
    assert shown["paymentStatus"] == "refunded"
    kinds = {each["kind"] for each in shown["timeline"]}
    assert kinds >= {"message", "transaction"}


def test_a_payment_may_name_its_order_by_our_id(records: Records) -> None:
    order = records.put("order/o1", ORDER, 201)
    records.shop.begin(uid="pay-1", orderId=order["id"], amount="149.90")
    records.shop.tell(paid("pay-1"))
    assert records.shop.get("order/o1")["paymentStatus"] == "paid"


@pytest.mark.parametrize(
    ("amounts", "expected", "types"),
    [
        (["100.00"], ("pending", "underpaid"), ["updated"]),
        (["100.00", "49.90"], ("paid", "paid"), ["updated", "paid"]),
        (["100.00", "60.00"], ("paid", "overpaid"), ["updated", "paid"]),
        (["149.90", "10.00"], ("paid", "overpaid"), ["paid", "updated"]),
    ],
)
def test_under_and_overpaid_are_said(
    records: Records, amounts: list[str], expected: tuple[str, str], types: list[str]
) -> None:
    records.put("order/o1", ORDER, 201)
    records.news()
    for number, amount in enumerate(amounts):
        records.shop.begin(uid=f"pay-{number}", orderId="o1", amount=amount)
        records.shop.tell(paid(f"pay-{number}", amount))
    shown = records.shop.get("order/o1")
    assert (shown["status"], shown["paymentStatus"]) == expected
    assert records.types() == types


def test_a_late_payment_pays_an_order_that_had_expired(records: Records) -> None:
    records.put("order/o1", {**ORDER, "status": "cancelled"}, 201)
    records.shop.begin(uid="pay-1", orderId="o1", amount="149.90")
    records.shop.tell(news("pay-1", FAILED))
    assert records.types() == ["created", "cancelled"]
    records.shop.begin(uid="pay-2", orderId="o1", amount="149.90")
    records.shop.tell(paid("pay-2"))
    assert (records.shop.get("order/o1")["status"], records.types()) == ("paid", ["paid"])
    records.put("order/o1", {**ORDER, "status": "cancelled"})
    assert records.types() == ["cancelled"]


@pytest.mark.parametrize(
    ("reference", "payment"),
    [
        ("merchantReference", {"merchantReference": "o1", "orderId": "o2"}),
        ("metadata.order", {"metadata": {"order": "o1"}, "orderId": "o2"}),
    ],
)
def test_an_application_chooses_what_names_the_order(
    records: Records, reference: str, payment: dict[str, Any]
) -> None:
    shop = records.shop
    assert shop.http.patch(shop.path, json={"orderReference": reference}).status_code == 200
    records.put("order/o1", ORDER, 201)
    records.put("order/o2", ORDER, 201)
    shop.begin(uid="pay-1", amount="149.90", **payment)
    shop.tell(paid("pay-1"))
    statuses = {each["uid"]: each["status"] for each in shop.get("order")["data"]}
    assert statuses == {"o1": "paid", "o2": "pending"}


def test_another_currency_pays_nothing(records: Records) -> None:
    records.put("order/o1", {**ORDER, "currency": "USD"}, 201)
    records.shop.begin(uid="pay-1", orderId="o1", amount="149.90")
    records.shop.tell(paid("pay-1"))
    assert records.shop.get("order/o1")["paymentStatus"] == "pending"


# ── races ────────────────────────────────────────────────────────────────────────────────────────


def test_what_comes_together_makes_one_record_and_misses_nothing(records: Records) -> None:
    shop = records.shop
    names = [f"o{number}" for number in range(6)]
    for name in names:
        shop.begin(uid=f"pay-{name}", orderId=name, amount="149.90")

    def put(name: str) -> int:
        answer = shop.http.put(f"{shop.path}/order/{name}", json=ORDER)
        return answer.status_code

    def pay(name: str) -> int:
        shop.tell(paid(f"pay-{name}"))
        return 0

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(act, name) for name in names for act in (put, pay, put)]
        codes = [each.result() for each in work]
    shop.served.wait_for_callbacks()

    assert sorted(codes) == [0] * 6 + [200] * 6 + [201] * 6
    assert {each["status"] for each in shop.get("order")["data"]} == {"paid"}
    assert sorted(records.types()) == ["created"] * 6 + ["paid"] * 6


# ── callbacks ────────────────────────────────────────────────────────────────────────────────────


def told(type_: str, at: int | None, **data: Any) -> OrderNotice:
    data = {"id": "w1", "amount": "10.00", "currency": "EUR", **data}
    when = None if at is None else 1_777_000_000_000_000 + at * 1_000_000
    return OrderNotice(f"order.{type_}", data, occurred_at=when)


def test_callbacks_write_the_same_record_and_late_ones_move_nothing_back(records: Records) -> None:
    shop = records.shop
    shop.tell(told("created", 1, status="pending", number="7"))
    shop.tell(told("paid", 3, status="paid", paymentStatus="paid"))
    assert records.types() == ["created", "paid"]
    shop.tell(told("updated", 2, status="pending", number="late"))
    shop.tell(told("created", 3, status="pending"))  # the same second
    shop.tell(told("created", None, status="pending"))  # no time at all
    shop.tell(told("paid", 3, status="paid", paymentStatus="paid"))
    assert records.types() == []
    outcomes = [each["outcome"] for each in shop.get("callback", limit=4)["data"]]
    assert outcomes == ["duplicate", "stale", "stale", "stale"]
    shown = shop.get("order/w1")
    assert (shown["number"], shown["status"]) == ("7", "paid")
    assert shown["sourceId"] == shop.source["id"]
    assert [each["kind"] for each in shown["timeline"]].count("callback") == 2

    records.patch("order/w1", {"affiliateId": "aff-1"})
    shop.tell(told("refunded", 4, status="refunded", paymentStatus="refunded"))
    assert records.types() == ["updated", "refunded"]
    assert shop.get("order/w1")["affiliateId"] == "aff-1"


def test_an_order_and_its_payment_in_one_callback_are_told_once(records: Records) -> None:
    records.shop.begin(uid="w1", orderId="w1", amount="10.00")
    records.shop.tell(told("created", 1, status="pending"))
    order = told("paid", 2, status="paid", paymentStatus="paid")
    records.shop.tell(order, news("w1", APPROVED, amount=ProviderAmount("10.00", "EUR")))
    assert records.types() == ["created", "paid"]
    assert records.shop.get("order/w1")["paidAmount"] == "10.00"


@pytest.mark.parametrize("kind", ["product", "customer"])
def test_a_platform_tells_of_products_and_customers(records: Records, kind: str) -> None:
    shop = records.shop

    def tell(at: int | None, *, is_removed: bool = False, **data: Any) -> list[str]:
        when = None if at is None else 1_777_000_000_000_000 + at
        shop.tell(RecordNotice(kind, {"id": "7", **data}, when, is_removed))
        return records.types(kind)

    assert tell(1, name="Ada") == ["created"]
    assert tell(1, name="Ada") == []
    assert tell(3, name="Ada L.") == ["updated"]
    assert tell(2, name="late") == []
    assert shop.get(f"{kind}/7")["name"] == "Ada L."
    records.patch(f"{kind}/7", {"metadata": {"shelf": "3"}})
    assert records.types(kind) == ["updated"]
    assert tell(4, name="Ada") == ["updated"]
    assert shop.get(f"{kind}/7")["metadata"] == {"shelf": "3"}
    assert tell(None, is_removed=True) == ["deleted"]
    assert tell(None, is_removed=True) == []

    assert tell(5, name="late") == tell(None, name="undated") == []
    assert {each["outcome"] for each in shop.get("callback", limit=2)["data"]} == {"stale"}
    assert shop.http.get(f"{shop.path}/{kind}/7").status_code == 404
    records.put(f"{kind}/7", {"name": "by hand"}, 201)
    assert records.types(kind) == ["created"]
    assert (records.delete(f"{kind}/7"), records.types(kind)) == (204, ["deleted"])
    assert tell(6, name="late") == []
    assert tell(10**14, name="made again by the platform") == ["created"]
    assert tell(10**14 + 2, is_removed=True) == ["deleted"]
    assert tell(10**14 + 1, name="late") == []
    assert tell(3, is_removed=True, id="8") == tell(2, id="8", name="before its deletion") == []
    assert tell(4, id="8", name="after it") == ["created"]


# ── products, customers, subscriptions ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "first", "steps"),
    [
        (
            "product",
            {"name": "Course", "price": "10", "currency": "EUR", "stock": 5, "sku": "C-1"},
            [
                ({"stock": 5}, []),
                ({"stock": 4}, ["stock"]),
                ({"name": "Course II"}, ["updated"]),
                ({"name": "Course", "stock": 9}, ["updated", "stock"]),
            ],
        ),
        (
            "customer",
            {"name": "Ada", "email": "ada@example.com"},
            [
                ({"name": "Ada"}, []),
                ({"consent": {"isGiven": True, "source": "checkout"}}, ["updated"]),
                ({"consent": {"isGiven": True, "source": "checkout"}}, []),
                ({"phoneNumber": None}, []),
            ],
        ),
        (
            "subscription",
            {"amount": "9.90", "currency": "EUR", "plan": "Box"},
            [
                ({"status": "trialing"}, ["trial.started"]),
                (
                    {"status": "active", "currentPeriodEnd": "2026-06-01T00:00:00Z"},
                    ["trial.ended"],
                ),
                ({"currentPeriodEnd": "2026-07-01T00:00:00Z"}, ["renewed"]),
                ({"plan": "Big box"}, ["updated"]),
                ({"plan": "Big box"}, []),
                ({"reason": "payment_failed"}, ["payment_failed"]),
                ({"status": "suspended"}, ["suspended"]),
                ({"status": "cancelled", "reason": None}, ["cancelled"]),
            ],
        ),
    ],
)
def test_other_records_live_and_each_step_is_told_once(
    records: Records, kind: str, first: dict[str, Any], steps: list[tuple[Any, list[str]]]
) -> None:
    made = records.put(f"{kind}/x1", first, 201)
    assert records.types(kind) == ["created"]
    for body, types in steps:
        shown = records.patch(f"{kind}/x1", body)
        assert (body, records.types(kind)) == (body, types)
    assert records.shop.get(f"{kind}/{made['id']}")["version"] == shown["version"]
    if kind == "subscription":
        assert records.delete(f"{kind}/x1") == 405
        return
    assert records.delete(f"{kind}/x1") == 204
    assert records.types(kind) == ["deleted"]
    assert records.delete(f"{kind}/x1") == 404


def test_a_renewal_is_announced_once_some_days_before(records: Records) -> None:
    shop, gateway = records.shop, records.shop.served.gateway

    def look(end: Micros, **data: Any) -> list[str]:
        records.patch("subscription/s1", {"currentPeriodEnd": iso(end), **data})
        records.types("subscription")
        shop.served.do(gateway.upcoming_renewals.run())
        return records.types("subscription")

    now = gateway.clock.now()
    records.put("subscription/s1", {"amount": "9.90", "currency": "EUR", "status": "active"}, 201)
    before = records.patch("subscription/s1", {"plan": "Box"})["updatedAt"]
    assert look(now + 4 * DAY) == []
    assert look(now + 2 * DAY) == ["upcoming"]
    assert look(now + 2 * DAY) == []
    assert look(now + 2 * DAY, plan="Big box") == []
    assert look(now - DAY) == []
    assert look(now + 3 * DAY - HOUR) == ["upcoming"]
    assert look(now + DAY, status="cancelled") == []
    assert shop.get("subscription/s1")["updatedAt"] > before


def test_a_stock_tells_what_it_was(records: Records) -> None:
    records.put("product/p1", {"name": "Course", "stock": 5}, 201)
    records.news()
    records.put("product/p1", {"name": "Course", "stock": 4})
    (stock,) = records.news("product")
    assert (stock["data"]["previousStock"], stock["data"]["stock"]) == (5, 4)
    assert stock["data"]["id"] == "p1"


# ── shipments ────────────────────────────────────────────────────────────────────────────────────


def test_the_shop_and_the_carrier_write_one_parcel(records: Records) -> None:
    shop = records.shop
    parcel = {"carrier": "psp", "trackingNumber": "TT1", "orderId": "o1"}
    records.put("order/o1", ORDER, 201)
    records.put("shipment/psp:TT1", parcel, 201)
    records.put("shipment/psp:TT1", {**parcel, "trackingUrl": "https://carrier.example/TT1"})
    assert records.types("shipment") == ["created"]
    shop.tell(ShipmentNotice("TT1", "delivered", "delivered"))
    assert records.types("shipment") == ["delivered"]
    shown = shop.get("shipment/psp:TT1")
    assert (shown["orderId"], shown["trackingUrl"]) == ("o1", "https://carrier.example/TT1")
    assert "shipment" in {each["kind"] for each in shop.get("order/o1")["timeline"]}

    back = shop.http.patch(f"{shop.path}/shipment/psp:TT1", json={"status": "in_transit"})
    assert (back.status_code, back.json()["code"]) == (409, "illegal_transition")
    assert records.types("shipment") == []


# ── lists ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def five(records: Records) -> Records:
    """Five orders of one customer."""
    for number in range(5):
        email = f"buyer{number}@example.com"
        body = {**ORDER, "number": f"N{number}", "customer": {"id": "c1", "email": email}}
        records.put(f"order/o{number}", body, 201)
    return records


def uids(listed: dict[str, Any]) -> list[str]:
    return [each["uid"] for each in listed["data"]]


def test_a_feed_shows_each_change_after_the_last_one(five: Records) -> None:
    shop = five.shop
    feed: list[str] = []
    page: dict[str, Any] = {"iterator": None, "done": False}
    while not page["done"]:
        query = {"iterator": page["iterator"]} if page["iterator"] else {}
        page = shop.get("order", limit=2, updatedSince="2020-01-01T00:00:00Z", **query)
        feed += uids(page)
    assert feed == ["o0", "o1", "o2", "o3", "o4"]

    last = {"limit": 2, "order": "ascending", "iterator": page["iterator"]}
    assert uids(shop.get("order", **last)) == []
    five.patch("order/o1", {"gateway": "EMIS"})
    changed = shop.get("order", **last)
    assert uids(changed) == ["o1"]
    assert uids(shop.get("order", updatedSince=changed["data"][0]["updatedAt"])) == ["o1"]

    newest = shop.get("order", limit=2)
    older = shop.get("order", limit=2, iterator=newest["iterator"])
    again = shop.get("order", limit=2, iterator=older["prevIterator"])
    assert [uids(page) for page in (newest, older, again)] == [
        ["o1", "o4"],
        ["o3", "o2"],
        ["o1", "o4"],
    ]


def test_orders_are_found_by_what_names_them(five: Records) -> None:
    shop = five.shop
    id_ = shop.get("order/o1")["id"]
    for text, expected in {
        "N3": ["o3"],
        "o2": ["o2"],
        "BUYER4@example.com": ["o4"],
        "c1": ["o4", "o3", "o2", "o1", "o0"],
        id_: ["o1"],
        "nobody": [],
    }.items():
        assert uids(shop.get("order", q=text)) == expected, text
    for text in ("N3", "o3", "buyer3@example.com"):
        for query in ({"q": text, "app": shop.app_id}, {"q": text}):
            hits = shop.http.get("/search", params=query).json()["data"]
            titles = [(hit["type"], hit["title"], hit["detail"]) for hit in hits]
            assert ("order", "N3", "pending pending") in titles, query
    five.patch("order/o3", {"status": "cancelled"})
    assert uids(shop.get("order", status="cancelled")) == ["o3"]
    other = ShopClient(shop.served)
    assert uids(other.get("order")) == []
    with shop.served.client(shop.served.make_key("read", app_id=other.app_id)) as http:
        assert http.get("/search", params={"q": "N3"}).json()["data"] == []
    assert other.http.get(f"{other.path}/order/{id_}").status_code == 404


@pytest.mark.sqlite_first
def test_a_key_of_one_resource_opens_that_one(served: ServedGateway, records: Records) -> None:
    shop = records.shop

    def codes(scope: str) -> list[int]:
        with served.client(served.make_key(scope)) as http:
            answers: list[httpx.Response] = [
                http.get(f"{shop.path}/order"),
                http.put(f"{shop.path}/order/k1", json=ORDER),
                http.get(f"{shop.path}/customer"),
            ]
            return [answer.status_code for answer in answers]

    assert codes("order:read") == [200, 403, 403]
    assert codes("order:write") == [200, 201, 403]
    assert codes("publish") == [403, 403, 403]
