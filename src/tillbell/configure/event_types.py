"""Changes of event types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tillbell.configure.parts import Parts
from tillbell.deliver.record_changes import ChangedRecord
from tillbell.deliver.schemas import compile_schema
from tillbell.errors import ConflictError, Invalid, NotFound, Problem
from tillbell.model.records import EventType
from tillbell.rules.delivery.selectors import check_event_type

_CATALOG = "catalog"  # a path of the API
_UNREACHABLE = frozenset({"", ".", ".."})  # parts of a path that HTTP clients change
# Replacing an event type resets these fields unless they are named.
_UNSET: Mapping[str, Any] = {
    "schemas": None,
    "archived": False,
    "deprecated": False,
    "group_name": None,
    "feature_flags": None,
}


class EventTypes:
    """Registers, changes and removes event types. `fields` are fields of the record by name."""

    def __init__(self, parts: Parts) -> None:
        self._directory = parts.directory
        self._clock = parts.clock
        self._ids = parts.ids

    async def create(self, name: str, fields: Mapping[str, Any]) -> EventType:
        """Register an event type. An archived one is replaced.

        `Conflict` if there is one already.
        """

        def replaced(event_type: EventType | None) -> EventType:
            if event_type is not None and not event_type.archived:
                raise ConflictError(f"The event type {name} exists already.")
            return self._replaced(name, fields, event_type)

        return (await self._change_or_add(name, fields, replaced)).record

    async def upsert(self, name: str, fields: Mapping[str, Any]) -> ChangedRecord[EventType]:
        """Replace an event type, or register it."""

        def replaced(event_type: EventType | None) -> EventType:
            return self._replaced(name, fields, event_type)

        return await self._change_or_add(name, fields, replaced)

    async def patch(self, name: str, fields: Mapping[str, Any]) -> EventType:
        """Change the named fields. `NotFound` if it is not registered."""
        _check_schemas(fields.get("schemas"))

        def changed(event_type: EventType) -> EventType:
            return msgspec.structs.replace(event_type, **fields)

        return await self._change(name, changed)

    async def archive(self, name: str) -> None:
        """Hide an event type. `NotFound` if it is not registered."""
        await self.patch(name, {"archived": True})

    async def remove(self, name: str) -> None:
        """Remove an event type. `NotFound` if it is not registered."""
        event_type = await self._change(name, lambda event_type: event_type)
        if not await self._directory.remove(EventType, event_type.id):
            raise not_registered()

    async def _change(self, name: str, apply: Callable[[EventType], EventType]) -> EventType:
        try:
            return (await self._directory.change(EventType, "", name, apply)).record
        except NotFound:
            raise not_registered() from None

    async def _change_or_add(
        self,
        name: str,
        fields: Mapping[str, Any],
        apply: Callable[[EventType | None], EventType],
    ) -> ChangedRecord[EventType]:
        if (problem := check_event_type(name)) is not None:
            raise Invalid(Problem(("body", "name"), problem, "event_type"))
        if name == _CATALOG or not _UNREACHABLE.isdisjoint(name.split("/")):
            text = "is reserved; choose another without an empty part, '.' or '..' between slashes"
            raise Invalid(Problem(("body", "name"), text, "event_type"))
        _check_schemas(fields.get("schemas"))
        return await self._directory.change_or_add(EventType, "", name, apply)

    def _replaced(
        self, name: str, fields: Mapping[str, Any], event_type: EventType | None
    ) -> EventType:
        if event_type is None:
            now = self._clock.now()
            id_ = self._ids.new("et", now)
            event_type = EventType(id=id_, uid=name, created_at=now, updated_at=now)
        return msgspec.structs.replace(event_type, **{**_UNSET, **fields})


def not_registered() -> NotFound:
    """Return the error for an event type that is not registered."""
    return NotFound("There is no such event type; built-in ones are at /event-type/catalog.")


def _check_schemas(schemas: Mapping[str, Any] | None) -> None:
    for version, schema in (schemas or {}).items():
        try:
            compile_schema(schema)
        except (ValueError, RecursionError) as error:
            loc = ("body", "schemas", version)
            message = str(error).split("\n", maxsplit=1)[0] or "is not a JSON Schema"
            raise Invalid(Problem(loc, message, "json_schema")) from error
