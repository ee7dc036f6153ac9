"""Shapes of conflicts: news that contradicts what is settled, waiting for a person."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.model.transactions import MoneyConflict, TransactionStatus
from tillbell.money import format_amount
from tillbell.web.api.shapes.base import Out


class ConflictOut(Out):
    """A disagreement. Money has not moved because of it."""

    id: str
    transaction_id: str
    kind: str = Field(
        description="contradiction, mismatch, unconfirmed, unconfirmed_linked or stuck."
    )
    severity: str = Field(description="normal, high or critical.")
    status: TransactionStatus = Field(description="What the news claims.")
    current: TransactionStatus = Field(description="What we had when it came.")
    amount: str | None = Field(description="What the news claims, where it is about the amount.")
    currency: str | None
    why: str
    callback_id: str | None
    at: datetime
    resolution: str | None = Field(description="keep or accept; null: it waits for a person.")
    resolved_at: datetime | None
    resolved_by: str | None
    resolution_reason: str | None

    @classmethod
    def of(cls, conflict: MoneyConflict) -> ConflictOut:
        """Show a conflict."""
        shown = conflict._asdict()
        del shown["app_id"]
        shown["amount"] = _claimed(conflict)
        shown["at"] = to_datetime(conflict.at)
        if conflict.resolved_at is not None:
            shown["resolved_at"] = to_datetime(conflict.resolved_at)
        return cls(**shown)


def _claimed(conflict: MoneyConflict) -> str | None:
    if conflict.amount is None or conflict.currency is None:
        return None
    return format_amount(conflict.amount, conflict.currency)
