"""Products of an application, with their stock."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from tillbell.model.shop import Product
from tillbell.web.api.amounts import AmountText
from tillbell.web.api.shapes import In, Listed, Out, Time
from tillbell.web.api.shop_records import (
    Currency,
    LongText,
    Members,
    PlatformTime,
    ShortText,
    TimelineEntry,
    timeline_of,
    with_exact_amounts,
)
from tillbell.web.api.shop_routes import Shapes, Words, add_removal, document_resource, shop_router

Stock = Annotated[int, Field(strict=True, ge=-1_000_000_000, le=1_000_000_000)]


class ProductMembers(In):
    """What the shop says of a product."""

    name: ShortText | None = Field(default=None, description="What customers read.")
    description: LongText | None = Field(default=None, description="For customers.")
    price: AmountText | None = Field(default=None, description="Price of one.")
    currency: Currency | None = None
    sku: ShortText | None = Field(default=None, description="Stock keeping unit.")
    stock: Stock | None = Field(default=None, description="How many are left; null: not counted.")
    image_url: ShortText | None = Field(default=None, description="Where its picture is.")
    created_at: Time | None = Field(default=None, description="When it was made.")
    metadata: Members | None = None
    updated_at: PlatformTime | None = None


class ProductIn(ProductMembers):
    """A product to create or replace."""


class ProductPatch(ProductMembers):
    """Changes to a product. Members left out stay as they are; null removes."""


class ProductOut(Out):
    """A product."""

    id: str
    uid: str | None
    name: str | None = Field(default=None, description="What customers read.")
    description: str | None = Field(default=None, description="For customers.")
    price: str | None = Field(default=None, description="Price of one.")
    currency: str | None = Field(default=None, description="Code of its currency or coin.")
    sku: str | None = Field(default=None, description="Stock keeping unit.")
    stock: int | None = Field(default=None, description="How many are left; null: not counted.")
    image_url: str | None = Field(default=None, description="Where its picture is.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="What the shop keeps with it."
    )
    version: int
    source_id: str | None
    created_at: datetime
    updated_at: datetime


class ProductDetailOut(ProductOut):
    """A product with what happened to it."""

    timeline: list[TimelineEntry] = Field(description="What happened, the oldest first.")


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Return a product whose price is exact."""
    return data if data.get("price") is None else with_exact_amounts(data, ("price",))


RESOURCE = document_resource(
    Product,
    Words("product", "a product", "products"),
    Shapes(ProductIn, ProductPatch, ProductOut, Listed[ProductOut], ProductDetailOut),
    _checked,
    timeline_of,
)
router = shop_router(RESOURCE)
add_removal(router, Product, RESOURCE.words)
