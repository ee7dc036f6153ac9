"""Rows to records and back. Columns are in the order of `sql/columns.sql`, as are the fields.

So a row may be spread into a record, and a record is written as a row. Only here and in
`callback_rows.py` are they numbered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tillbell.model.messages import Attempt, Delivery, DeliveryState, Message, Result, Trigger

Row = Sequence[Any]
ATTEMPT_WIDTH = len(Attempt._fields)
DELIVERY_WIDTH = len(Delivery._fields)
MESSAGE_WIDTH = len(Message._fields)
ID = Delivery._fields.index("id")
LANE = slice(Delivery._fields.index("app_id"), Delivery._fields.index("endpoint_id") + 1)
STATE = Delivery._fields.index("state")
DUE_AT = Delivery._fields.index("due_at")
BODY = -1  # of a delivery to claim: the last column

_labels = msgspec.json.Decoder(tuple[str, ...])


def to_labels(text: str | None) -> tuple[str, ...]:
    """Read channels or tags."""
    return _labels.decode(text) if text else ()


def from_labels(labels: Sequence[str]) -> str | None:
    """Write channels or tags; NULL when there are none."""
    return msgspec.json.encode(labels).decode() if labels else None


def message(row: Row) -> Message:
    """Read a message."""
    return Message._make((*row[:5], to_labels(row[5]), to_labels(row[6]), *row[7:]))


def message_row(message: Message) -> Row:
    """Write a message."""
    if not (message.channels or message.tags):
        return (*message[:5], None, None, *message[7:])
    return (*message[:5], from_labels(message.channels), from_labels(message.tags), *message[7:])


def delivery(row: Row) -> Delivery:
    """Read a delivery."""
    return Delivery._make(
        (*row[:5], DeliveryState(row[5]), *row[6:11], Trigger(row[11]), *row[12:])
    )


def attempt(row: Row) -> Attempt:
    """Read an attempt."""
    return Attempt._make((*row[:7], Trigger(row[7]), Result(row[8]), *row[9:]))


def delivery_and_message(row: Row) -> tuple[Delivery, Message]:
    """Read a delivery joined with its message."""
    end = DELIVERY_WIDTH + MESSAGE_WIDTH
    return delivery(row[:DELIVERY_WIDTH]), message(row[DELIVERY_WIDTH:end])
