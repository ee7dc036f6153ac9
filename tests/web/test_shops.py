"""Shops over HTTP: an order that is paid and partly given back, and WooCommerce's hello."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.callback_sender import SECRET, CallbackSender
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient
from tests.web.test_shop_records import ORDER
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SourceSetup
from tillbell.providers.kit.cases import samples

pytestmark = pytest.mark.sqlite_first


def sent(sender: CallbackSender, case: str, event_id: str, config: dict[str, str]) -> int:
    """Send a sample as the shop would; return the status it is answered."""
    provider = str(sender.source["provider"])
    sample = samples(provider)[case].case._replace(id=event_id)
    incoming = PROVIDERS[provider].sign(sample, SourceSetup((SECRET,), config), sender.url)
    return sender.send(incoming.body, **dict(incoming.headers)).status_code


def transactions(served: ServedGateway, app_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.http.get(f"/app/{app_id}/transaction").json()["data"]
    return found


@pytest.mark.parametrize(
    ("provider", "order_id", "cases"),
    [
        ("woocommerce", "727", ["order-created", "order-paid", "order-partially-refunded"]),
        ("shopify", "5600001001", ["order-created", "sale", "order-paid", "refunded"]),
        ("square", "ORD-1001", ["authorized", "approved", "refund-pending", "refunded"]),
    ],
)
def test_an_order_is_paid_once_and_partly_given_back(
    served: ServedGateway, app_id: str, provider: str, order_id: str, cases: list[str]
) -> None:
    public = {"notificationUrl": "https://hooks.example/square"} if provider == "square" else {}
    sender = CallbackSender(served, app_id, provider, config=public)
    begun = {"direction": "pay_in", "amount": "49.90", "currency": "EUR", "orderId": order_id}
    made = served.http.post(f"/app/{app_id}/transaction", json=begun)
    assert made.status_code == 201, made.text
    for attempt in (1, 2):
        for number, case in enumerate(cases):
            assert sent(sender, case, f"e{attempt}-{number}", public) == 200
    found = {one["amount"]: one for one in transactions(served, app_id)}
    assert {amount: one["status"] for amount, one in found.items()} == {
        "49.90": "Approved",
        "10.00": "Approved",
    }
    assert found["10.00"]["parentId"] == found["49.90"]["id"]


def test_the_hello_of_woocommerce_is_answered_and_only_noted(
    served: ServedGateway, app_id: str
) -> None:
    sender = CallbackSender(served, app_id, "woocommerce")
    assert sender.send(b"webhook_id=12").status_code == 200
    assert sender.send(b"webhook_id=12&status=completed").status_code == 401
    refused, noted = sender.log()
    assert (noted["outcome"], noted["trust"]) == ("noted", "none")
    assert refused["outcome"] == "unauthenticated"


# ── usual upserts, which are answered without the framework ──────────────────────────────────────

_UPSERTS: dict[str, dict[str, Any]] = {
    "order/u-1": ORDER,
    "product/u-1": {"name": "Café ☕", "price": "10.5", "currency": "EUR"},
    "customer/u-1": {"email": "ada@example.com", "name": "Ada"},
    "subscription/u-1": {
        "status": "active",
        "plan": "pro",
        "amount": "9",
        "currency": "EUR",
        "interval": "month",
    },
    "shipment/u-1": {"carrier": "dhl", "trackingNumber": "T1", "status": "in_transit"},
}
_REFUSED: dict[str, Any] = {
    "order/u-1?limit=1": ORDER,
    "order/u-1": {**ORDER, "amonut": "1.00"},
    "order/u-2": {**ORDER, "amount": "1.005"},
    "order/u 3": ORDER,
    "order/u-4": {**ORDER, "items": [{"quantity": 0}]},
    "order/u-5": {**ORDER, "items": [{"kind": "x"}]},
    "order/u-6": [ORDER],
    "order/u-7": {**ORDER, "createdAt": "20261130"},
    "order/" + "u" * 257: ORDER,
    "unknown/u-1": ORDER,
}


def test_usual_upserts_are_answered_as_by_the_framework(
    served: ServedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = ShopClient(served)

    async def nothing(*_: Any) -> None:
        return None

    def answer(path: str, body: Any, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        got = shop.http.put(f"{shop.path}/{path}", json=body, headers=headers)
        stable = {n: v for n, v in got.headers.items() if n not in ("date", "x-request-id")}
        text = got.content.replace(got.headers["x-request-id"].encode(), b"")
        return got.status_code, text, stable

    usual = {path: answer(path, body) for path, body in _UPSERTS.items()}
    again = {path: answer(path, body) for path, body in _UPSERTS.items()}
    refused = {path: answer(path, body) for path, body in _REFUSED.items()}
    no_key = answer("order/u-1", ORDER, Authorization="Bearer nobody")
    keyed = answer("order/u-1", ORDER, **{"Idempotency-Key": "k"})
    acts = [act["action"] for act in shop.get("audit")["data"]]

    monkeypatch.setattr("tillbell.web.api.usual_upserts.UsualUpserts._read", nothing)
    assert again == {path: answer(path, body) for path, body in _UPSERTS.items()}
    assert refused == {path: answer(path, body) for path, body in _REFUSED.items()}
    assert no_key == answer("order/u-1", ORDER, Authorization="Bearer nobody")
    assert keyed == answer("order/u-1", ORDER, **{"Idempotency-Key": "k"})
    other = {path: answer(path.replace("u-1", "u-9"), body) for path, body in _UPSERTS.items()}
    for path, (status, text, _) in usual.items():
        created, as_created = json.loads(text), json.loads(other[path][1])
        assert (status, other[path][0]) == (201, 201)
        assert list(created) == list(as_created)
        ours = {"id", "uid", "createdAt", "updatedAt"}
        assert {n: v for n, v in created.items() if n not in ours} == {
            n: v for n, v in as_created.items() if n not in ours
        }
    assert [a for a in acts if a.endswith(".upsert")] == [
        f"{path.partition('/')[0]}.upsert" for path in reversed(_UPSERTS)
    ]
    assert {status for status, *_ in refused.values()} == {404, 422}
