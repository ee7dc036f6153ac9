"""Transactions (always money, never SQL), their transitions, effects and conflicts.

Amounts are integers in minor units of their currency (money.py). What may follow what is decided
in rules/payments/transitions.py.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from tillbell.clock import Micros
from tillbell.model.construct import with_quick_replace

AMOUNT_MAX = 2**63 - 1  # minor units: the largest integer that the databases hold


class Direction(StrEnum):
    """Which way money moves. Always taken from our own record, never from a callback."""

    PAY_IN = "pay_in"
    PAY_OUT = "pay_out"


class TransactionKind(StrEnum):
    """What a transaction is. All but a payment are linked to a parent."""

    PAYMENT = "payment"  # a pay-in or pay-out of its own
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSAL = "chargeback_reversal"
    CAPTURE = "capture"  # money of a payment beyond what its approval credited
    REVERSAL = "reversal"  # of an approved pay-in, recorded by hand or reported by a provider
    RETURN = "return"  # of an approved pay-out: the bank gave it back


class TransactionStatus(StrEnum):
    """How a transaction stands. The last five are final."""

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
    """What a transition does to an account. The database allows each kind once per transaction."""

    RESERVE = "reserve"
    CREDIT = "credit"
    DEBIT = "debit"
    RELEASE = "release"


@with_quick_replace
class PaymentAttempt(NamedTuple):
    """One attempt to pay, under its own id at the provider. Amounts are in minor units."""

    psp_transaction_id: str
    status: TransactionStatus
    at: Micros  # of the last notice that changed it
    source_id: str | None = None
    authorized: int = 0
    captured: int = 0
    captures: dict[str, int] = {}  # amount by the provider's id of a capture; 0: it has failed
    reason: str | None = None
    is_chosen: bool = False  # a person said that this id is of this payment
    released: dict[str, int] = {}  # amount by the provider's id of a cancellation of a part

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids by which the provider may name it: its own, and those of its captures."""
        own = (self.psp_transaction_id,) if self.psp_transaction_id else ()
        return tuple(dict.fromkeys((*own, *self.captures)))


@with_quick_replace
class Transaction(NamedTuple):
    """A payment or pay-out, or a refund, chargeback, reversal or return of one.

    `amount` is what was asked for. The sums below it are what happened, in minor units:
    `captured` as the provider says, the others as they were booked.

    `sequence` is the number of its last transition; its creation is number 1 (Pending). Every
    change raises `version`, also one that is no transition: a provider's id, a planned check.
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
    reserves: bool = False  # a pay-out whose amount is reserved at its creation
    news_at: Micros | None = None  # when the provider says the last applied status came to be
    news_sequence: int | None = None
    check_at: Micros | None = None  # when its status is checked next; None: never
    checks: int = 0  # how often it was checked
    if_silent: TransactionStatus | None = (
        None  # its status at `check_at`, if nothing is heard until then
    )
    authorized: int = 0
    captured: int = 0  # by all attempts, as the provider says
    credited: int = 0  # of a pay-in (debited, of a pay-out): by its approval and its captures
    refunded: int = 0
    charged_back: int = 0
    reinstated: int = 0  # chargebacks that came back
    reversed_: int = 0  # by reversals and returns
    attempts: tuple[PaymentAttempt, ...] = ()  # of a payment, oldest first; or refunds, see LOOK_UP
    movement_id: str | None = None  # of a chargeback: the provider's id of this movement


@with_quick_replace
class Transition(NamedTuple):
    """One step of a transaction from one status to another. `sequence` has no gaps."""

    transaction_id: str
    sequence: int
    previous_status: TransactionStatus | None
    status: TransactionStatus
    at: Micros
    callback_id: str | None = None  # that reported it; None: an action or a status check
    actor: str | None = None  # the API key that acted, or "janitor": a status check
    substate: str | None = None
    reason: str | None = None
    raw_status: str | None = None
    message: str | None = None
    trust: str | None = None
    supersedes: int | None = None  # sequence number of the final step that it overrules
    details: dict[str, Any] = {}


class Effect(NamedTuple):
    """What a transition does to an account. Unique for (transaction, kind)."""

    transaction_id: str
    kind: EffectKind
    sequence: int  # of its transition
    amount: int
    currency: str
    at: Micros
    callback_id: str | None = None


class MoneyConflict(NamedTuple):
    """A report that contradicts what is final, or is doubtful. A person decides; no money moves.

    `reference` is the provider's id of what is reported. If it is not known which transaction is
    meant (`AMBIGUOUS`), it is filed under the first of its `candidates`, and `reference` is the
    name by which the notice means its payment.
    """

    id: str
    app_id: str
    transaction_id: str
    status: TransactionStatus  # that is reported
    current: TransactionStatus  # that the transaction has
    at: Micros
    severity: str  # "normal", "high", "critical"
    kind: str = "contradiction"  # or "mismatch", "unconfirmed", "unconfirmed_linked", "stuck",
    # "ambiguous"
    callback_id: str | None = None
    amount: int | None = None  # that accepting it books, in minor units; None: not reported
    currency: str | None = None
    why: str = ""
    resolved_at: Micros | None = None
    resolution: str | None = None  # "keep" or "accept"
    resolved_by: str | None = None
    resolution_reason: str | None = None
    reference: str | None = None
    candidates: tuple[str, ...] = ()  # ids of transactions


class AuditEntry(NamedTuple):
    """Who did what, and why."""

    id: str
    app_id: str
    at: Micros
    actor: str  # the API key's id, or "janitor": later news, or a status check
    action: str  # transaction.hold, transaction.approve, conflict.accept
    target: str  # the id of what it was done to
    reason: str
    details: dict[str, Any] = {}
