"""Shapes of applications."""

from __future__ import annotations

from datetime import datetime

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


class ApplicationPatch(Rated):
    """What is to change; members left out stay, null clears."""

    name: Name = ""
    uid: Uid | None = None
    metadata: Metadata | None = None
    check_schemas: Flag = False


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
