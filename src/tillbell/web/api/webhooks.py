"""The webhook of a product, and the one that products have that set none of their own.

It is an endpoint: its deliveries, attempts, secret and resends are under `endpointId`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Response
from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.configure.webhooks import WebhookOwner, Webhooks, WebhookSetting
from tillbell.errors import NotFound
from tillbell.model.endpoints import ANY_PRODUCT, Endpoint, EndpointStatus
from tillbell.model.shop import Product
from tillbell.web.api.endpoints import EventTypes, ProfileName, SecretText, Url
from tillbell.web.api.routes import ApplicationOf, GatewayOf, resource
from tillbell.web.api.shapes import Flag, In, Out
from tillbell.web.edge.patterns import LABEL

ZENOFY = "zenofy"


class ProductWebhookIn(In):
    """A webhook for the orders with a product."""

    url: Url = Field(description="Where the orders are sent: `https://…`.")
    enabled: Flag = Field(default=True, description="False: nothing is sent.")
    secret: SecretText | None = Field(
        default=None,
        description="Sent in `X-Webhook-Secret` by `zenofy`. Left out: it stays; null: none.",
    )
    own_lines_only: Flag = Field(
        default=False,
        description="Whether it gets only the lines with its products, not the whole order.",
    )
    profile: ProfileName = Field(default=ZENOFY, description="The format of its requests.")
    event_types: EventTypes | None = Field(
        default=None, description="Selectors; null: every event about orders of its profile."
    )

    def setting(self, description: str) -> WebhookSetting:
        """Return what is set."""
        fields: dict[str, Any] = {
            "description": description,
            "own_lines": self.own_lines_only,
            "profile": self.profile,
            "selectors": tuple(self.event_types) if self.event_types is not None else None,
        }
        sets_secret = "secret" in self.model_fields_set
        return WebhookSetting(self.url, self.enabled, self.secret, sets_secret, fields)


class ProductWebhookOut(Out):
    """A webhook for the orders with a product."""

    endpoint_id: str = Field(description="Its endpoint: deliveries, attempts and secret.")
    product_id: str | None = Field(
        description="The product; null: all that have none of their own."
    )
    inherited: bool = Field(description="Whether it is the one of products without one.")
    url: str = Field(description="Where the orders are sent.")
    enabled: bool = Field(description="Whether orders are sent.")
    has_secret: bool = Field(description="Whether it has a secret.")
    own_lines_only: bool = Field(description="Whether it gets only the lines with its products.")
    profile: ProfileName = Field(description="Format of its requests.")
    event_types: list[str] | None = Field(
        description="Selectors; null: every event about orders of its profile."
    )
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint, product_id: str | None) -> ProductWebhookOut:
        """Return a webhook in the shape that callers see."""
        own = None if endpoint.product_id == ANY_PRODUCT else endpoint.product_id
        selectors = endpoint.selectors
        return cls(
            endpoint_id=endpoint.id,
            product_id=own,
            inherited=own != product_id,
            url=endpoint.url,
            enabled=endpoint.status is not EndpointStatus.DISABLED,
            has_secret=bool(endpoint.secrets),
            own_lines_only=endpoint.own_lines,
            profile=endpoint.profile,
            event_types=list(selectors) if selectors is not None else None,
            created_at=to_datetime(endpoint.created_at),
            updated_at=to_datetime(endpoint.updated_at),
        )


product_router = resource("/app/{app_id}/product/{product_id}/webhook", "Product Webhook")
default_router = resource("/app/{app_id}/product-webhook", "Default Product Webhook")


async def the_product(
    product_id: Annotated[
        str, Path(description="The product: its id or uid.", pattern=LABEL, max_length=256)
    ],
    app: ApplicationOf,
    gateway: GatewayOf,
) -> str:
    """Return the id by which orders name the product. It need not have been put."""
    product = await gateway.database.get(Product, product_id, app.id)
    return product.uid or product.id if product is not None else product_id


async def the_webhooks(gateway: GatewayOf) -> Webhooks:
    """Return the use cases of webhooks."""
    return gateway.webhooks


ProductOf = Annotated[str, Depends(the_product)]
WebhooksOf = Annotated[Webhooks, Depends(the_webhooks)]
_DEFAULT = WebhookOwner(product_id=ANY_PRODUCT)


@product_router.get("")
async def get(app: ApplicationOf, product: ProductOf, webhooks: WebhooksOf) -> ProductWebhookOut:
    """Show the webhook that orders with a product go to: its own, or the inherited one."""
    endpoint = await webhooks.find(app.id, WebhookOwner(product_id=product))
    endpoint = endpoint or await webhooks.find(app.id, _DEFAULT)
    if endpoint is None:
        raise NotFound("It has no webhook.")
    return ProductWebhookOut.of(endpoint, product)


@product_router.put("")
async def upsert(
    app: ApplicationOf, product: ProductOf, body: ProductWebhookIn, webhooks: WebhooksOf
) -> ProductWebhookOut:
    """Set the webhook of a product. An order goes once to each URL and secret.

    With `enabled: false` nothing is sent for this product, and nothing is inherited.
    """
    owner = WebhookOwner(product_id=product)
    endpoint = await webhooks.put(app.id, owner, body.setting(f"Webhook of product {product}"))
    return ProductWebhookOut.of(endpoint, product)


@product_router.delete("", status_code=204, response_model=None)
async def delete(app: ApplicationOf, product: ProductOf, webhooks: WebhooksOf) -> Response:
    """Remove the webhook of a product. It inherits the one of products without one again."""
    await webhooks.remove(app.id, WebhookOwner(product_id=product))
    return Response(status_code=204)


@default_router.get("", name="get")
async def get_default(app: ApplicationOf, webhooks: WebhooksOf) -> ProductWebhookOut:
    """Show the webhook of products that set none of their own."""
    endpoint = await webhooks.find(app.id, _DEFAULT)
    if endpoint is None:
        raise NotFound("There is none.")
    return ProductWebhookOut.of(endpoint, None)


@default_router.put("", name="upsert")
async def upsert_default(
    app: ApplicationOf, body: ProductWebhookIn, webhooks: WebhooksOf
) -> ProductWebhookOut:
    """Set the webhook of products that set none of their own."""
    setting = body.setting("Webhook of products without one of their own")
    return ProductWebhookOut.of(await webhooks.put(app.id, _DEFAULT, setting), None)


@default_router.delete("", status_code=204, response_model=None, name="delete")
async def delete_default(app: ApplicationOf, webhooks: WebhooksOf) -> Response:
    """Remove the webhook of products that set none of their own."""
    await webhooks.remove(app.id, _DEFAULT)
    return Response(status_code=204)
