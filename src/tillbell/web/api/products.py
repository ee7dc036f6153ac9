"""Products of an application, with their stock."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from pydantic import Field

from tillbell.model.shop import Product
from tillbell.web.api.amounts import AmountText
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import In, Listed, Out, Time
from tillbell.web.api.shop_records import (
    Currency,
    ListedRecordsOf,
    LongText,
    Members,
    PlatformTime,
    RecordId,
    RecordUid,
    ShortText,
    TimelineEntry,
    answer_list,
    news_of,
    present,
    shown,
    timeline_of,
    with_exact_amounts,
)

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

    @classmethod
    def of(cls, product: Product) -> ProductOut:
        """Return a product in the shape that callers see."""
        return ProductOut.model_validate(shown(product))


class ProductDetailOut(ProductOut):
    """A product with what happened to it."""

    timeline: list[TimelineEntry] = Field(description="What happened, the oldest first.")


router = resource("/app/{app_id}/product", "Product")


@router.get("")
async def list_(
    app: ApplicationOf, wanted: ListedRecordsOf, gateway: GatewayOf
) -> Listed[ProductOut]:
    """List products by their last change, the latest first."""
    return await answer_list(gateway, Product, app.id, wanted, ProductOut.of)


@router.get("/{product_id}")
async def get(app: ApplicationOf, product_id: RecordId, gateway: GatewayOf) -> ProductDetailOut:
    """Show a product with what happened to it."""
    record = await present(gateway, Product, app.id, product_id)
    members = ProductOut.of(record).model_dump()
    return ProductDetailOut(**members, timeline=await timeline_of(gateway, record))


@router.put("/{product_uid}", responses=also_answers(201, ProductOut, "Created."))
async def upsert(
    app: ApplicationOf,
    product_uid: RecordUid,
    body: ProductIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
    response: Response,
) -> ProductOut:
    """Replace a product, or create it (201). What changes nothing publishes nothing."""
    news = news_of(body)
    news = news._replace(data=_checked(dict(news.data)))
    put = await gateway.shop_records.put(app.id, Product, product_uid, news, principal.key.id)
    response.status_code = 201 if put.is_new else 200
    return ProductOut.of(put.record)


@router.patch("/{product_id}")
async def patch(
    app: ApplicationOf,
    product_id: RecordId,
    body: ProductPatch,
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> ProductOut:
    """Change the named members of a product; null removes one."""
    news = news_of(body)
    record = await present(gateway, Product, app.id, product_id)
    checked = _checked({**record.data, **news.data})
    news = news._replace(data={name: checked[name] for name in news.data})
    patched = await gateway.shop_records.patch(
        app.id, Product, record.uid or record.id, news, principal.key.id
    )
    return ProductOut.of(patched)


@router.delete("/{product_id}", status_code=204, response_model=None)
async def delete(
    app: ApplicationOf, product_id: RecordId, gateway: GatewayOf, principal: PrincipalOf
) -> Response:
    """Delete a product, and publish `product.deleted`."""
    record = await present(gateway, Product, app.id, product_id)
    await gateway.shop_records.remove(app.id, Product, record.uid or record.id, principal.key.id)
    return Response(status_code=204)


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Return a product whose price is exact."""
    return data if data.get("price") is None else with_exact_amounts(data, ("price",))
