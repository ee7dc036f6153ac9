"""Changes of event types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tillbell.configure.openapi_events import DescribedType
from tillbell.configure.parts import Parts
from tillbell.deliver.record_changes import ChangedRecord
from tillbell.deliver.schemas import compile_schema
from tillbell.errors import ConflictError, Invalid, NotFound, Problem
from tillbell.model.records import EventType
from tillbell.rules.delivery.selectors import check_event_type

_PATHS = frozenset({"catalog", "export/openapi"})  # of the API
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

    async def all(self) -> list[EventType]:
        """Return every registered event type, archived ones too, by name."""
        stored = await self._directory.read_all(EventType, "")
        return sorted(stored, key=lambda event_type: event_type.uid or event_type.id)

    async def import_all(
        self, described: Sequence[DescribedType], *, replace_all: bool, is_dry_run: bool
    ) -> list[ChangedRecord[EventType]]:
        """Register or change event types in one commit; return what has changed.

        Archived ones are restored. `replace_all`: all others are archived. `is_dry_run`: nothing is
        stored. `Invalid` if one cannot be registered.
        """
        for event_type in described:
            _check_name(event_type.name, event_type.loc)
            _check_schemas(event_type.fields.get("schemas"), event_type.loc)
        by_name = {event_type.name: event_type for event_type in described}

        def imported(stored: Sequence[EventType]) -> list[EventType]:
            known = {event_type.uid: event_type for event_type in stored}
            written = [
                self._imported(known.get(name), name, event_type.fields)
                for name, event_type in by_name.items()
            ]
            others = (event_type for event_type in stored if event_type.uid not in by_name)
            archived = [
                msgspec.structs.replace(event_type, archived=True)
                for event_type in others
                if replace_all and not event_type.archived
            ]
            return [*written, *archived]

        if is_dry_run:
            present = {event_type.id: event_type for event_type in await self.all()}
            return [
                ChangedRecord(after, present.get(after.id))
                for after in imported(list(present.values()))
                if after is not present.get(after.id)
            ]
        return await self._directory.change_all(EventType, "", imported)

    def _imported(
        self, stored: EventType | None, name: str, fields: Mapping[str, Any]
    ) -> EventType:
        if stored is None:
            return self._replaced(name, fields, None)
        changed = msgspec.structs.replace(stored, **fields)
        return stored if changed == stored else changed

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
        _check_name(name, ("body", "name"))
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


def _check_name(name: str, loc: tuple[str | int, ...]) -> None:
    if (problem := check_event_type(name)) is not None:
        raise Invalid(Problem(loc, problem, "event_type"))
    if name in _PATHS or not _UNREACHABLE.isdisjoint(name.split("/")):
        text = "is reserved; choose another without an empty part, '.' or '..' between slashes"
        raise Invalid(Problem(loc, text, "event_type"))


def _check_schemas(
    schemas: Mapping[str, Any] | None, place: tuple[str | int, ...] = ("body",)
) -> None:
    for version, schema in (schemas or {}).items():
        try:
            compile_schema(schema)
        except (ValueError, RecursionError) as error:
            loc = (*place, "schemas", version)
            message = str(error).split("\n", maxsplit=1)[0] or "is not a JSON Schema"
            raise Invalid(Problem(loc, message, "json_schema")) from error
