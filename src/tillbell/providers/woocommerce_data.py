"""What an order of WooCommerce says, in the catalogue's shape.

Amounts are text, times are local with a twin in UTC (`date_paid_gmt`), which is the one that is
read. What is unknown is often "" instead of null. Source: developer.woocommerce.com, REST API v3.
"""

from __future__ import annotations

from typing import Any

from tillbell.clock import iso
from tillbell.providers.kit.order_fields import amount, count, currency, known, parts
from tillbell.providers.kit.reading import iso_time, object_member, plain_json, text


def order(found: dict[str, Any], state: str, payment_state: str) -> dict[str, Any]:
    """Return an order; it may be cancelled though it was paid."""
    code = currency(found)
    return known(
        {
            "id": text(found, "id"),
            "number": text(found, "number"),
            "status": state,
            "paymentStatus": payment_state,
            "amount": amount(found, "total", code),
            "currency": code,
            "gateway": text(found, "payment_method"),
            "reference": text(found, "transaction_id"),
            "createdAt": _moment(found, "date_created_gmt"),
            "paidAt": _moment(found, "date_paid_gmt"),
            "cancelledAt": _moment(found, "date_modified_gmt") if state == "cancelled" else None,
            "customer": _customer(found),
            "shippingAddress": _address(object_member(found, "shipping")),
            "items": [_item(line, code) for line in parts(found, "line_items")],
            "metadata": _metadata(found),
        }
    )


def _moment(found: dict[str, Any], name: str) -> str | None:
    at = iso_time(found.get(name))
    return None if at is None else iso(at)


def _customer(found: dict[str, Any]) -> dict[str, Any]:
    who, account = object_member(found, "billing"), text(found, "customer_id")
    names = (text(who, "first_name"), text(who, "last_name"))
    return known(
        {
            "id": None if account == "0" else account,  # 0 is a guest
            "name": " ".join(name for name in names if name) or None,
            "email": text(who, "email"),
            "phoneNumber": text(who, "phone"),
        }
    )


def _address(found: dict[str, Any]) -> dict[str, Any]:
    return known(
        {
            "line1": text(found, "address_1"),
            "line2": text(found, "address_2"),
            "city": text(found, "city"),
            "postalCode": text(found, "postcode"),
            "region": text(found, "state"),
            "country": text(found, "country"),
        }
    )


def _item(line: dict[str, Any], code: str | None) -> dict[str, Any]:
    product, name = text(line, "product_id"), text(line, "name")
    of_product = {"id": product, "name": name, "currency": code, "sku": text(line, "sku")}
    return known(
        {
            "productId": product,
            "productName": name,
            "quantity": count(line, "quantity"),
            "totalPrice": amount(line, "total", code),
            "currency": code,
            "product": known(of_product) if product else None,
        }
    )


def _metadata(found: dict[str, Any]) -> dict[str, Any]:
    """Return what the shop keeps with an order; names with `_` are its plug-ins' own."""
    pairs = [(text(one, "key"), one.get("value")) for one in parts(found, "meta_data")]
    return {name: plain_json(value) for name, value in pairs if name and name[0] != "_"}
