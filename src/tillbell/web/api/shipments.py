"""Parcels of an application, as their carriers or the shop report them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import from_datetime, to_datetime
from tillbell.model.shipments import Shipment
from tillbell.web.api.shapes import In, Listed, Out, Time, optional_time
from tillbell.web.api.shop_records import (
    LongText,
    Members,
    PlatformTime,
    ShortText,
)
from tillbell.web.api.shop_routes import Put, Shapes, ShopResource, Words, shop_router

ShipmentStatus = Literal["created", "in_transit", "exception", "delivered", "returned", "cancelled"]


class ShipmentMembers(In):
    """What the shop says of a parcel."""

    carrier: ShortText | None = Field(default=None, description="Who brings it.")
    tracking_number: ShortText | None = Field(default=None, description="The carrier's number.")
    status: ShipmentStatus | None = Field(
        default=None, description="How it stands; `created` if left out."
    )
    substate: ShortText | None = Field(default=None, description="More exactly.")
    order_id: ShortText | None = Field(default=None, description="The order that it brings.")
    tracking_url: LongText | None = Field(default=None, description="Where the customer can look.")
    estimated_delivery_at: Time | None = Field(default=None, description="When it should arrive.")
    delivered_at: Time | None = Field(default=None, description="When it was delivered.")
    metadata: Members | None = None
    updated_at: PlatformTime | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields of the record that the body names."""
        named = self.model_fields_set - {"order_id", "updated_at", "metadata"}
        fields = {name: getattr(self, name) for name in named}
        for name, value in fields.items():
            if isinstance(value, datetime):
                fields[name] = from_datetime(value)
        if "order_id" in self.model_fields_set:
            fields["reference"] = self.order_id
        if "metadata" in self.model_fields_set:
            fields["metadata"] = self.metadata or {}
        if self.updated_at is not None:
            fields["news_at"] = from_datetime(self.updated_at)
        return fields


class ShipmentIn(ShipmentMembers):
    """A parcel to create or replace."""

    carrier: ShortText = Field(description="Who brings it.")
    tracking_number: ShortText = Field(description="The carrier's number.")


class ShipmentPatch(ShipmentMembers):
    """Changes to a parcel. Members left out stay as they are."""


class ShipmentOut(Out):
    """A parcel."""

    id: str
    uid: str | None = Field(
        description="Your id of it, or provider and tracking number: `provider:number`."
    )
    carrier: str = Field(description="Who brings it, or reports it.")
    tracking_number: str = Field(description="The carrier's number of the parcel.")
    status: str = Field(description="How the parcel stands.")
    substate: str | None = Field(
        description="More exactly, in the carrier's terms; null: nothing more is known."
    )
    raw_status: str = Field(description="Status as the carrier wrote it.")
    order_id: str | None = Field(description="The order, as the merchant named it to the carrier.")
    tracking_url: str | None = Field(description="Where the customer can look; null: not known.")
    source_id: str
    occurred_at: datetime | None = Field(description="When its status began, says the carrier.")
    estimated_delivery_at: datetime | None = Field(
        description="When it should arrive (UTC); null: not known."
    )
    delivered_at: datetime | None = Field(description="When it was delivered (UTC); null: not yet.")
    metadata: dict[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, shipment: Shipment) -> ShipmentOut:
        """Return a parcel in the shape that callers see."""
        return cls(
            id=shipment.id,
            uid=shipment.uid,
            carrier=shipment.carrier,
            tracking_number=shipment.tracking_number,
            status=shipment.status,
            substate=shipment.substate,
            raw_status=shipment.raw_status,
            order_id=shipment.reference,
            tracking_url=shipment.tracking_url,
            source_id=shipment.source_id,
            occurred_at=optional_time(shipment.news_at),
            estimated_delivery_at=optional_time(shipment.estimated_delivery_at),
            delivered_at=optional_time(shipment.delivered_at),
            metadata=shipment.metadata,
            version=shipment.version,
            created_at=to_datetime(shipment.created_at),
            updated_at=to_datetime(shipment.updated_at),
        )


async def _detail_of(_: Gateway, shipment: Shipment) -> ShipmentOut:
    return ShipmentOut.of(shipment)


async def _put(
    gateway: Gateway, app_id: str, uid: str, body: ShipmentIn, key_id: str
) -> Put[Shipment]:
    put = await gateway.shop_shipments.put(app_id, uid, body.fields(), key_id)
    return Put(put.shipment, put.is_new)


async def _patch(
    gateway: Gateway, app_id: str, id_: str, body: ShipmentPatch, key_id: str
) -> Shipment:
    return await gateway.shop_shipments.patch(app_id, id_, body.fields(), key_id)


RESOURCE = ShopResource(
    kind=Shipment,
    words=Words(
        "shipment",
        "a parcel",
        "parcels",
        get="Show {phrase}, by its id, your id or `provider:number`.",
        upsert="Replace {phrase}, or create it (201). A new status is published, once.",
        patch="Change the named members of {phrase}. A new status is published, once.",
    ),
    shapes=Shapes(ShipmentIn, ShipmentPatch, ShipmentOut, Listed[ShipmentOut], ShipmentOut),
    shape_of=ShipmentOut.of,
    detail_of=_detail_of,
    put=_put,
    patch=_patch,
)
router = shop_router(RESOURCE)
