"""Event types that the operator registered, and the built-in catalogue."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Path, Query, Response

from tillbell.app import Gateway
from tillbell.catalog import CATALOG
from tillbell.deliver.schemas import compile_schema
from tillbell.errors import Conflict, Invalid, NotFound, Problem
from tillbell.model.records import EventType
from tillbell.rules.delivery.selectors import check_event_type
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import OrderedPageOf, cut_filtered
from tillbell.web.api.routes import GatewayOf, also, guard, resource
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

    found = await cut_filtered(fetch, page, lambda k: k.id, keep)
    shown = [EventTypeOut.of(kind, with_content=with_content) for kind in found.rows]
    return Listed(**found.shown(shown))


@router.post("", status_code=201, dependencies=WRITE)
async def create(body: EventTypeIn, gateway: GatewayOf) -> EventTypeOut:
    """Register an event type. One that is archived comes back with the new description."""
    existing = await gateway.directory.event_type(body.name)
    if existing is not None and not existing.archived:
        raise Conflict(f"The event type {body.name} exists already.")
    return await _store(gateway, body.name, body, existing)


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
    return EventTypeOut.of(await _found(gateway, event_type_name))


@router.put(
    "/{event_type_name}", dependencies=WRITE, responses=also(201, EventTypeOut, "Registered.")
)
async def upsert(
    event_type_name: NameInPath, body: EventTypeUpsertIn, gateway: GatewayOf, response: Response
) -> EventTypeOut:
    """Replace an event type; register it (201) if it is new."""
    existing = await gateway.directory.event_type(event_type_name)
    if existing is None:
        response.status_code = 201
    return await _store(gateway, event_type_name, body, existing)


@router.patch("/{event_type_name}", dependencies=WRITE)
async def patch(
    event_type_name: NameInPath, body: EventTypePatch, gateway: GatewayOf
) -> EventTypeOut:
    """Change some of an event type."""
    existing = await _found(gateway, event_type_name)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if changes.get("feature_flags") is not None:
        changes["feature_flags"] = tuple(changes["feature_flags"])
    _check_schemas(changes.get("schemas"))
    fresh = msgspec.structs.replace(existing, **changes, updated_at=gateway.clock.now())
    await gateway.directory.put(fresh)
    return EventTypeOut.of(fresh)


@router.delete("/{event_type_name}", status_code=204, dependencies=WRITE, response_model=None)
async def delete(
    event_type_name: NameInPath,
    gateway: GatewayOf,
    expunge: Annotated[bool, Query()] = False,
) -> Response:
    """Archive an event type; with `expunge`, forget it."""
    existing = await _found(gateway, event_type_name)
    if expunge:
        await gateway.directory.remove(EventType, existing.id)
    else:
        now = gateway.clock.now()
        await gateway.directory.put(
            msgspec.structs.replace(existing, archived=True, updated_at=now)
        )
    return Response(status_code=204)


async def _found(gateway: Gateway, name: str) -> EventType:
    kind = await gateway.directory.event_type(name)
    if kind is None:
        raise NotFound("There is no such event type; built-in ones are at /event-type/catalog.")
    return kind


async def _store(
    gateway: Gateway, name: str, body: EventTypeUpsertIn, existing: EventType | None
) -> EventTypeOut:
    if (wrong := check_event_type(name)) is not None:
        raise Invalid(Problem(("body", "name"), wrong, "event_type"))
    _check_schemas(body.schemas)
    now = gateway.clock.now()
    kind = EventType(
        id=existing.id if existing else gateway.ids.new("et", now),
        uid=name,
        created_at=existing.created_at if existing else now,
        updated_at=now,
        description=body.description,
        schemas=body.schemas,
        archived=body.archived,
        deprecated=body.deprecated,
        group_name=body.group_name,
        feature_flags=tuple(body.feature_flags) if body.feature_flags is not None else None,
    )
    await gateway.directory.put(kind)
    return EventTypeOut.of(kind)


def _check_schemas(schemas: dict[str, Any] | None) -> None:
    for version, schema in (schemas or {}).items():
        try:
            compile_schema(schema)
        except (ValueError, RecursionError) as error:
            loc = ("body", "schemas", version)
            message = str(error).split("\n", maxsplit=1)[0] or "is not a JSON Schema"
            raise Invalid(Problem(loc, message, "json_schema")) from error
