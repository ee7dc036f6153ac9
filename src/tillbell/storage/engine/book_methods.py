"""The books' methods: each hands its request to the writer or to a reader, and nothing more.

What a method promises is written once, in `books.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback, References
from tillbell.model.transactions import AuditEntry, Conflict, Effect, Transaction, Transition
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.readers import Readers
from tillbell.storage.operations import callback_reads
from tillbell.storage.operations.callbacks import receive, reopen
from tillbell.storage.operations.decisions import change
from tillbell.storage.operations.inbound_retention import BookBounds, purge_books
from tillbell.storage.ports.inbound import (
    Arrival,
    CallbackFilter,
    Change,
    Crossed,
    Done,
    TransactionFilter,
)
from tillbell.storage.ports.outbound import Page


class BooksMethods:
    """`Books` by the writer."""

    _writer: Writer

    def receive(self, arrival: Arrival) -> Awaitable[Callback]:
        """See `Books.receive`."""
        return self._writer.submit(receive, arrival)

    def change(self, change_: Change) -> Awaitable[Done | Crossed]:
        """See `Books.change`."""
        return self._writer.submit(change, change_)

    async def reopen(self, app_id: str, callback_id: str) -> bool:
        """See `Books.reopen`."""
        had_ended: bool = await self._writer.submit(reopen, (app_id, callback_id))
        return had_ended

    async def purge_books(
        self, *, requests_before: Micros, callbacks_before: Micros, now: Micros, limit: int
    ) -> int:
        """See `Books.purge_books`."""
        request = BookBounds(requests_before, callbacks_before, now, limit)
        count: int = await self._writer.submit(purge_books, request)
        return count


class BookListsMethods:
    """`BookLists` by whatever reads."""

    _readers: Readers

    async def callbacks(self, app_id: str, filter_: CallbackFilter, page: Page) -> list[Callback]:
        """See `BookLists.callbacks`."""
        return await self._readers.read(callback_reads.callbacks, app_id, filter_, page)

    async def transactions(
        self, app_id: str, filter_: TransactionFilter, page: Page
    ) -> list[Transaction]:
        """See `BookLists.transactions`."""
        return await self._readers.read(callback_reads.transactions, app_id, filter_, page)

    async def conflicts(
        self, app_id: str, page: Page, transaction_id: str | None = None, *, open_only: bool = False
    ) -> list[Conflict]:
        """See `BookLists.conflicts`."""
        wanted = callback_reads.Disagreements(app_id, page, transaction_id, open_only)
        return await self._readers.read(callback_reads.conflicts, wanted)

    async def audit(self, app_id: str, page: Page, target: str | None = None) -> list[AuditEntry]:
        """See `BookLists.audit`."""
        return await self._readers.read(callback_reads.audit, app_id, page, target)


class BookViewsMethods(BookListsMethods):
    """`BookViews` by the readers."""

    async def callback(self, app_id: str, callback_id: str) -> Callback | None:
        """See `BookViews.callback`."""
        return await self._readers.look_up(callback_reads.callback, app_id, callback_id)

    async def request(self, app_id: str, callback_id: str) -> bytes | None:
        """See `BookViews.request`."""
        return await self._readers.look_up(callback_reads.request, app_id, callback_id)

    async def unprocessed(self, after: str, limit: int) -> list[Callback]:
        """See `BookViews.unprocessed`."""
        return await self._readers.read(callback_reads.unprocessed, after, limit)

    async def waiting(self, app_id: str, references: Sequence[str]) -> list[Callback]:
        """See `BookViews.waiting`."""
        return await self._readers.look_up(callback_reads.waiting, app_id, references)

    async def to_retry(self, now: Micros, limit: int) -> list[Callback]:
        """See `BookViews.to_retry`."""
        return await self._readers.read(callback_reads.to_retry, now, limit)

    async def unseen(self, app_id: str, source_id: str, item_keys: Sequence[str]) -> set[str]:
        """See `BookViews.unseen`."""
        return await self._readers.look_up(callback_reads.unseen, app_id, source_id, item_keys)

    async def transaction(self, app_id: str, id_or_uid: str) -> Transaction | None:
        """See `BookViews.transaction`."""
        return await self._readers.look_up(callback_reads.transaction, app_id, id_or_uid)

    async def candidates(
        self, app_id: str, source_id: str | None, references: References
    ) -> list[Transaction]:
        """See `BookViews.candidates`."""
        return await self._readers.look_up(callback_reads.candidates, app_id, source_id, references)

    async def children(self, app_id: str, transaction_id: str) -> list[Transaction]:
        """See `BookViews.children`."""
        return await self._readers.look_up(callback_reads.children, app_id, transaction_id)

    async def due_checks(self, now: Micros, limit: int) -> list[Transaction]:
        """See `BookViews.due_checks`."""
        return await self._readers.read(callback_reads.due_checks, now, limit)

    async def transitions(self, app_id: str, transaction_id: str) -> list[Transition]:
        """See `BookViews.transitions`."""
        return await self._readers.look_up(callback_reads.transitions, app_id, transaction_id)

    async def effects(self, app_id: str, transaction_id: str) -> list[Effect]:
        """See `BookViews.effects`."""
        return await self._readers.look_up(callback_reads.effects, app_id, transaction_id)

    async def conflict(self, app_id: str, conflict_id: str) -> Conflict | None:
        """See `BookViews.conflict`."""
        return await self._readers.look_up(callback_reads.conflict, app_id, conflict_id)
