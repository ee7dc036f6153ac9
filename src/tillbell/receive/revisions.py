"""Revisions: a proven callback with the id of an earlier one that says something else.

Providers send a callback again with the same id, and some change small things in it: how many
deliveries are open, when it was sent. So what the two say is compared, not their bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tillbell.model.callbacks import (
    EmailNotice,
    ForwardNotice,
    Notice,
    ShipmentNotice,
    TransactionNotice,
)

_OF_SENDING = frozenset({"pending_webhooks"})  # members that differ from one sending to the next


def is_revision(first: Sequence[Notice], second: Sequence[Notice]) -> bool:
    """Tell whether two callbacks with the same id contradict each other."""
    return list(_statements(first)) != list(_statements(second))


def _statements(notices: Sequence[Notice]) -> Iterator[tuple[Any, ...]]:
    """Return what is said about money, parcels, e-mails and other events, without times."""
    for notice in notices:
        if isinstance(notice, TransactionNotice):
            amounts = notice.amount, notice.settlement
            yield notice.references, notice.raw_status, notice.status, notice.kind, *amounts
        elif isinstance(notice, ShipmentNotice):
            yield notice.tracking_number, notice.raw_status, notice.status
        elif isinstance(notice, EmailNotice):
            yield notice.email_id, notice.event, notice.to, notice.recipient
        elif isinstance(notice, ForwardNotice):
            yield notice.event_type, _content(notice.payload)


def _content(payload: bytes) -> Any:
    try:
        value = json.loads(payload)
    except ValueError:
        return payload
    if not isinstance(value, dict):
        return value
    return {name: member for name, member in value.items() if name not in _OF_SENDING}
