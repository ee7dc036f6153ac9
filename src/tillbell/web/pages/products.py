"""Products, and one product with its stock and its webhook."""

from __future__ import annotations

from starlette.responses import Response

from tillbell.clock import iso
from tillbell.configure.webhooks import WebhookOwner
from tillbell.model.endpoints import ANY_PRODUCT, Endpoint
from tillbell.model.shop import Product
from tillbell.rules.filters.clauses import FilterList
from tillbell.web.api.shop_records import timeline_of
from tillbell.web.api.webhooks import ProductWebhookOut
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.shop_lists import (
    ShopList,
    facts_of,
    list_handler,
    metadata_of,
    record_of,
    steps_of,
    text_of,
)

_PLACE = "/products"
_EXAMPLE = (
    '{"name": "Course", "sku": "C-1", "price": "149.90", "currency": "EUR",\n       "stock": 12}'
)
_FACTS = {"sku": "Stock keeping unit", "createdAt": "Made", "imageUrl": "Picture"}
_COLUMNS = ("time", "id", "uid", "name", "sku", "stock", "price", "currency")


async def show(visit: Visit) -> Response:
    """Show a product."""
    product = await record_of(visit, Product, "product")
    data = product.data
    entries = await timeline_of(visit.gateway, product)
    return visit.show(
        "product.html",
        product=product,
        app_name=visit.names_of(product.scope)[0],
        name=name_of(product),
        price=text_of(data, "price"),
        currency=text_of(data, "currency"),
        stock=text_of(data, "stock"),
        sku=text_of(data, "sku"),
        description=text_of(data, "description"),
        webhook=await webhook_of(visit, product),
        facts=facts_of(data, _FACTS),
        metadata=metadata_of(data),
        steps=await steps_of(visit, product.scope, entries),
    )


async def webhook_of(visit: Visit, product: Product) -> ProductWebhookOut | None:
    """Return where orders with a product go: its own webhook, or the inherited one."""
    uid = product.uid or product.id
    endpoint = await own_webhook(visit, product.scope, uid)
    endpoint = endpoint or await own_webhook(visit, product.scope, ANY_PRODUCT)
    return ProductWebhookOut.of(endpoint, uid) if endpoint is not None else None


async def own_webhook(visit: Visit, app_id: str, product: str) -> Endpoint | None:
    """Return the webhook that is set for a product, or for those without one (`ANY_PRODUCT`)."""
    return await visit.gateway.webhooks.find(app_id, WebhookOwner(product_id=product))


def name_of(product: Product) -> str:
    """Return the name by which people know a product."""
    return text_of(product.data, "name") or product.uid or product.id


def _cells(product: Product) -> list[object]:
    return [
        iso(product.updated_at),
        product.id,
        product.uid,
        *(product.data.get(name) for name in ("name", "sku", "stock", "price", "currency")),
    ]


PRODUCTS = ShopList(FilterList.PRODUCT, Product, "products.html", _COLUMNS, _cells, _EXAMPLE)
PAGES = (
    SitePage(_PLACE, list_handler(PRODUCTS), _PLACE),
    SitePage("/products/{product}", show, _PLACE),
)
