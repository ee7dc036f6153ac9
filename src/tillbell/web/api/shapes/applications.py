"""Shapes of applications."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.model.records import Application
from tillbell.web.api.shapes.base import Flag, Metadata, Name, Out, Rated, Uid


class ApplicationIn(Rated):
    """A whole application."""

    name: Name
    uid: Uid | None = None
    metadata: Metadata | None = None
    check_schemas: Flag = Field(
        default=False, description="Refuse messages that break their event type's schema."
    )

    def fields(self) -> dict[str, Any]:
        """Return it as fields of the record."""
        return {
            "name": self.name,
            "uid": self.uid,
            "throttle_rate": self.rate,
            "metadata": self.metadata or {},
            "check_schemas": self.check_schemas,
        }


class ApplicationPatch(Rated):
    """What is to change; members left out stay, null clears."""

    name: Name = ""
    uid: Uid | None = None
    metadata: Metadata | None = None
    check_schemas: Flag = False

    def fields(self) -> dict[str, Any]:
        """Return what it names as fields of the record."""
        named = self.model_fields_set & {"name", "uid", "check_schemas"}
        fields: dict[str, Any] = {name: getattr(self, name) for name in named}
        if self.gives_rate:
            fields["throttle_rate"] = self.rate
        if "metadata" in self.model_fields_set:
            fields["metadata"] = self.metadata or {}
        return fields


class ApplicationOut(Out):
    """An application."""

    id: str
    uid: str | None
    name: str
    throttle_rate: int | None
    rate_limit: int | None
    metadata: dict[str, str]
    check_schemas: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, application: Application) -> ApplicationOut:
        """Show an application."""
        return cls(
            id=application.id,
            uid=application.uid,
            name=application.name,
            throttle_rate=application.throttle_rate,
            rate_limit=application.throttle_rate,
            metadata=application.metadata,
            check_schemas=application.check_schemas,
            created_at=to_datetime(application.created_at),
            updated_at=to_datetime(application.updated_at),
        )
