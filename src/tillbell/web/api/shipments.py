"""Parcels of an application, as its carriers tell of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from tillbell.errors import NotFound
from tillbell.model.shipments import Shipment
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import OrderedPageOf, list_page
from tillbell.web.api.routes import ApplicationOf, GatewayOf, app_read, resource
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.shapes.shipments import ShipmentOut

router = resource("/app/{app_id}/shipment", "Shipment")

READ = app_read("shipment", None)


@router.get("", dependencies=READ)
async def list_(app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf) -> Listed[ShipmentOut]:
    """List parcels, newest first."""

    async def fetch(page: Page) -> list[Shipment]:
        return await gateway.database.list(Shipment, app.id, page)

    found = await list_page(fetch, page, lambda shipment: shipment.id)
    return Listed(**found.shown([ShipmentOut.of(one) for one in found.rows]))


@router.get("/{shipment_id}", dependencies=READ)
async def get(
    app: ApplicationOf,
    shipment_id: Annotated[str, Path(description="Id, or `carrier:code`.", max_length=256)],
    gateway: GatewayOf,
) -> ShipmentOut:
    """Show a parcel."""
    found = await gateway.database.get(Shipment, shipment_id, app.id)
    if found is None:
        raise NotFound("There is no such shipment.")
    return ShipmentOut.of(found)
