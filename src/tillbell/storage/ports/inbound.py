"""The port to the database for callbacks and money. It promises what outbound.py promises.

One write method is one commit, and it is on disk when it returns; after `StoreUnavailable` the
result is unknown and a repeat is safe. The database itself refuses what only a wrong program does:
a second effect of a kind, an effect without a terminal transition, a gap in the numbers of
transitions, refunds above what was captured.

Each promise below has a test of that name in tests/store, which runs over every database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol

from tillbell.clock import Micros
from tillbell.model.audit import AuditedAct
from tillbell.model.callbacks import Callback, Outcome, References, Repeats
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
    """A callback to store. `request`: its bytes as received, sealed; None: not to be stored."""

    callback: Callback
    request: bytes | None
    is_bulk: bool = False  # of a bulk provider: the bytes are kept for one day
    searched: References | None = None  # by which its transaction is looked for


class StoredCallback(NamedTuple):
    """A callback as it is stored, and the transactions that it may mean."""

    callback: Callback
    candidates: Sequence[Transaction] = ()  # as `candidate_transactions` returns them


class CallbackConclusion(NamedTuple):
    """How a callback ended. With `retry_at` it stays unmatched and waits for its references."""

    app_id: str
    callback_id: str
    outcome: Outcome
    why: str
    at: Micros
    transaction_id: str | None = None
    message_ids: tuple[str, ...] = ()
    retry_at: Micros | None = None
    awaited_references: tuple[str, ...] = ()  # a new transaction with one of them ends the wait
    replaces: Outcome | None = None  # the earlier outcome that this one takes the place of


class TransactionWrite(NamedTuple):
    """A transaction as it will be, and the version that must be stored now; 0: none.

    A change set has at most one for each transaction; it may hold several transitions.
    """

    transaction: Transaction
    expected_version: int
    transitions: tuple[Transition, ...] = ()
    effects: tuple[Effect, ...] = ()


class RecordWrite(NamedTuple):
    """A record as it will be (shipment, suppression), and the version that must be stored now.

    0: none.
    """

    record: Record
    expected_version: int


class PaymentsRead(NamedTuple):
    """The transactions by which a new order was found to be paid, with their versions."""

    app_id: str
    order_uid: str
    versions: frozenset[tuple[str, int]]  # of all that name the order


class ChangeSet(NamedTuple):
    """All that one decision changes, for one commit. `resolved`: conflicts with resolution."""

    transaction_writes: tuple[TransactionWrite, ...] = ()
    conclusion: CallbackConclusion | None = None
    conflicts: tuple[MoneyConflict, ...] = ()
    resolved: tuple[MoneyConflict, ...] = ()
    record_writes: tuple[RecordWrite, ...] = ()
    removed_records: tuple[Record, ...] = ()  # as they are stored: of another version none goes
    absent_orders: tuple[tuple[str, str], ...] = ()  # (application, uid): there must be none
    payments_read: tuple[PaymentsRead, ...] = ()
    publications: tuple[Publication, ...] = ()
    item_keys: tuple[tuple[str, str], ...] = ()  # (source id, item key) of items of batches
    audit: tuple[AuditEntry, ...] = ()  # manual actions, which stay with the books
    acts: tuple[AuditedAct, ...] = ()  # the same in the audit log


class ChangesCommitted(NamedTuple):
    """The change set is on disk."""


class PreconditionFailed(NamedTuple):
    """Nothing was stored, because a precondition failed. Read again and decide again.

    `why` is one of: "version" (of a transaction or record; an order's payments), "order" (there is
    one that should be absent), "concluded" (the callback), "uid", "psp_transaction_id" and
    "event_id" (it is taken), "refunds" (more than was captured), "resolved" (the conflict), "seen"
    (an item).
    """

    why: str


class CallbackFilter(NamedTuple):
    """Which callbacks are listed: `after` ≤ received < `before`."""

    source_id: str | None = None
    provider: str | None = None
    outcomes: tuple[Outcome, ...] | None = None
    is_refused: bool | None = None
    transaction_id: str | None = None
    before: Micros | None = None
    after: Micros | None = None


class TransactionFilter(NamedTuple):
    """Which transactions are listed. `reference`: its uid, order id, merchant or psp reference."""

    status: TransactionStatus | None = None
    direction: Direction | None = None
    kind: TransactionKind | None = None
    user_id: str | None = None
    reference: str | None = None
    parent_id: str | None = None
    before: Micros | None = None
    after: Micros | None = None


class InboundStore(Protocol):
    """Writes of callbacks and money."""

    def receive(self, received: ReceivedCallback) -> Awaitable[StoredCallback]:
        """Store a callback before it is answered; return it as stored.

        What is decided next begins with a look-up. `searched` asks for it in the same step; its
        result may be older than the commit, as that of any read.

        - A second one with the same source and dedupe key is stored with outcome `duplicate` and
          names the first. This is noticed also between callbacks of one group commit.
        - But if the callback that holds the key ended as unmatched, unmapped or mismatch, the new
          one takes over the key and is to be processed.
        - A dedupe key is remembered for 400 days, whatever is purged.
        - A callback that comes with an outcome (refused, malformed) holds no key.
        """
        ...

    def commit_changes(
        self, changes: ChangeSet, /
    ) -> Awaitable[ChangesCommitted | PreconditionFailed]:
        """Store all of a decision, or nothing (`PreconditionFailed`)."""
        ...

    async def replace_requests(self, requests: Sequence[tuple[str | None, str, bytes]]) -> None:
        """Store requests that were sealed anew. One that is gone stays so."""
        ...

    async def expunge_callback(self, app_id: str, callback_id: str) -> bool:
        """Delete the request of a callback, so that it cannot be read or processed again.

        False if it has none any more.
        """
        ...

    async def reopen_callback(self, app_id: str, callback_id: str) -> bool:
        """Take a callback's conclusion back; False if it has none. It is then processed again."""
        ...

    async def purge_inbound(
        self, *, requests_before: Micros, callbacks_before: Micros, now: Micros, limit: int
    ) -> int:
        """Delete at most `limit` rows past their retention; return how many. 0: nothing is left.

        Requests of bulk providers go a day after they came, others if they came before
        `requests_before`. Callbacks with a conclusion go if they came before `callbacks_before`,
        dedupe keys and marks of deleted records after 400 days, item keys after two. Transactions
        and what belongs to them stay.
        """
        ...


class InboundLists(Protocol):
    """Lists of callbacks and money. Each comes in pages and uses an index."""

    async def repeats(self, app_id: str, callback_ids: Sequence[str]) -> dict[str, Repeats]:
        """Return how often callbacks were repeated, by the ids of those that were."""
        ...

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
    """Look-ups and lists. They never lock, and a read after a write has returned sees it."""

    async def callback(self, app_id: str, callback_id: str) -> Callback | None:
        """Return one callback."""
        ...

    async def callback_request(self, app_id: str, callback_id: str) -> bytes | None:
        """Return the sealed request of a callback; None if it was not stored or is purged."""
        ...

    async def sealed_requests(self, after: str, limit: int) -> list[tuple[str | None, str, bytes]]:
        """Return sealed requests with their callbacks, by its id, after that id.

        The application is None where the store does not hold it beside the request.
        """
        ...

    async def unprocessed_callbacks(self, after: str, limit: int) -> list[Callback]:
        """Return callbacks without an outcome, of all applications, oldest first, after that id."""
        ...

    async def callbacks_awaiting(self, app_id: str, references: Sequence[str]) -> list[Callback]:
        """Return unmatched callbacks that wait for any of these references, oldest first."""
        ...

    async def callbacks_to_retry(self, now: Micros, limit: int) -> list[Callback]:
        """Return unmatched callbacks whose `retry_at` has come, earliest first."""
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
        """Return transactions that any of the references may mean, at most 50, newest first.

        `ours` is looked up as id, uid, order id and merchant reference. `psp` is looked up as psp
        transaction id, among transactions of the source and those that have no source yet.
        """
        ...

    async def linked_transactions(self, app_id: str, transaction_id: str) -> list[Transaction]:
        """Return the transactions linked to a transaction, oldest first."""
        ...

    async def transactions_to_check(self, now: Micros, limit: int) -> list[Transaction]:
        """Return transactions whose `check_at` has come, earliest first."""
        ...

    async def transitions(self, app_id: str, transaction_id: str) -> list[Transition]:
        """Return all transitions of a transaction, in order."""
        ...

    async def effects(self, app_id: str, transaction_id: str) -> list[Effect]:
        """Return all effects of a transaction, in the order of their transitions."""
        ...

    async def conflict(self, app_id: str, conflict_id: str) -> MoneyConflict | None:
        """Return a conflict."""
        ...
