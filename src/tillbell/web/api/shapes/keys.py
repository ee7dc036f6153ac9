"""Shapes of API keys and portal tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from tillbell.clock import Micros, to_datetime
from tillbell.model.records import ApiKey
from tillbell.web.api.shapes.applications import ApplicationIn
from tillbell.web.api.shapes.base import Flag, In, Name, Out
from tillbell.web.edge.auth import Capability

HOUR_S = 3600
WEEK_S = 7 * 24 * HOUR_S

KeyScopeText = Annotated[
    str,
    Field(
        pattern=r"^(admin|write|read|publish|[a-z\-]{1,64}:(read|write))$",
        description="`admin`, `write`, `read`, `publish`, or `<resource>:read|write`.",
    ),
]


class KeyIn(In):
    """A new API key."""

    name: Name
    scopes: list[KeyScopeText] = Field(min_length=1, max_length=50)
    app_id: Name | None = Field(default=None, description="Bound to this application (id or uid).")
    expires_at: datetime | None = None


class KeyOut(Out):
    """An API key without its text."""

    id: str
    name: str
    last4: str
    scopes: list[str]
    app_id: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the hour.")

    @classmethod
    def of(cls, key: ApiKey, last_used_at: Micros | None) -> KeyOut:
        """Show a key."""
        return cls(**cls.members(key, last_used_at))

    @staticmethod
    def members(key: ApiKey, last_used_at: Micros | None) -> dict[str, Any]:
        """Collect what is shown of a key."""
        return {
            "id": key.id,
            "name": key.name,
            "last4": key.last4,
            "scopes": list(key.scopes),
            "app_id": key.app_id,
            "created_at": to_datetime(key.created_at),
            "expires_at": to_datetime(key.expires_at) if key.expires_at is not None else None,
            "last_used_at": to_datetime(last_used_at) if last_used_at is not None else None,
        }


class NewKeyOut(KeyOut):
    """A new API key. Its text is shown here and never again."""

    key: str


class PortalIn(In):
    """What a portal token may do, and for how long."""

    application: ApplicationIn | None = Field(
        default=None, description="Created first, if the application of the path does not exist."
    )
    read_only: Flag | None = None
    capabilities: list[Capability] | None = None
    expiry: Annotated[int, Field(strict=True, ge=HOUR_S, le=WEEK_S)] | None = Field(
        default=None, description="Seconds; 7 days if left out."
    )
    session_id: Name | None = None


class PortalOut(Out):
    """A link to the portal, and the token in it."""

    url: str
    token: str


class ExpireIn(In):
    """Which portal tokens of the application are to end, and when."""

    expiry: Annotated[int, Field(strict=True, ge=0, le=WEEK_S)] | None = Field(
        default=None, description="Seconds from now; at once if left out."
    )
    session_ids: list[Name] | None = None
