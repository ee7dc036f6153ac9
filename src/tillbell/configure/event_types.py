"""Event types: registered, replaced, changed, archived, forgotten."""

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

# What replacing an event type sets back where it is not named.
_UNSET: Mapping[str, Any] = {
    "schemas": None,
    "archived": False,
    "deprecated": False,
    "group_name": None,
    "feature_flags": None,
}


class EventTypes:
    """See the module. `fields` are fields of the record, by name."""

    def __init__(self, parts: Parts) -> None:
        self._directory = parts.directory
        self._clock = parts.clock
        self._ids = parts.ids

    async def create(self, name: str, fields: Mapping[str, Any]) -> EventType:
        """Register an event type. One that is archived comes back as it is described now.

        `Conflict` if there is one already.
        """

        def described(kind: EventType | None) -> EventType:
            if kind is not None and not kind.archived:
                raise ConflictError(f"The event type {name} exists already.")
            return self._replaced(name, fields, kind)

        return (await self._change_or_add(name, fields, described)).record

    async def upsert(self, name: str, fields: Mapping[str, Any]) -> ChangedRecord[EventType]:
        """Replace an event type; register it if it is new."""

        def described(kind: EventType | None) -> EventType:
            return self._replaced(name, fields, kind)

        return await self._change_or_add(name, fields, described)

    async def patch(self, name: str, fields: Mapping[str, Any]) -> EventType:
        """Change what is named. `NotFound` if it is not registered."""
        _check_schemas(fields.get("schemas"))

        def changed(kind: EventType) -> EventType:
            return msgspec.structs.replace(kind, **fields)

        return await self._change(name, changed)

    async def archive(self, name: str) -> None:
        """Show it no longer. `NotFound` if it is not registered."""
        await self.patch(name, {"archived": True})

    async def remove(self, name: str) -> None:
        """Forget it. `NotFound` if it is not registered."""
        kind = await self._change(name, lambda kind: kind)
        if not await self._directory.remove(EventType, kind.id):
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
        if (wrong := check_event_type(name)) is not None:
            raise Invalid(Problem(("body", "name"), wrong, "event_type"))
        _check_schemas(fields.get("schemas"))
        return await self._directory.change_or_add(EventType, "", name, apply)

    def _replaced(self, name: str, fields: Mapping[str, Any], kind: EventType | None) -> EventType:
        if kind is None:
            now = self._clock.now()
            id_ = self._ids.new("et", now)
            kind = EventType(id=id_, uid=name, created_at=now, updated_at=now)
        return msgspec.structs.replace(kind, **{**_UNSET, **fields})


def not_registered() -> NotFound:
    """Say that there is no such event type, and where the built-in ones are."""
    return NotFound("There is no such event type; built-in ones are at /event-type/catalog.")


def _check_schemas(schemas: Mapping[str, Any] | None) -> None:
    for version, schema in (schemas or {}).items():
        try:
            compile_schema(schema)
        except (ValueError, RecursionError) as error:
            loc = ("body", "schemas", version)
            message = str(error).split("\n", maxsplit=1)[0] or "is not a JSON Schema"
            raise Invalid(Problem(loc, message, "json_schema")) from error
