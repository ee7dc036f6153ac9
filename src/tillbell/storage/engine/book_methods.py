"""The books' methods: each hands its request to the writer or to a reader, and nothing more.

What a method promises is written once, in `books.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback, References
from tillbell.model.transactions import AuditEntry, Effect, MoneyConflict, Transaction, Transition
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.operations import callback_reads
from tillbell.storage.operations.callbacks import receive, reopen_callback
from tillbell.storage.operations.decisions import commit_changes
from tillbell.storage.operations.inbound_retention import InboundPurgeCutoffs, purge_inbound
from tillbell.storage.ports.inbound import (
    CallbackFilter,
    ChangesCommitted,
    ChangeSet,
    PreconditionFailed,
    ReceivedCallback,
    TransactionFilter,
)
from tillbell.storage.ports.outbound import Page


class InboundStoreMethods:
    """`Books` by the writer."""

    _writer: Writer

    def receive(self, arrival: ReceivedCallback) -> Awaitable[Callback]:
        """See `Books.receive`."""
        return self._writer.submit(receive, arrival)

    def commit_changes(
        self, change_: ChangeSet
    ) -> Awaitable[ChangesCommitted | PreconditionFailed]:
        """See `InboundStore.commit_changes`."""
        return self._writer.submit(commit_changes, change_)

    async def reopen_callback(self, app_id: str, callback_id: str) -> bool:
        """See `InboundStore.reopen_callback`."""
        had_ended: bool = await self._writer.submit(reopen_callback, (app_id, callback_id))
        return had_ended

    async def purge_inbound(
        self, *, requests_before: Micros, callbacks_before: Micros, now: Micros, limit: int
    ) -> int:
        """See `InboundStore.purge_inbound`."""
        request = InboundPurgeCutoffs(requests_before, callbacks_before, now, limit)
        count: int = await self._writer.submit(purge_inbound, request)
        return count


class InboundListsMethods:
    """`InboundLists` by whatever reads."""

    _readers: ReadPool

    async def callbacks(self, app_id: str, filter_: CallbackFilter, page: Page) -> list[Callback]:
        """See `InboundLists.callbacks`."""
        return await self._readers.read(callback_reads.callbacks, app_id, filter_, page)

    async def transactions(
        self, app_id: str, filter_: TransactionFilter, page: Page
    ) -> list[Transaction]:
        """See `InboundLists.transactions`."""
        return await self._readers.read(callback_reads.transactions, app_id, filter_, page)

    async def conflicts(
        self, app_id: str, page: Page, transaction_id: str | None = None, *, open_only: bool = False
    ) -> list[MoneyConflict]:
        """See `InboundLists.conflicts`."""
        wanted = callback_reads.ConflictQuery(app_id, page, transaction_id, open_only)
        return await self._readers.read(callback_reads.conflicts, wanted)

    async def audit(self, app_id: str, page: Page, target: str | None = None) -> list[AuditEntry]:
        """See `InboundLists.audit`."""
        return await self._readers.read(callback_reads.audit, app_id, page, target)


class InboundReadsMethods(InboundListsMethods):
    """`InboundReads` by the readers."""

    async def callback(self, app_id: str, callback_id: str) -> Callback | None:
        """See `InboundReads.callback`."""
        return await self._readers.read_batched(callback_reads.callback, app_id, callback_id)

    async def callback_request(self, app_id: str, callback_id: str) -> bytes | None:
        """See `InboundReads.callback_request`."""
        return await self._readers.read_batched(
            callback_reads.callback_request, app_id, callback_id
        )

    async def unprocessed_callbacks(self, after: str, limit: int) -> list[Callback]:
        """See `InboundReads.unprocessed_callbacks`."""
        return await self._readers.read(callback_reads.unprocessed_callbacks, after, limit)

    async def callbacks_awaiting(self, app_id: str, references: Sequence[str]) -> list[Callback]:
        """See `InboundReads.callbacks_awaiting`."""
        return await self._readers.read_batched(
            callback_reads.callbacks_awaiting, app_id, references
        )

    async def callbacks_to_retry(self, now: Micros, limit: int) -> list[Callback]:
        """See `InboundReads.callbacks_to_retry`."""
        return await self._readers.read(callback_reads.callbacks_to_retry, now, limit)

    async def new_item_keys(
        self, app_id: str, source_id: str, item_keys: Sequence[str]
    ) -> set[str]:
        """See `InboundReads.new_item_keys`."""
        return await self._readers.read_batched(
            callback_reads.new_item_keys, app_id, source_id, item_keys
        )

    async def transaction(self, app_id: str, id_or_uid: str) -> Transaction | None:
        """See `InboundReads.transaction`."""
        return await self._readers.read_batched(callback_reads.transaction, app_id, id_or_uid)

    async def candidate_transactions(
        self, app_id: str, source_id: str | None, references: References
    ) -> list[Transaction]:
        """See `InboundReads.candidate_transactions`."""
        return await self._readers.read_batched(
            callback_reads.candidate_transactions, app_id, source_id, references
        )

    async def linked_transactions(self, app_id: str, transaction_id: str) -> list[Transaction]:
        """See `InboundReads.linked_transactions`."""
        return await self._readers.read_batched(
            callback_reads.linked_transactions, app_id, transaction_id
        )

    async def transactions_to_check(self, now: Micros, limit: int) -> list[Transaction]:
        """See `InboundReads.transactions_to_check`."""
        return await self._readers.read(callback_reads.transactions_to_check, now, limit)

    async def transitions(self, app_id: str, transaction_id: str) -> list[Transition]:
        """See `InboundReads.transitions`."""
        return await self._readers.read_batched(callback_reads.transitions, app_id, transaction_id)

    async def effects(self, app_id: str, transaction_id: str) -> list[Effect]:
        """See `InboundReads.effects`."""
        return await self._readers.read_batched(callback_reads.effects, app_id, transaction_id)

    async def conflict(self, app_id: str, conflict_id: str) -> MoneyConflict | None:
        """See `InboundReads.conflict`."""
        return await self._readers.read_batched(callback_reads.conflict, app_id, conflict_id)
