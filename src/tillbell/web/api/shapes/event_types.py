"""Shapes of event types."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.model.records import EventType
from tillbell.web.api.shapes.base import Flag, In, Name, Out, Text

Schemas = dict[str, Any]


class EventTypeUpsertIn(In):
    """A whole event type, its name being in the path."""

    description: Text
    archived: Flag = False
    deprecated: Flag = False
    schemas: Schemas | None = Field(default=None, description="Version → JSON Schema.")
    group_name: Name | None = None
    feature_flags: list[Name] | None = None

    def fields(self) -> dict[str, Any]:
        """Return it as fields of the record."""
        flags = self.feature_flags
        return {
            "description": self.description,
            "archived": self.archived,
            "deprecated": self.deprecated,
            "schemas": self.schemas,
            "group_name": self.group_name,
            "feature_flags": tuple(flags) if flags is not None else None,
        }


class EventTypeIn(EventTypeUpsertIn):
    """A whole event type."""

    name: Name


class EventTypePatch(In):
    """What is to change; members left out stay, null clears."""

    description: Text = ""
    archived: Flag = False
    deprecated: Flag = False
    schemas: Schemas | None = None
    group_name: Name | None = None
    feature_flags: list[Name] | None = None

    def fields(self) -> dict[str, Any]:
        """Return what it names as fields of the record."""
        fields = {name: getattr(self, name) for name in self.model_fields_set}
        if fields.get("feature_flags") is not None:
            fields["feature_flags"] = tuple(fields["feature_flags"])
        return fields


class EventTypeOut(Out):
    """An event type."""

    name: str
    description: str
    archived: bool
    deprecated: bool
    schemas: Schemas | None
    group_name: str | None
    feature_flags: list[str] | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, kind: EventType, *, with_content: bool = True) -> EventTypeOut:
        """Show an event type."""
        return cls(
            name=kind.uid or kind.id,
            description=kind.description,
            archived=kind.archived,
            deprecated=kind.deprecated,
            schemas=kind.schemas if with_content else None,
            group_name=kind.group_name,
            feature_flags=list(kind.feature_flags) if kind.feature_flags is not None else None,
            created_at=to_datetime(kind.created_at),
            updated_at=to_datetime(kind.updated_at),
        )


class CatalogEntryOut(Out):
    """A built-in event type."""

    name: str
    description: str
    schema_: dict[str, Any] = Field(alias="schema")
    sample: dict[str, Any]
