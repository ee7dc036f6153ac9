"""Shipments: parcels and how they stand."""

from __future__ import annotations

from tillbell.clock import Micros
from tillbell.model.records import Record


class Shipment(Record, frozen=True, kw_only=True):
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
