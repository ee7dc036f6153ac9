"""Parcels of an application, as their carriers report them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.errors import NotFound
from tillbell.model.shipments import Shipment
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import ApplicationOf, GatewayOf, resource
from tillbell.web.api.shapes import Listed, Out, optional_time


class ShipmentOut(Out):
    """A parcel."""

    id: str
    uid: str | None = Field(description="Provider and tracking number, as `provider:number`.")
    carrier: str = Field(description="Name of the provider that reports the parcel.")
    tracking_number: str = Field(description="The carrier's number of the parcel.")
    status: str = Field(description="How the parcel stands.")
    substate: str | None = Field(
        description="More exactly, in the carrier's terms; null: nothing more is known."
    )
    raw_status: str = Field(description="Status as the carrier wrote it.")
    order_id: str | None = Field(description="Order id that the merchant gave to the carrier.")
    source_id: str
    occurred_at: datetime | None = Field(description="When its status began, says the carrier.")
    delivered_at: datetime | None = Field(description="When it was delivered (UTC); null: not yet.")
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
            source_id=shipment.source_id,
            occurred_at=optional_time(shipment.news_at),
            delivered_at=optional_time(shipment.delivered_at),
            version=shipment.version,
            created_at=to_datetime(shipment.created_at),
            updated_at=to_datetime(shipment.updated_at),
        )


router = resource("/app/{app_id}/shipment", "Shipment")


@router.get("")
async def list_(app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf) -> Listed[ShipmentOut]:
    """List parcels, newest first."""
    return await listed(
        lambda page: gateway.database.list(Shipment, app.id, page), page, ShipmentOut.of
    )


@router.get("/{shipment_id}")
async def get(
    app: ApplicationOf,
    shipment_id: Annotated[
        str, Path(description="The parcel: its id, or `provider:number`.", max_length=256)
    ],
    gateway: GatewayOf,
) -> ShipmentOut:
    """Show a parcel."""
    shipment = await gateway.database.get(Shipment, shipment_id, app.id)
    if shipment is None:
        raise NotFound("There is no such shipment.")
    return ShipmentOut.of(shipment)
