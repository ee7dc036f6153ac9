"""Rematch: callbacks that came too early find their transaction.

They are looked at again at once when a transaction appears under a reference they wait for, or
is approved (a refund may come before its capture), and now and then for 72 hours besides. What
else they say was done when they were looked at first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

from tillbell.clock import Clock
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.model.callbacks import References
from tillbell.model.transactions import Transaction, TransactionStatus
from tillbell.process.decision import Decision
from tillbell.receive.reprocess import Reprocessor
from tillbell.storage.ports.database import Database

BATCH_SIZE = 100


class UnmatchedCallbacks:
    """See the module."""

    def __init__(self, database: Database, rereader: Reprocessor, clock: Clock) -> None:
        self._database = database
        self._reprocessor = rereader
        self._clock = clock
        self._in_order = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    def decision_committed(self, desk: Decision) -> None:
        """Take note of what a decision did; look for who waited for it, without waiting."""
        for one in desk.advanced_transactions:
            is_new = one.sequence == 1 or one.version == 1
            if is_new or one.status is TransactionStatus.APPROVED:
                self._spawn(self._transaction_appeared(one))
        if desk.awaited_references:
            self._spawn(self._transaction_missed(desk))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(_unless_store_unavailable(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def retry_due(self) -> None:
        """Look again at those whose time has come: a chore."""
        for callback in await self._database.callbacks_to_retry(self._clock.now(), BATCH_SIZE):
            await self._reprocessor.wait_for_capacity()
            await self._reprocessor.reprocess(callback, money_only=True)

    async def wait_idle(self) -> None:
        """Wait until nothing is being looked for."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def _transaction_appeared(self, found: Transaction) -> None:
        names = references_of(found)
        if not await self._database.callbacks_awaiting(found.app_id, names):
            return
        async with self._in_order:  # two that wake the same would mix up who came first
            for callback in await self._database.callbacks_awaiting(found.app_id, names):
                await self._reprocessor.reprocess(callback, money_only=True)

    async def _transaction_missed(self, desk: Decision) -> None:
        """Look at a callback again whose transaction came while it was being decided."""
        callback = desk.callback
        assert callback is not None, "only a callback waits"
        names = References(desk.awaited_references, desk.awaited_references)
        found = await self._database.candidate_transactions(
            callback.app_id, callback.source_id, names
        )
        if not all(desk.is_as_read(one) for one in found):
            await self._reprocessor.reprocess(callback, money_only=True)


async def _unless_store_unavailable(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except StoreUnavailable as error:  # the chore will come by
        log_event("unmatched.retry_postponed", error=str(error))


def references_of(found: Transaction) -> Sequence[str]:
    """Return everything that a transaction may be called by."""
    names = (
        found.id,
        found.uid,
        found.order_id,
        found.merchant_reference,
        found.psp_transaction_id,
    )
    return [name for name in names if name]
