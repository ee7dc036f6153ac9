"""Order products: the lines of an order that is paid or cancelled carry the whole products.

A platform's profile sends them (`order:paid:product` of Shoppex). Products are read only if an
endpoint has such a profile, and a line that has its product already keeps it.
"""

from __future__ import annotations

from typing import Any

from tillbell.deliver.application_views import ApplicationView
from tillbell.model.shop import Order, Product
from tillbell.process.decision import Decision
from tillbell.process.shop_documents import document_data, written
from tillbell.storage.ports.database import Database

_WITH_PRODUCTS = frozenset({"order.paid", "order.cancelled"})
_PRODUCTS_MAX = 100  # of one order, that are read


async def add_products(database: Database, decision: Decision, view: ApplicationView) -> None:
    """Add the products to the messages of a decision about orders that are paid or cancelled."""
    messages = decision.told_about(Order, _WITH_PRODUCTS)
    if not messages or not any(
        each.profile.has_platform_names for each in view.compiled_endpoints.values()
    ):
        return
    for draft, data in messages:
        items = data.get("items")
        if isinstance(items, list):
            products = await _products_of(database, decision, items)
            lines = [_with_product(item, products) for item in items]
            if lines != items:
                decision.tell_instead(draft, data | {"items": lines})


async def _products_of(
    database: Database, decision: Decision, items: list[Any]
) -> dict[str, dict[str, Any]]:
    uids = {str(item.get("productId")) for item in items if isinstance(item, dict)}
    products: dict[str, dict[str, Any]] = {}
    for uid in sorted(uids)[:_PRODUCTS_MAX]:
        product = await written(database, decision, Product, uid)
        if product is not None:
            products[uid] = document_data(product)
    return products


def _with_product(item: Any, products: dict[str, dict[str, Any]]) -> Any:
    if not isinstance(item, dict) or "product" in item:
        return item
    product = products.get(str(item.get("productId")))
    return item if product is None else item | {"product": product}
