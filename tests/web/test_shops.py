"""Shops over HTTP: an order that is paid and partly given back, and WooCommerce's hello."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.callback_sender import SECRET, CallbackSender
from tests.web.served_gateway import ServedGateway
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
