"""Shape of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.model.transactions import AuditEntry
from tillbell.web.api.shapes.base import Out


class AuditOut(Out):
    """Who did what, and why."""

    id: str
    at: datetime
    actor: str = Field(description="Id of the API key.")
    action: str = Field(description="As transaction.hold; .proposed: it needed a second key.")
    target: str = Field(description="Id of what it was done to.")
    reason: str
    details: dict[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditOut:
        """Show an entry."""
        shown = entry._asdict() | {"at": to_datetime(entry.at)}
        del shown["app_id"]
        return cls(**shown)
