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
from tillbell.logs import observe
from tillbell.model.callbacks import References
from tillbell.model.transactions import Status, Transaction
from tillbell.process.decision import Desk
from tillbell.receive.reprocess import Rereader
from tillbell.storage.ports.database import Database

STEP = 100


class Rematcher:
    """See the module."""

    def __init__(self, database: Database, rereader: Rereader, clock: Clock) -> None:
        self._database = database
        self._rereader = rereader
        self._clock = clock
        self._in_order = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    def filed(self, desk: Desk) -> None:
        """Take note of what a decision did; look for who waited for it, without waiting."""
        for one in desk.moved:
            is_new = one.sequence == 1 or one.version == 1
            if is_new or one.status is Status.APPROVED:
                self._begin(self._appeared(one))
        if desk.waits_for:
            self._begin(self._missed(desk))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(_unless_away(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def retry(self) -> None:
        """Look again at those whose time has come: a chore."""
        for callback in await self._database.to_retry(self._clock.now(), STEP):
            await self._rereader.room()
            await self._rereader.replay(callback, money_only=True)

    async def idle(self) -> None:
        """Wait until nothing is being looked for."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def _appeared(self, found: Transaction) -> None:
        names = names_of(found)
        if not await self._database.waiting(found.app_id, names):
            return
        async with self._in_order:  # two that wake the same would mix up who came first
            for callback in await self._database.waiting(found.app_id, names):
                await self._rereader.replay(callback, money_only=True)

    async def _missed(self, desk: Desk) -> None:
        """Look at a callback again whose transaction came while it was being decided."""
        callback = desk.callback
        assert callback is not None, "only a callback waits"
        names = References(desk.waits_for, desk.waits_for)
        found = await self._database.candidates(callback.app_id, callback.source_id, names)
        if not all(desk.has_seen(one) for one in found):
            await self._rereader.replay(callback, money_only=True)


async def _unless_away(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except StoreUnavailable as error:  # the chore will come by
        observe("rematch.postponed", error=str(error))


def names_of(found: Transaction) -> Sequence[str]:
    """Return everything that a transaction may be called by."""
    names = (
        found.id,
        found.uid,
        found.order_id,
        found.merchant_reference,
        found.psp_transaction_id,
    )
    return [name for name in names if name]
