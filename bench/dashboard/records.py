"""Makes what a shop keeps besides messages and payments: a page of each list, and one to open."""

from __future__ import annotations

from typing import Any

from bench.gateway import GatewayProcess

MANY = 60  # of each kind, more than one page of its list
_CUSTOMER = {"name": "Ana Petrović", "email": "ana@shop.example"}
_PRICE = {"amount": "149.90", "currency": "EUR"}
_RECORDS: dict[str, dict[str, Any]] = {
    "product": {"name": "A course", "sku": "C-1", "stock": 3, "price": "149.90", "currency": "EUR"},
    "customer": _CUSTOMER,
    "order": {
        **_PRICE,
        "customer": {"id": "customer-0", **_CUSTOMER},
        "items": [{"productId": "product-0", "quantity": 1, "totalPrice": "149.90"}],
    },
    "subscription": {**_PRICE, "status": "active", "interval": "month", "plan": "Monthly"},
    "shipment": {"carrier": "Courier", "trackingNumber": "TT-1", "orderId": "order-0"},
}
_EXPORT = {"name": "Stock", "kind": "products"}


def make_records(gateway: GatewayProcess, app: str) -> dict[str, str]:
    """Make them; return the ids by their names in paths."""
    base = f"/api/v1/app/{app}"
    names: dict[str, str] = {}
    for kind, record in _RECORDS.items():
        for number in range(MANY):
            own = {"number": str(number)} if kind == "order" else {}
            path = f"{base}/{kind}/{kind}-{number}"
            made = gateway.call("PUT", path, record | own).json()
            names.setdefault(kind, made["id"])
    names["link"] = gateway.call("POST", f"{base}/export-link", _EXPORT).json()["id"]
    schedule = {**_EXPORT, "target": "folder", "hour": 6}
    names["schedule"] = gateway.call("POST", f"{base}/export-schedule", schedule).json()["id"]
    alert = {"email": "ana@shop.example", "name": "Ana", "kinds": ["endpoint"]}
    names["alert"] = gateway.call("POST", "/api/v1/alert", alert).json()["id"]
    return names | {"kind": "products"} | _inbox(gateway, app)


def _inbox(gateway: GatewayProcess, app: str) -> dict[str, str]:
    inbox = gateway.call("POST", "/api/v1/inbox", {"name": "First look", "appId": app}).json()
    path = "/" + inbox["url"].split("/", 3)[3]
    for _ in range(MANY):
        gateway.call("POST", path, {"data": {"id": "ORD-1"}})
    rows = gateway.call("GET", f"/api/v1/inbox/{inbox['id']}/request").json()["data"]
    return {"inbox": inbox["id"], "request": rows[0]["id"]}
