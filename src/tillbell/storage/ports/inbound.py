"""The narrow port to what came in and what it did to money. The sister of base.py.

The same promises: one write method is one commit, and it is on disk when it returns; after
`StoreUnavailable` the outcome is unknown and a repeat is safe. What the database itself refuses
(a second effect of a kind, an effect without a terminal step, a gap in the sequence, refunds
above what was captured) is a wrong program, whoever writes.

Each promise below has a test of that name in tests/store, run over every store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback, Outcome, References
from tillbell.model.records import Record
from tillbell.model.transactions import (
    AuditEntry,
    Direction,
    Effect,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
    Transition,
)
from tillbell.storage.ports.outbound import Page, Publication


class ReceivedCallback(NamedTuple):
    """A callback to store. `request` are its bytes as received, sealed; None: not kept."""

    callback: Callback
    request: bytes | None
    is_bulk: bool = False  # of a bulk provider: the bytes are kept for a day only


class CallbackConclusion(NamedTuple):
    """What became of a callback. With `retry_at` it stays unmatched and waits under its keys."""

    app_id: str
    callback_id: str
    outcome: Outcome
    why: str
    at: Micros
    transaction_id: str | None = None
    message_ids: tuple[str, ...] = ()
    retry_at: Micros | None = None
    awaited_references: tuple[str, ...] = ()  # references under which a new transaction finds it
    replaces: Outcome | None = None  # the earlier outcome that this one takes the place of


class TransactionWrite(NamedTuple):
    """A transaction as it is to be, and the version it must have now (0: must not exist).

    One for each transaction in a change; it may hold several transitions.
    """

    transaction: Transaction
    expected_version: int
    transitions: tuple[Transition, ...] = ()
    effects: tuple[Effect, ...] = ()


class RecordWrite(NamedTuple):
    """A registry record as it is to be (shipment, suppression), and the version it must have now.

    0: must not exist.
    """

    record: Record
    expected_version: int


class ChangeSet(NamedTuple):
    """All that one decision does, for one commit.

    `resolved` are conflicts that get their resolution.
    """

    transaction_writes: tuple[TransactionWrite, ...] = ()
    conclusion: CallbackConclusion | None = None
    conflicts: tuple[MoneyConflict, ...] = ()
    resolved: tuple[MoneyConflict, ...] = ()
    record_writes: tuple[RecordWrite, ...] = ()
    publications: tuple[Publication, ...] = ()
    item_keys: tuple[tuple[str, str], ...] = ()  # (source id, item key) of analytics items
    audit: tuple[AuditEntry, ...] = ()


class ChangesCommitted(NamedTuple):
    """The change is on disk."""


class PreconditionFailed(NamedTuple):
    """Nothing was stored: something it rests on has changed meanwhile. Read again, decide again.

    Also when the callback has a conclusion already, or the uid is taken.
    """

    # "version", "concluded", "uid", "psp_transaction_id", "event_id", and
    # "refunds" (they would exceed what was captured), "resolved" (the conflict), "seen" (an item)
    why: str


class CallbackFilter(NamedTuple):
    """What a callback list shows: `after` ≤ received < `before`."""

    source_id: str | None = None
    provider: str | None = None
    outcomes: tuple[Outcome, ...] | None = None
    is_refused: bool | None = None
    transaction_id: str | None = None
    before: Micros | None = None
    after: Micros | None = None


class TransactionFilter(NamedTuple):
    """What a transaction list shows. `reference` equals uid, order, merchant or psp id."""

    status: TransactionStatus | None = None
    direction: Direction | None = None
    kind: TransactionKind | None = None
    user_id: str | None = None
    reference: str | None = None
    parent_id: str | None = None
    before: Micros | None = None
    after: Micros | None = None


class InboundStore(Protocol):
    """Writes of what came in and of money."""

    def receive(self, arrival: ReceivedCallback) -> Awaitable[Callback]:
        """Store a callback before it is answered; return it as stored.

        - The same (source, dedupe key) again is stored with outcome `duplicate`, naming the first;
          two in one group commit are seen as such.
        - Unless the latest that holds the key ended as unmatched, unmapped or mismatch: then this
          one takes over the key and is to be processed.
        - A dedupe key is remembered for 400 days, whatever is purged.
        - A callback that comes with an outcome (refused, malformed) holds no key.
        """
        ...

    def commit_changes(
        self, change: ChangeSet, /
    ) -> Awaitable[ChangesCommitted | PreconditionFailed]:
        """Make a decision true: all of it, or nothing (`PreconditionFailed`)."""
        ...

    async def reopen_callback(self, app_id: str, callback_id: str) -> bool:
        """Take a callback's conclusion back, so that it is processed again (replay)."""
        ...

    async def purge_inbound(
        self, *, requests_before: Micros, callbacks_before: Micros, now: Micros, limit: int
    ) -> int:
        """Delete at most `limit` rows past their time; 0 means nothing was left.

        Requests of bulk providers go a day after they came, others by `requests_before`; callbacks
        with a conclusion by `callbacks_before`; dedupe keys after 400 days, item keys after two.
        Transactions and what belongs to them stay.
        """
        ...


class InboundLists(Protocol):
    """Lists of what came in and of the money, for people to look at."""

    async def callbacks(self, app_id: str, filter_: CallbackFilter, page: Page) -> list[Callback]:
        """List callbacks, newest first unless `ascending`."""
        ...

    async def transactions(
        self, app_id: str, filter_: TransactionFilter, page: Page
    ) -> list[Transaction]:
        """List transactions, newest first unless `ascending`."""
        ...

    async def conflicts(
        self, app_id: str, page: Page, transaction_id: str | None = None, *, open_only: bool = False
    ) -> list[MoneyConflict]:
        """List conflicts, newest first unless `ascending`."""
        ...

    async def audit(self, app_id: str, page: Page, target: str | None = None) -> list[AuditEntry]:
        """List audit entries, newest first unless `ascending`."""
        ...


class InboundReads(InboundLists, Protocol):
    """Look-ups. They never lock; a read that starts after a write returned sees it."""

    async def callback(self, app_id: str, callback_id: str) -> Callback | None:
        """Return one callback."""
        ...

    async def callback_request(self, app_id: str, callback_id: str) -> bytes | None:
        """Return a callback's sealed request; None once purged."""
        ...

    async def unprocessed_callbacks(self, after: str, limit: int) -> list[Callback]:
        """Return callbacks of every application without an outcome, oldest first, after that id."""
        ...

    async def callbacks_awaiting(self, app_id: str, references: Sequence[str]) -> list[Callback]:
        """Return unmatched callbacks that wait for any of these references, oldest first."""
        ...

    async def callbacks_to_retry(self, now: Micros, limit: int) -> list[Callback]:
        """Return unmatched callbacks whose `retry_at` has come."""
        ...

    async def new_item_keys(
        self, app_id: str, source_id: str, item_keys: Sequence[str]
    ) -> set[str]:
        """Return those item keys that this source has not sent before."""
        ...

    async def transaction(self, app_id: str, id_or_uid: str) -> Transaction | None:
        """Return a transaction; an id wins over an equal uid."""
        ...

    async def candidate_transactions(
        self, app_id: str, source_id: str | None, references: References
    ) -> list[Transaction]:
        """Return transactions that any reference may mean, at most 50, newest first.

        `ours` by id, uid, order id, merchant reference; `psp` by psp transaction id within the
        source (or, where a transaction has no source yet, its application).
        """
        ...

    async def linked_transactions(self, app_id: str, transaction_id: str) -> list[Transaction]:
        """Return the transactions linked to one, oldest first."""
        ...

    async def transactions_to_check(self, now: Micros, limit: int) -> list[Transaction]:
        """Return transactions whose `check_at` has come, earliest first."""
        ...

    async def transitions(self, app_id: str, transaction_id: str) -> list[Transition]:
        """Return all steps, in order."""
        ...

    async def effects(self, app_id: str, transaction_id: str) -> list[Effect]:
        """Return all effects, in the order of their steps."""
        ...

    async def conflict(self, app_id: str, conflict_id: str) -> MoneyConflict | None:
        """Return a conflict."""
        ...
