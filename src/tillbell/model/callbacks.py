"""The nouns of what comes in: sources, callbacks, and the notices they carry.

A **callback** is one HTTP request from a provider, raw. A **notice** is one thing that it
says, in our words. How a callback ended is its **outcome**.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from tillbell.clock import Micros
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus


class Outcome(StrEnum):
    """How a callback ended. The list is closed; each is shown with its reason."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    STALE = "stale"
    CONFLICT = "conflict"
    ILLEGAL = "illegal"
    UNMATCHED = "unmatched"
    UNMAPPED = "unmapped"
    MISMATCH = "mismatch"
    NOTED = "noted"  # not about money, or a hint that proves nothing
    IGNORED = "ignored"  # its source or kind is switched off
    UNAUTHENTICATED = "unauthenticated"
    MALFORMED = "malformed"


REEVALUATED = (Outcome.UNMATCHED, Outcome.UNMAPPED, Outcome.MISMATCH)  # a repeat is looked at anew


class Callback(NamedTuple):
    """One HTTP request from a provider, as the log keeps it. Its bytes are stored apart, sealed."""

    id: str
    app_id: str
    source_id: str
    provider: str
    received_at: Micros
    method: str
    size: int  # bytes of its body
    trust: Trust | None  # None: refused
    verdict_why: str
    dedupe_key: str | None = None  # unique within the source
    outcome: Outcome | None = None  # None: stored, not yet processed
    why: str = ""
    duplicate_of: str | None = None
    transaction_id: str | None = None
    message_ids: tuple[str, ...] = ()
    processed_at: Micros | None = None
    retry_at: Micros | None = None  # unmatched: looked at again then
    hops: int = 0  # gateways like this one that it has come through


class ProviderAmount(NamedTuple):
    """An amount as the provider wrote it.

    `value` is decimal text ("49.90"), or with `is_minor` digits in minor units ("4990").
    `currency` is upper case, None where the provider does not tell it. `exponent` is set where
    the provider counts otherwise than ISO 4217.
    """

    value: str
    currency: str | None = None
    is_minor: bool = False
    exponent: int | None = None


class References(NamedTuple):
    """By what a notice names its transaction.

    `ours` are values that we or the merchant gave the provider: each may be our id, the uid, the
    order's id or the merchant reference. `psp` are ids the provider made, the most precise first.
    """

    ours: tuple[str, ...] = ()
    psp: tuple[str, ...] = ()


class TransactionNotice(NamedTuple):
    """News of a payment or pay-out, or (`kind`) of a refund or the like that belongs to one.

    `status` None: the provider's word is not in its table, nothing is guessed (`unmapped`).
    A linked kind names its parent by `references` and itself by `psp_transaction_id`.
    """

    references: References
    raw_status: str
    status: TransactionStatus | None
    kind: TransactionKind = TransactionKind.PAYMENT
    substate: str | None = None
    reason: str | None = None
    message: str | None = None  # for a person
    amount: ProviderAmount | None = None
    settlement: ProviderAmount | None = None
    psp_transaction_id: str | None = None
    psp_reference: str | None = None
    user_id: str | None = None
    occurred_at: Micros | None = None  # when the provider says it happened
    sequence: int | None = None  # the provider's own count, where it has one
    is_hint: bool = False  # carried by a browser, or bare: proves nothing whatever the trust
    if_silent: TransactionStatus | None = (
        None  # of a hint: what it becomes after the grace time without news
    )
    is_optional: bool = False  # nothing is missed when no transaction matches
    details: dict[str, Any] = {}  # kept as the transition's details: BIN, last four, method


class ShipmentNotice(NamedTuple):
    """News of a parcel. `status` is ours (rules/payments/lifecycles.py); None: unknown."""

    tracking_number: str
    raw_status: str
    status: str | None
    substate: str | None = None
    reference: str | None = None  # the order, as the merchant told the carrier
    message: str | None = None
    occurred_at: Micros | None = None
    sequence: int | None = None
    is_time_ambiguous: bool = False  # local time of the hour that a clock change repeats


class EmailNotice(NamedTuple):
    """News of an e-mail. `event` is the last part of the event type: `delivered`, `bounced`."""

    email_id: str
    event: str
    to: tuple[str, ...] = ()
    sender: str | None = None
    subject: str | None = None
    reason: str | None = None
    bounce_type: str | None = None  # "permanent" or "temporary"
    url: str | None = None
    metadata: dict[str, Any] = {}
    occurred_at: Micros | None = None


class AnalyticsNotice(NamedTuple):
    """One item of an analytics batch. `event` is the last part of the event type."""

    event: str
    data: dict[str, Any]  # in the catalogue's shape
    item_key: str  # hash of the item: one that comes again within a day is left out


class OrderNotice(NamedTuple):
    """What a shop says of an order. `data` has the catalogue's shape of `order.*`."""

    event_type: str
    data: dict[str, Any]
    moves_money: bool = True  # paid, refunded: held back like money when not proven


class ForwardNotice(NamedTuple):
    """An event that is passed on as a message of that type, its payload as it came."""

    event_type: str
    payload: bytes


class NoteNotice(NamedTuple):
    """Something that is only kept in the log: a ping, a type that is not about our matters."""

    text: str


Notice = (
    TransactionNotice
    | ShipmentNotice
    | EmailNotice
    | AnalyticsNotice
    | OrderNotice
    | ForwardNotice
    | NoteNotice
)
