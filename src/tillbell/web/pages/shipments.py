"""Parcels, and one parcel."""

from __future__ import annotations

from starlette.responses import Response

from tillbell.clock import iso
from tillbell.model.shipments import Shipment
from tillbell.rules.filters.clauses import FilterList
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.shop_lists import ShopList, list_handler, metadata_of, record_of

_PLACE = "/shipments"
_EXAMPLE = (
    '{"carrier": "D Express", "trackingNumber": "TT0000000001", "orderId": "1001",\n'
    '       "status": "in_transit"}'
)
_COLUMNS = ("time", "id", "uid", "carrier", "trackingNumber", "status", "orderId", "deliveredAt")


async def show(visit: Visit) -> Response:
    """Show a parcel."""
    shipment = await record_of(visit, Shipment, "shipment")
    url = shipment.tracking_url or ""
    return visit.show(
        "shipment.html",
        shipment=shipment,
        app_name=visit.names_of(shipment.scope)[0],
        tracking_url=url if url.startswith(("https://", "http://")) else "",
        metadata=metadata_of({"metadata": shipment.metadata}),
    )


def _cells(shipment: Shipment) -> list[object]:
    return [
        iso(shipment.updated_at),
        shipment.id,
        shipment.uid,
        shipment.carrier,
        shipment.tracking_number,
        shipment.status,
        shipment.reference,
        iso(shipment.delivered_at) if shipment.delivered_at is not None else None,
    ]


SHIPMENTS = ShopList(FilterList.SHIPMENT, Shipment, "shipments.html", _COLUMNS, _cells, _EXAMPLE)
PAGES = (
    SitePage(_PLACE, list_handler(SHIPMENTS), _PLACE),
    SitePage("/shipments/{shipment}", show, _PLACE),
)
