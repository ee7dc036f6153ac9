"""Shops over HTTP: an order that is paid and partly given back, and WooCommerce's hello."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.door import SECRET, Door
from tests.web.site import Site
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SourceSetup
from tillbell.providers.kit.cases import samples

pytestmark = pytest.mark.sqlite_first


def sent(door: Door, case: str, event_id: str, config: dict[str, str]) -> int:
    """Send a sample as the shop would; return the status it is answered."""
    provider = str(door.source["provider"])
    sample = samples(provider)[case].case._replace(id=event_id)
    incoming = PROVIDERS[provider].sign(sample, SourceSetup((SECRET,), config), door.url)
    return door.send(incoming.body, **dict(incoming.headers)).status_code


def transactions(site: Site, app_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.http.get(f"/app/{app_id}/transaction").json()["data"]
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
    site: Site, app_id: str, provider: str, order_id: str, cases: list[str]
) -> None:
    public = {"notificationUrl": "https://hooks.example/square"} if provider == "square" else {}
    door = Door(site, app_id, provider, config=public)
    begun = {"direction": "pay_in", "amount": "49.90", "currency": "EUR", "orderId": order_id}
    made = site.http.post(f"/app/{app_id}/transaction", json=begun)
    assert made.status_code == 201, made.text
    for attempt in (1, 2):
        for number, case in enumerate(cases):
            assert sent(door, case, f"e{attempt}-{number}", public) == 200
    found = {one["amount"]: one for one in transactions(site, app_id)}
    assert {amount: one["status"] for amount, one in found.items()} == {
        "49.90": "Approved",
        "10.00": "Approved",
    }
    assert found["10.00"]["parentId"] == found["49.90"]["id"]


def test_the_hello_of_woocommerce_is_answered_and_only_noted(site: Site, app_id: str) -> None:
    door = Door(site, app_id, "woocommerce")
    assert door.send(b"webhook_id=12").status_code == 200
    assert door.send(b"webhook_id=12&status=completed").status_code == 401
    refused, noted = door.log()
    assert (noted["outcome"], noted["trust"]) == ("noted", "none")
    assert refused["outcome"] == "unauthenticated"
