"""Bulk upserts of the shop's records: one commit, and each step is published once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.money.payment_harness import APPROVED, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient


def _row(uid: str, **members: Any) -> dict[str, Any]:
    return {"uid": uid, "amount": "10.00", "currency": "EUR", **members}


def _put(shop: ShopClient, kind: str, *rows: dict[str, Any]) -> tuple[int, int, int]:
    """Put rows; return how many were created, changed and unchanged."""
    answer = shop.http.put(f"{shop.path}/{kind}", json={"data": rows})
    assert answer.status_code == 200, answer.text
    counts = answer.json()
    return counts["created"], counts["changed"], counts["unchanged"]


def _types(shop: ShopClient) -> list[str]:
    return sorted(each["eventType"] for each in shop.get("msg", limit=250)["data"])


def test_rows_are_put_together_and_each_step_is_published_once(served: ServedGateway) -> None:
    shop = ShopClient(served)
    first = _row("b-1", updatedAt="2026-05-02T10:00:00Z", status="paid"), _row("b-2")

    assert _put(shop, "order", *first) == (2, 0, 0)
    assert _put(shop, "order", *first) == (0, 0, 2)
    late = _row("b-1", updatedAt="2026-05-01T10:00:00Z", status="pending")
    assert _put(shop, "order", late, _row("b-2", status="paid"), _row("b-3")) == (1, 1, 1)

    assert shop.get("order/b-1")["status"] == "paid"
    paid = ["order.paid"] * 2
    assert _types(shop) == [*["order.created"] * 3, *paid]

    own_id = shop.get("order/b-3")["id"]
    assert _put(shop, "product", {"uid": "p", "name": "Lamp", "stock": 3}) == (1, 0, 0)
    assert _put(shop, "customer", {"uid": "c", "name": "Ada"}) == (1, 0, 0)
    assert _put(shop, "subscription", _row("s", status="active")) == (1, 0, 0)
    assert _put(shop, "order", _row(own_id, status="paid")) == (0, 1, 0)
    assert shop.get("order/b-3")["status"] == "paid"


def test_a_wrong_row_stops_all_and_every_one_is_named(served: ServedGateway) -> None:
    shop = ShopClient(served)
    rows = [_row("w-1"), _row("w-2", amount="1.005"), _row("w-3", currency="XXQ")]
    cases: list[tuple[Any, list[list[str]]]] = [
        (
            rows,
            [
                ["body", "data", "1", "amount"],
                ["body", "data", "2", "currency"],
            ],
        ),
        ([_row("w-1"), _row("w-1")], [["body", "data", "1", "uid"]]),
        ([_row("w-1"), _row("w 2")], [["body", "data", "1", "uid"]]),
        (
            [_row("w-1", items=[{"productID": "p"}])],
            [["body", "data", "0", "items", "0", "productID"]],
        ),
        ([{"amount": "1.00", "currency": "EUR"}], [["body", "data", "0", "uid"]]),
        ([], [["body", "data"]]),
        ([_row(f"w-{n}") for n in range(501)], [["body", "data"]]),
    ]
    for data, places in cases:
        answer = shop.http.put(f"{shop.path}/order", json={"data": data})
        assert answer.status_code == 422, data
        assert [each["loc"] for each in answer.json()["detail"]] == places
    assert shop.get("order")["data"] == []
    assert _types(shop) == []


def test_what_comes_together_is_published_once_and_misses_no_payment(
    served: ServedGateway,
) -> None:
    shop = ShopClient(served)
    rows = [_row(f"t-{n}") for n in range(20)]
    for uid in ("t-3", "t-7"):
        shop.begin(uid=f"pay-{uid}", orderId=uid, amount="10.00")

    def pay(uid: str) -> None:
        shop.tell(news(f"pay-{uid}", APPROVED))

    def single(uid: str) -> int:
        body = {"amount": "10.00", "currency": "EUR"}
        return shop.http.put(f"{shop.path}/order/{uid}", json=body).status_code

    with ThreadPoolExecutor(8) as threads:
        bulk = [threads.submit(_put, shop, "order", *rows) for _ in range(3)]
        payments = [threads.submit(pay, uid) for uid in ("t-3", "t-7")]
        singles = [threads.submit(single, f"t-{n}") for n in range(20)]
        created = sum(future.result()[0] for future in bulk)
        statuses = [future.result() for future in singles]
        for future in payments:
            future.result()
    served.wait_for_callbacks()

    assert created + statuses.count(201) == 20
    paid = [each["uid"] for each in shop.get("order")["data"] if each["status"] == "paid"]
    assert sorted(paid) == ["t-3", "t-7"]
    types = [each for each in _types(shop) if each.startswith("order.")]
    assert types == [*["order.created"] * 20, *["order.paid"] * 2]
