"""Shipments: parcels and how they stand."""

from __future__ import annotations

from typing import Any

from tillbell.clock import Micros
from tillbell.model.shop import SearchColumns, ShopRecord


class Shipment(ShopRecord, frozen=True, kw_only=True):
    """A parcel. `uid` is the provider's name and the tracking number: `dexpress:TT0000000001`."""

    carrier: str
    tracking_number: str
    status: str
    substate: str | None = None
    raw_status: str = ""
    reference: str | None = None  # the order, as the merchant named it to the carrier
    source_id: str = ""
    news_at: Micros | None = None
    news_sequence: int | None = None
    delivered_at: Micros | None = None
    tracking_url: str | None = None
    estimated_delivery_at: Micros | None = None
    metadata: dict[str, Any] = {}

    @property
    def columns(self) -> SearchColumns:
        """What it is listed and searched by."""
        return SearchColumns(
            number=self.tracking_number, status=self.status, order_id=self.reference
        )
