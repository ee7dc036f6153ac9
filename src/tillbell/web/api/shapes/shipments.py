"""Shape of a parcel."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from tillbell.clock import Micros, to_datetime
from tillbell.model.shipments import Shipment
from tillbell.web.api.shapes.base import Out


class ShipmentOut(Out):
    """A parcel."""

    id: str
    uid: str | None = Field(description="The carrier's name and code of it.")
    carrier: str
    tracking_number: str
    status: str
    substate: str | None
    raw_status: str = Field(description="As the carrier wrote it.")
    order_id: str | None = Field(description="As the merchant told the carrier.")
    source_id: str
    occurred_at: datetime | None = Field(description="When the carrier says its status began.")
    delivered_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, shipment: Shipment) -> ShipmentOut:
        """Show a parcel."""
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
            occurred_at=_time(shipment.news_at),
            delivered_at=_time(shipment.delivered_at),
            version=shipment.version,
            created_at=to_datetime(shipment.created_at),
            updated_at=to_datetime(shipment.updated_at),
        )


def _time(at: Micros | None) -> datetime | None:
    return to_datetime(at) if at is not None else None
