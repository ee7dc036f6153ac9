"""Shapes of transactions and of what people do to them. Every amount is decimal text."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tillbell.model.transactions import Direction, EffectKind, TransactionKind, TransactionStatus
from tillbell.web.api.shapes.base import Flag, In, Metadata, Out, Uid
from tillbell.web.api.shapes.conflicts import ConflictOut

AMOUNT = r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?$"


def _no_number(value: Any) -> Any:
    """A JSON number has lost its digits in many a reader before it comes here."""
    if isinstance(value, int | float):
        raise PydanticCustomError("amount", 'send the amount as text, like "100.00"')
    return value


AmountText = Annotated[
    str,
    BeforeValidator(_no_number),
    Field(max_length=64, pattern=AMOUNT, description='In whole units, as text: `"100.00"`.'),
]
CurrencyCode = Annotated[
    str, Field(min_length=3, max_length=5, description="ISO 4217, or a coin's: `EUR`, `USDT`.")
]
Reference = Annotated[str, Field(min_length=1, max_length=256)]
Reason = Annotated[
    str, Field(min_length=1, max_length=1000, description="Goes into the audit log.")
]


class TransactionIn(In):
    """A pay-in or pay-out that begins now. With a `uid` it can be sent again safely."""

    uid: Uid | None = None
    direction: Direction
    amount: AmountText
    currency: CurrencyCode
    merchant_reference: Reference | None = None
    user_id: Reference | None = Field(default=None, description="Whose account it is about.")
    source_id: Reference | None = Field(
        default=None, description="Id or uid of the source that will tell of it."
    )
    psp_transaction_id: Reference | None = None
    order_id: Reference | None = None
    metadata: Metadata | None = None
    reserve: Flag = Field(default=False, description="Of a pay-out: reserve the amount at once.")


class ActIn(In):
    """Why something is done."""

    reason: Reason


class ReverseIn(ActIn):
    """Why a transaction is reversed, and how much of it."""

    amount: AmountText | None = Field(default=None, description="null: all that is left.")


class TransactionOut(Out):
    """A transaction: what `data` of `transaction.*` messages is."""

    id: str
    uid: str | None
    type: TransactionKind
    direction: Direction
    status: TransactionStatus
    previous_status: TransactionStatus | None
    sequence: int = Field(description="Counts its steps, without gaps.")
    substate: str | None
    reason: str | None
    raw_status: str | None
    message: str | None
    amount: str
    currency: str
    settlement_amount: str | None
    settlement_currency: str | None
    psp_transaction_id: str | None
    psp_reference: str | None
    provider: str | None
    source_id: str | None
    user_id: str | None
    merchant_reference: str | None
    order_id: str | None
    parent_id: str | None = Field(description="What it was linked to, e.g. refunds.")
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class TransitionOut(Out):
    """One step of a transaction."""

    sequence: int
    previous_status: TransactionStatus | None
    status: TransactionStatus
    at: datetime
    callback_id: str | None = Field(description="What told us.")
    actor: str | None = Field(description="The API key that did it.")
    substate: str | None
    reason: str | None
    raw_status: str | None
    message: str | None
    trust: str | None
    supersedes: int | None = Field(description="The step that it overrules.")
    message_id: str | None = Field(description="The message that told of it.")
    details: dict[str, Any]


class EffectOut(Out):
    """What a step did to an account. There is at most one of each kind."""

    kind: EffectKind
    sequence: int = Field(description="Of the step that caused it.")
    amount: str
    currency: str
    at: datetime
    callback_id: str | None


class TransactionDetailOut(TransactionOut):
    """A transaction with its steps, effects, conflicts and what is linked to it."""

    transitions: list[TransitionOut]
    effects: list[EffectOut]
    conflicts: list[ConflictOut]
    children: list[TransactionOut]


class ResentOut(Out):
    """A message that was sent again, and to whom."""

    message_id: str
    event_type: str
    endpoint_ids: list[str]


class AwaitedOut(Out):
    """An action that waits for the word of a second API key."""

    code: str = Field(description="second_key_needed")
    detail: str
    action: str
    proposed_by: str = Field(description="The API key that has done it first.")
