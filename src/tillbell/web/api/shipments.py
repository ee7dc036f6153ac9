"""Parcels of an application, as their carriers or the shop report them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from fastapi import Response
from pydantic import Field

from tillbell.clock import from_datetime, to_datetime
from tillbell.model.shipments import Shipment
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import In, Listed, Out, Time, optional_time
from tillbell.web.api.shop_records import (
    ListedRecordsOf,
    LongText,
    Members,
    PlatformTime,
    RecordId,
    RecordUid,
    ShortText,
    answer_list,
    present,
)

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


router = resource("/app/{app_id}/shipment", "Shipment")


@router.get("")
async def list_(
    app: ApplicationOf, wanted: ListedRecordsOf, gateway: GatewayOf
) -> Listed[ShipmentOut]:
    """List parcels by their last change, the latest first."""
    return await answer_list(gateway, Shipment, app.id, wanted, ShipmentOut.of)


@router.get("/{shipment_id}")
async def get(app: ApplicationOf, shipment_id: RecordId, gateway: GatewayOf) -> ShipmentOut:
    """Show a parcel, by its id, your id or `provider:number`."""
    return ShipmentOut.of(await present(gateway, Shipment, app.id, shipment_id))


@router.put("/{shipment_uid}", responses=also_answers(201, ShipmentOut, "Created."))
async def upsert(
    app: ApplicationOf,
    shipment_uid: RecordUid,
    body: ShipmentIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
    response: Response,
) -> ShipmentOut:
    """Replace a parcel, or create it (201). A new status is published, once."""
    put = await gateway.shop_shipments.put(app.id, shipment_uid, body.fields(), principal.key.id)
    response.status_code = 201 if put.is_new else 200
    return ShipmentOut.of(put.shipment)


@router.patch("/{shipment_id}")
async def patch(
    app: ApplicationOf,
    shipment_id: RecordId,
    body: ShipmentPatch,
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> ShipmentOut:
    """Change the named members of a parcel. A new status is published, once."""
    changed = await gateway.shop_shipments.patch(
        app.id, shipment_id, body.fields(), principal.key.id
    )
    return ShipmentOut.of(changed)
