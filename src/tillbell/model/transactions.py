"""The nouns of money: transactions, their transitions, effects and conflicts.

Amounts are integers in minor units of their currency (money.py). The rules are in
rules/payments/transitions.py.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from tillbell.clock import Micros

AMOUNT_MAX = 2**63 - 1  # minor units: what a store's integers hold


class Direction(StrEnum):
    """Whose money moves. Always from our own record, never from a callback."""

    PAY_IN = "pay_in"
    PAY_OUT = "pay_out"


class TransactionKind(StrEnum):
    """What a transaction is. All but a payment belong to a parent."""

    PAYMENT = "payment"  # a pay-in or pay-out of its own
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSAL = "chargeback_reversal"
    REVERSAL = "reversal"  # of an approved pay-in, recorded by an operator or told by a provider
    RETURN = "return"  # an approved pay-out that the bank gave back


class TransactionStatus(StrEnum):
    """Where a transaction stands. The last five are terminal."""

    PENDING = "Pending"
    ON_HOLD = "On Hold"
    PROCESSING = "Processing"
    APPROVED = "Approved"
    DECLINED = "Declined"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    REJECTED = "Rejected"


NEGATIVE = frozenset(
    {
        TransactionStatus.DECLINED,
        TransactionStatus.FAILED,
        TransactionStatus.CANCELLED,
        TransactionStatus.REJECTED,
    }
)


TERMINAL = NEGATIVE | {TransactionStatus.APPROVED}


class EffectKind(StrEnum):
    """A once-only consequence for an account. The database allows one of each kind."""

    RESERVE = "reserve"
    CREDIT = "credit"
    DEBIT = "debit"
    RELEASE = "release"


class Transaction(NamedTuple):
    """A money matter. `sequence` is the number of its last transition, and its version.

    A creation is transition 1 (Pending). Any change that is no transition (a provider id
    learned, a look-up planned) raises only `version`.
    """

    id: str
    app_id: str
    direction: Direction
    kind: TransactionKind
    status: TransactionStatus
    amount: int  # minor units
    currency: str
    created_at: Micros
    updated_at: Micros
    uid: str | None = None
    sequence: int = 1
    version: int = 1
    previous_status: TransactionStatus | None = None
    substate: str | None = None
    reason: str | None = None
    raw_status: str | None = None
    message: str | None = None
    settlement_amount: int | None = None
    settlement_currency: str | None = None
    psp_transaction_id: str | None = None
    psp_reference: str | None = None
    provider: str | None = None
    source_id: str | None = None
    user_id: str | None = None
    merchant_reference: str | None = None
    order_id: str | None = None
    parent_id: str | None = None
    metadata: dict[str, Any] = {}
    reserves: bool = False  # a pay-out whose amount was reserved when it was created
    news_at: Micros | None = None  # provider's time of the last applied news
    news_sequence: int | None = None
    check_at: Micros | None = None  # when the janitor looks at it next; None: never
    checks: int = 0  # how often it has looked
    if_silent: TransactionStatus | None = (
        None  # what it becomes at `check_at` when nothing is heard till then
    )


class Transition(NamedTuple):
    """One step of a transaction; `sequence` counts them without gaps."""

    transaction_id: str
    sequence: int
    previous_status: TransactionStatus | None
    status: TransactionStatus
    at: Micros
    callback_id: str | None = None  # what told us; None: the API, an operator or the janitor
    actor: str | None = None  # the API key that did it
    substate: str | None = None
    reason: str | None = None
    raw_status: str | None = None
    message: str | None = None
    trust: str | None = None
    supersedes: int | None = None  # sequence of the terminal step that it overrules
    details: dict[str, Any] = {}


class Effect(NamedTuple):
    """A consequence; unique for (transaction, kind)."""

    transaction_id: str
    kind: EffectKind
    sequence: int  # of the transition that caused it
    amount: int
    currency: str
    at: Micros
    callback_id: str | None = None


class MoneyConflict(NamedTuple):
    """News that contradicts what is settled. It waits for a person; money does not move."""

    id: str
    app_id: str
    transaction_id: str
    status: TransactionStatus  # that the news claims
    current: TransactionStatus  # that we have
    at: Micros
    severity: str  # "normal", "high", "critical"
    kind: str = "contradiction"  # or "mismatch", "unconfirmed", "unconfirmed_linked", "stuck"
    callback_id: str | None = None
    amount: int | None = None  # that the news claims
    currency: str | None = None
    why: str = ""
    resolved_at: Micros | None = None
    resolution: str | None = None  # "keep" or "accept"
    resolved_by: str | None = None
    resolution_reason: str | None = None


class AuditEntry(NamedTuple):
    """Who did what, and why."""

    id: str
    app_id: str
    at: Micros
    actor: str  # id of the API key
    action: str  # transaction.hold, transaction.approve, conflict.accept
    target: str  # id of what it was done to
    reason: str
    details: dict[str, Any] = {}
