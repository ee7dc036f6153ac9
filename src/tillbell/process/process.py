"""Process: a stored callback becomes what it means, in one commit.

What was received is handed over in memory; whatever memory forgets is picked up at the next
start, because a callback without an outcome is found again. Callbacks that name the same thing
are processed one after another, in the order they came; others side by side.

A decision is made on what was read. If that has changed when it is to be stored, nothing is
stored (`PreconditionFailed`): read again, decide again. Deliveries start only after the commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import SECOND, wait_until
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.model.callbacks import AnalyticsNotice, Callback, Notice, Outcome, TransactionNotice
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.other_notices import OtherNoticeDecider
from tillbell.process.payments import NoticeContext, PaymentDecider
from tillbell.storage.ports.inbound import CallbackConclusion, ChangeSet

CONCURRENCY = 128  # callbacks being decided
BULK_CONCURRENCY = 4
QUEUE_MAX = 10_000  # handed over and not yet decided; what is more waits in the store
BULK_QUEUE_MAX = 256
TRIES_MAX = 50
STORE_PAUSE = SECOND
STOP_S = 2.0


class QueuedCallback(NamedTuple):
    """A callback and what it says."""

    callback: Callback
    notices: Sequence[Notice]


class CallbackProcessor:
    """See the module. Lives on one event loop."""

    def __init__(self, office: Decisions) -> None:
        self._decisions = office
        self._payments = PaymentDecider(office.database, office.ids)
        self._other_notices = OtherNoticeDecider(office.database, office.ids)
        self._room = asyncio.Semaphore(CONCURRENCY)
        self._bulk_room = asyncio.Semaphore(BULK_CONCURRENCY)  # money never waits behind it
        self._tails: dict[str, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._bulk = 0
        self.has_overflowed = False  # something was left to the store: look there

    @property
    def is_behind(self) -> bool:
        """Whether so much waits that bulk callbacks must come again later."""
        return self._bulk >= BULK_QUEUE_MAX or len(self._running) >= QUEUE_MAX

    def hand_over(self, callback: Callback, notices: Sequence[Notice]) -> None:
        """Take a callback that is stored and has no outcome yet; do not wait."""
        if len(self._running) >= QUEUE_MAX:
            self.has_overflowed = True
            return
        key = _ordering_key(callback, notices)
        task = asyncio.get_running_loop().create_task(
            self._process_after(self._tails.get(key), QueuedCallback(callback, notices))
        )
        self._tails[key] = task
        self._running.add(task)
        is_bulk = _is_bulk(notices)
        self._bulk += is_bulk
        task.add_done_callback(lambda done: self._finished(key, done, is_bulk=is_bulk))

    def _finished(self, key: str, done: asyncio.Task[None], *, is_bulk: bool) -> None:
        self._running.discard(done)
        self._bulk -= is_bulk
        if self._tails.get(key) is done:
            del self._tails[key]

    async def wait_idle(self) -> None:
        """Wait until everything that was handed over has been decided."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def stop(self) -> None:
        """Let decisions under way end, for a moment; leave the rest for the next start."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=STOP_S)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # ── one callback ─────────────────────────────────────────────────────────────────────────────

    async def _process_after(
        self, before: asyncio.Task[None] | None, handed: QueuedCallback
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        async with self._bulk_room if _is_bulk(handed.notices) else self._room:
            try:
                await self._process(handed)
            except Exception as error:  # noqa: BLE001 - supervised: the others must go on
                log_event("callback.error", provider=handed.callback.provider, exc_info=error)
                await self._give_up(handed.callback, error)

    async def _process(self, handed: QueuedCallback) -> None:
        crossings = 0
        while crossings < TRIES_MAX:
            try:
                desk = await self._decide(handed)
                crossed = await self._decisions.commit(desk) if desk is not None else None
            except StoreUnavailable as error:  # it is waited for, however long it is away
                log_event("callback.processing_postponed", error=str(error))
                await wait_until(self._decisions.clock, self._decisions.clock.now() + STORE_PAUSE)
                continue
            if crossed is None or crossed.why == "concluded":
                return
            crossings += 1
        raise RuntimeError(f"crossed {TRIES_MAX} times")

    async def _decide(self, handed: QueuedCallback) -> Decision | None:
        """Decide on what is stored now; None if nobody can: its source is gone."""
        callback = handed.callback
        live = self._decisions.source_cache.compiled(callback.source_id)
        desk = await self._decisions.begin(callback.app_id, DecidedBy(callback))
        if live is None or desk is None or callback.trust is None:
            return None
        items = [notice for notice in handed.notices if isinstance(notice, AnalyticsNotice)]
        if items:
            await self._other_notices.decide_analytics(desk, live, items)
        for notice in handed.notices:
            if isinstance(notice, TransactionNotice):
                await self._payments.decide(NoticeContext(desk, live, callback.trust, notice))
            else:
                await self._other_notices.decide(desk, live, callback.trust, notice)
        return desk

    async def _give_up(self, callback: Callback, error: Exception) -> None:
        """Conclude what our own program failed at: it can be replayed when it is mended."""
        why = f"Tillbell could not process it ({type(error).__name__}); see its log, then replay."
        now = self._decisions.clock.now()
        conclusion = CallbackConclusion(callback.app_id, callback.id, Outcome.UNMAPPED, why, now)
        try:
            await self._decisions.database.commit_changes(ChangeSet(conclusion=conclusion))
        except StoreUnavailable as away:
            log_event("callback.processing_postponed", error=str(away))
            self.has_overflowed = True


def _ordering_key(callback: Callback, notices: Sequence[Notice]) -> str:
    """Name what must be kept in order: the first reference of the first transaction."""
    for notice in notices:
        if isinstance(notice, TransactionNotice):
            names = (*notice.references.ours, *notice.references.psp)
            if names:
                return f"{callback.app_id} {names[0]}"
    return callback.id


def _is_bulk(notices: Sequence[Notice]) -> bool:
    return any(isinstance(notice, AnalyticsNotice) for notice in notices)
