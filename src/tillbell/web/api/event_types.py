"""Event types: those that the operator registered, and the built-in catalogue."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query, Response
from pydantic import Field

from tillbell.catalog import CATALOG, OPERATIONAL
from tillbell.clock import to_datetime
from tillbell.configure.event_types import not_registered
from tillbell.model.records import EventType
from tillbell.web.api.paging import AscendingPageOf, listed
from tillbell.web.api.routes import GatewayOf, PrincipalOf, also_answers, resource
from tillbell.web.api.shapes import Flag, In, Listed, Name, Out, Text

Schemas = dict[str, Any]


class Flagged(In):
    """A body with feature flags, under their present or their older name."""

    feature_flags: Annotated[list[Name], Field(max_length=250)] | None = Field(
        default=None, description="Hidden from portal tokens that have none of these flags."
    )
    feature_flag: Name | None = Field(
        default=None, description="Older name of `featureFlags`, with one flag."
    )

    @property
    def flags(self) -> tuple[str, ...] | None:
        """The flags; None: it is hidden from nobody."""
        if self.feature_flags is not None:
            return tuple(self.feature_flags)
        return (self.feature_flag,) if self.feature_flag is not None else None

    @property
    def names_flags(self) -> bool:
        """Tell whether the body names the flags, even as null."""
        return bool(self.model_fields_set & {"feature_flags", "feature_flag"})


class EventTypeUpsertIn(Flagged):
    """A whole event type. Its name is in the path."""

    description: Text = Field(description="For people: when such a message is published.")
    archived: Flag = Field(default=False, description="Whether it is hidden from lists.")
    deprecated: Flag = Field(
        default=False, description="Whether subscribers should stop to use it."
    )
    schemas: Schemas | None = Field(default=None, description="Version → JSON Schema.")
    group_name: Name | None = Field(
        default=None, description="Under which name user interfaces group it."
    )

    def fields(self) -> dict[str, Any]:
        """Return the fields of the record."""
        return {
            "description": self.description,
            "archived": self.archived,
            "deprecated": self.deprecated,
            "schemas": self.schemas,
            "group_name": self.group_name,
            "feature_flags": self.flags,
        }


class EventTypeIn(EventTypeUpsertIn):
    """A whole event type with its name."""

    name: Name


class EventTypePatch(Flagged):
    """Changes to an event type. Members left out stay as they are; null clears."""

    description: Text = Field(
        default="", description="For people: when such a message is published."
    )
    archived: Flag = Field(default=False, description="Whether it is hidden from lists.")
    deprecated: Flag = Field(
        default=False, description="Whether subscribers should stop to use it."
    )
    schemas: Schemas | None = Field(
        default=None, description="Version → JSON Schema of the payload; null deletes them."
    )
    group_name: Name | None = Field(
        default=None, description="Under which name user interfaces group it."
    )

    def fields(self) -> dict[str, Any]:
        """Return the fields of the record that the body names."""
        named = self.model_fields_set - {"feature_flags", "feature_flag"}
        fields = {name: getattr(self, name) for name in named}
        return fields | ({"feature_flags": self.flags} if self.names_flags else {})


class EventTypeOut(Out):
    """An event type."""

    name: str
    description: str = Field(description="For people: when such a message is published.")
    archived: bool = Field(description="Whether it is hidden from lists.")
    deprecated: bool = Field(description="Whether subscribers should stop to use it.")
    schemas: Schemas | None = Field(
        description=(
            "Version → JSON Schema of the payload; null: none, or `with_content` was not asked for."
        ),
    )
    group_name: str | None = Field(description="Under which name user interfaces group it.")
    feature_flags: list[str] | None = Field(
        description="Hidden from portal tokens that have none of these flags; null: shown to all."
    )
    feature_flag: str | None = Field(description="The first of `featureFlags`.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, event_type: EventType, *, with_content: bool = True) -> EventTypeOut:
        """Return an event type in the shape that callers see; its schemas if `with_content`."""
        flags = event_type.feature_flags
        return cls(
            name=event_type.uid or event_type.id,
            description=event_type.description,
            archived=event_type.archived,
            deprecated=event_type.deprecated,
            schemas=event_type.schemas if with_content else None,
            group_name=event_type.group_name,
            feature_flags=list(flags) if flags is not None else None,
            feature_flag=flags[0] if flags else None,
            created_at=to_datetime(event_type.created_at),
            updated_at=to_datetime(event_type.updated_at),
        )


class CatalogEntryOut(Out):
    """A built-in event type."""

    name: str
    description: str = Field(description="For people: when such a message is published.")
    schema_: dict[str, Any] = Field(alias="schema", description="JSON Schema of its payload.")
    sample: dict[str, Any] = Field(description="A payload of this type.")


router = resource("/event-type", "Event Type")


NameInPath = Annotated[str, Path(max_length=256)]


@router.get("")
async def list_(
    page: AscendingPageOf,
    gateway: GatewayOf,
    principal: PrincipalOf,
    include_archived: Annotated[bool, Query()] = False,
    with_content: Annotated[bool, Query()] = False,
) -> Listed[EventTypeOut]:
    """List registered event types, oldest first. `with_content` shows their schemas."""

    async def keep(event_type: EventType) -> bool:
        is_shown = include_archived or not event_type.archived
        return is_shown and principal.may_see_type(event_type)

    return await listed(
        lambda page: gateway.database.list(EventType, "", page),
        page,
        lambda event_type: EventTypeOut.of(event_type, with_content=with_content),
        keep,
    )


@router.post("", status_code=201)
async def create(body: EventTypeIn, gateway: GatewayOf) -> EventTypeOut:
    """Register an event type. If it is archived, it is restored with these members."""
    return EventTypeOut.of(await gateway.event_types.create(body.name, body.fields()))


@router.get("/catalog")
async def catalog(gateway: GatewayOf, principal: PrincipalOf) -> list[CatalogEntryOut]:
    """List the built-in event types, each with its schema and a sample."""
    registered = gateway.config_cache.cached_event_type
    return [
        CatalogEntryOut(
            name=entry.name,
            description=entry.description,
            schema=entry.schema,
            sample=entry.sample,
        )
        for entry in CATALOG.values()
        if principal.may_see_type(registered(entry.name))
    ]


@router.get("/{event_type_name:path}")
async def get(
    event_type_name: NameInPath, gateway: GatewayOf, principal: PrincipalOf
) -> EventTypeOut:
    """Show a registered event type, or a built-in one of operational webhooks."""
    event_type = gateway.config_cache.cached_event_type(event_type_name)
    if event_type is None:
        event_type = _operational(event_type_name)
    if event_type is None or not principal.may_see_type(event_type):
        raise not_registered()
    return EventTypeOut.of(event_type)


def _operational(name: str) -> EventType | None:
    """Return a built-in event type of operational webhooks as if it were registered."""
    if name not in OPERATIONAL:
        return None
    entry = CATALOG[name]
    schemas = {"1": entry.schema}
    return EventType(id=name, uid=name, description=entry.description, schemas=schemas)


@router.put(
    "/{event_type_name:path}",
    responses=also_answers(201, EventTypeOut, "Registered."),
)
async def upsert(
    event_type_name: NameInPath, body: EventTypeUpsertIn, gateway: GatewayOf, response: Response
) -> EventTypeOut:
    """Replace an event type, or register it (201) if it is new."""
    changed = await gateway.event_types.upsert(event_type_name, body.fields())
    response.status_code = 201 if changed.before is None else 200
    return EventTypeOut.of(changed.record)


@router.patch("/{event_type_name:path}")
async def patch(
    event_type_name: NameInPath, body: EventTypePatch, gateway: GatewayOf
) -> EventTypeOut:
    """Change the named members of an event type."""
    return EventTypeOut.of(await gateway.event_types.patch(event_type_name, body.fields()))


@router.delete("/{event_type_name:path}", status_code=204, response_model=None)
async def delete(
    event_type_name: NameInPath,
    gateway: GatewayOf,
    expunge: Annotated[bool, Query()] = False,
) -> Response:
    """Archive an event type. With `expunge`, delete it."""
    if expunge:
        await gateway.event_types.remove(event_type_name)
    else:
        await gateway.event_types.archive(event_type_name)
    return Response(status_code=204)
