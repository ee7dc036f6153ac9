"""Callbacks, and the notices that they carry.

A **callback** is one HTTP request from a provider, as it came. A **notice** is one thing that it
says, in our words. How a callback ended is its **outcome**.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from tillbell.clock import Micros
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus


class Outcome(StrEnum):
    """How a callback ended. The list is closed. Each is shown with its reason."""

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


REEVALUATED = (Outcome.UNMATCHED, Outcome.UNMAPPED, Outcome.MISMATCH)  # a repeat is processed


class Judgement(NamedTuple):
    """The outcome of a notice, and the reason for it, for a person."""

    outcome: Outcome
    why: str


class Callback(NamedTuple):
    """One HTTP request from a provider. Its bytes are stored apart, encrypted."""

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
    retry_at: Micros | None = None  # unmatched: decided again then
    hops: int = 0  # gateways like this one that it came through


class ProviderAmount(NamedTuple):
    """An amount as the provider wrote it.

    `value` is decimal text ("49.90"), or with `is_minor` digits in minor units ("4990").
    `currency` is in upper case, None if the provider names none. `exponent` is how many decimals
    the provider's minor units have, None if as many as ISO 4217 says.
    """

    value: str
    currency: str | None = None
    is_minor: bool = False
    exponent: int | None = None


class References(NamedTuple):
    """The names by which a notice means a transaction.

    `ours` were given to the provider by us or the merchant: each may be our id, the uid, the
    order's id or the merchant reference. `psp` are the provider's own ids, the most precise first.
    """

    ours: tuple[str, ...] = ()
    psp: tuple[str, ...] = ()


class TransactionNotice(NamedTuple):
    """A notice about a payment or pay-out, or (`kind`) a refund or the like that is linked to one.

    `status` is None if the provider's word is not mapped: nothing is guessed (`unmapped`).
    A linked kind names its parent by `references`, and itself by `psp_transaction_id`.

    A payment may have several attempts, each with its own `psp_transaction_id`. The amount of an
    Approved notice is all that this attempt has captured. With a `capture_id` it is that of one
    capture alone, and captures of one attempt add up.
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
    is_hint: bool = False  # came by a browser, or holds no state: proves nothing, even if signed
    is_id_proven: bool = False  # of a hint that is signed in part: its own id is
    if_silent: TransactionStatus | None = (
        None  # of a hint: the status after the grace time, if nothing comes
    )
    is_optional: bool = False  # it need not match a transaction, or give back what was not taken
    details: dict[str, Any] = {}  # of the transition: BIN, last four digits, method
    is_test: bool | None = None  # the provider's own mark of test money; None: it has none
    ends_attempt: bool = False  # a negative status ends this attempt only: the payer may try again
    capture_id: str | None = None  # the provider's id of one of several captures
    releases_amount: bool = False  # Cancelled is its amount alone; the rest may be captured
    is_part: bool = False  # paid by several means: less than was asked for is no mismatch yet
    # Of a linked kind:
    movement_id: str | None = None  # the provider's id of this movement; a dispute may have several
    same_debit_as: TransactionKind | None = None  # the provider tells one debit as both kinds
    is_closing: bool = False  # it ends what is open, and moves no money that has moved
    is_total: bool = False  # its amount is that of all refunds of the payment together
    may_be_repeat: bool = (
        False  # nothing tells a second one of that id from a repeat in other bytes
    )


class ShipmentNotice(NamedTuple):
    """A notice about a parcel. `status` is one of ours (rules/payments/lifecycles.py), or None."""

    tracking_number: str
    raw_status: str
    status: str | None
    substate: str | None = None
    reference: str | None = None  # the order, as the merchant named it to the carrier
    message: str | None = None
    occurred_at: Micros | None = None
    sequence: int | None = None
    is_time_ambiguous: bool = False  # a local time in the hour that a clock change repeats
    carrier: str | None = None  # who brings it, where the provider tells of several carriers


class EmailNotice(NamedTuple):
    """A notice about an e-mail. `event` is the last part of its event type: `delivered`.

    With a `recipient` it is about the copy of that one, which has a state of its own.
    """

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
    recipient: str | None = None  # None: the service does not tell the recipients apart
    event_key: str | None = None  # id of one event of a batch: a repeat does nothing


class AnalyticsNotice(NamedTuple):
    """One item of an analytics batch. `event` is the last part of the event type."""

    event: str
    data: dict[str, Any]  # in the catalogue's shape
    item_key: str  # hash of the item: a repeat is not published again


class OrderNotice(NamedTuple):
    """A shop's notice about an order. `data` has the catalogue's shape of `order.*`."""

    event_type: str
    data: dict[str, Any]
    moves_money: bool = True  # paid, refunded: not published unless it is proven
    is_test: bool | None = None  # the shop's own mark of test orders; None: it has none
    occurred_at: Micros | None = None  # the shop's time of the order's last change


class RecordNotice(NamedTuple):
    """A shop's notice about a product or customer: its kind, and what is now known of it.

    `data` has the catalogue's shape, with `id`. None but the id: it was removed.
    """

    kind: str  # "product", "customer"
    data: dict[str, Any]
    occurred_at: Micros | None = None  # the shop's time of its last change
    is_removed: bool = False


class ForwardNotice(NamedTuple):
    """An event to publish as a message of that type, with its payload as it came.

    `event_key` is the provider's id of the event: one that came before is not passed on again.
    """

    event_type: str
    payload: bytes
    event_key: str | None = None


class NoteNotice(NamedTuple):
    """Something that only the log shows: a ping, or a type that means nothing to us."""

    text: str


Notice = (
    TransactionNotice
    | ShipmentNotice
    | EmailNotice
    | AnalyticsNotice
    | OrderNotice
    | RecordNotice
    | ForwardNotice
    | NoteNotice
)


class Repeats(NamedTuple):
    """How often a callback came again with the same dedupe key, and when last."""

    times: int
    last_at: Micros
