"""Event types that the operator registered, and the built-in catalogue."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from tillbell.catalog import CATALOG
from tillbell.configure.event_types import not_registered
from tillbell.model.records import EventType
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import OrderedPageOf, filtered_page
from tillbell.web.api.routes import GatewayOf, also_answers, guard, resource
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.shapes.event_types import (
    CatalogEntryOut,
    EventTypeIn,
    EventTypeOut,
    EventTypePatch,
    EventTypeUpsertIn,
)
from tillbell.web.edge.auth import Action, Capability, Tenant

router = resource("/event-type", "Event Type")

READ = guard("event-type", Action.READ, Tenant.SHARED, Capability.VIEW_BASE)
WRITE = guard("event-type", Action.WRITE, Tenant.OPERATOR)

NameInPath = Annotated[str, Path(max_length=256)]


@router.get("", dependencies=READ)
async def list_(
    page: OrderedPageOf,
    gateway: GatewayOf,
    include_archived: Annotated[bool, Query()] = False,
    with_content: Annotated[bool, Query()] = False,
) -> Listed[EventTypeOut]:
    """List registered event types; `with_content` shows their schemas."""

    async def fetch(page: Page) -> list[EventType]:
        return await gateway.database.list(EventType, "", page)

    async def keep(kind: EventType) -> bool:
        return include_archived or not kind.archived

    found = await filtered_page(fetch, page, lambda k: k.id, keep)
    shown = [EventTypeOut.of(kind, with_content=with_content) for kind in found.rows]
    return Listed(**found.shown(shown))


@router.post("", status_code=201, dependencies=WRITE)
async def create(body: EventTypeIn, gateway: GatewayOf) -> EventTypeOut:
    """Register an event type. One that is archived comes back with the new description."""
    return EventTypeOut.of(await gateway.event_types.create(body.name, body.fields()))


@router.get("/catalog", dependencies=READ)
async def catalog() -> list[CatalogEntryOut]:
    """List the built-in event types, each with its schema and a sample."""
    return [
        CatalogEntryOut(
            name=entry.name,
            description=entry.description,
            schema=entry.schema,
            sample=entry.sample,
        )
        for entry in CATALOG.values()
    ]


@router.get("/{event_type_name}", dependencies=READ)
async def get(event_type_name: NameInPath, gateway: GatewayOf) -> EventTypeOut:
    """Show a registered event type."""
    kind = await gateway.config_cache.event_type(event_type_name)
    if kind is None:
        raise not_registered()
    return EventTypeOut.of(kind)


@router.put(
    "/{event_type_name}",
    dependencies=WRITE,
    responses=also_answers(201, EventTypeOut, "Registered."),
)
async def upsert(
    event_type_name: NameInPath, body: EventTypeUpsertIn, gateway: GatewayOf, response: Response
) -> EventTypeOut:
    """Replace an event type; register it (201) if it is new."""
    changed = await gateway.event_types.upsert(event_type_name, body.fields())
    response.status_code = 201 if changed.before is None else 200
    return EventTypeOut.of(changed.record)


@router.patch("/{event_type_name}", dependencies=WRITE)
async def patch(
    event_type_name: NameInPath, body: EventTypePatch, gateway: GatewayOf
) -> EventTypeOut:
    """Change some of an event type."""
    return EventTypeOut.of(await gateway.event_types.patch(event_type_name, body.fields()))


@router.delete("/{event_type_name}", status_code=204, dependencies=WRITE, response_model=None)
async def delete(
    event_type_name: NameInPath,
    gateway: GatewayOf,
    expunge: Annotated[bool, Query()] = False,
) -> Response:
    """Archive an event type; with `expunge`, forget it."""
    if expunge:
        await gateway.event_types.remove(event_type_name)
    else:
        await gateway.event_types.archive(event_type_name)
    return Response(status_code=204)
