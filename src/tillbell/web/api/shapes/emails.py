"""Shapes of e-mails and of addresses that must not be written to."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.model.emails import Email, Suppression
from tillbell.web.api.shapes.base import Out


class EmailOut(Out):
    """A sent e-mail."""

    id: str
    uid: str | None = Field(description="The mail service's name and id of it.")
    email_id: str
    status: str = Field(description="sent, delivered, bounced or complained.")
    to: list[str]
    order_id: str | None = Field(description="As the mail's tags tell.")
    reason: str | None = Field(description="Why it was not delivered.")
    source_id: str
    occurred_at: datetime | None = Field(description="When its status began.")
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, email: Email) -> EmailOut:
        """Show an e-mail."""
        return cls(
            id=email.id,
            uid=email.uid,
            email_id=email.email_id,
            status=email.status,
            to=list(email.to),
            order_id=email.order_id,
            reason=email.reason,
            source_id=email.source_id,
            occurred_at=to_datetime(email.news_at) if email.news_at is not None else None,
            version=email.version,
            created_at=to_datetime(email.created_at),
            updated_at=to_datetime(email.updated_at),
        )


class SuppressionOut(Out):
    """An e-mail address that must not be written to again."""

    id: str
    address: str
    reason: str = Field(description="bounced or complained.")
    source_id: str
    email_id: str = Field(description="The e-mail by which we learned it.")
    created_at: datetime

    @classmethod
    def of(cls, suppression: Suppression) -> SuppressionOut:
        """Show an address."""
        return cls(
            id=suppression.id,
            address=suppression.uid or "",
            reason=suppression.reason,
            source_id=suppression.source_id,
            email_id=suppression.email_id,
            created_at=to_datetime(suppression.created_at),
        )
