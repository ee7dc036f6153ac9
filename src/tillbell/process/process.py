"""Process: decides what a stored callback means, and commits that.

Callbacks are handed over in memory. What memory loses is recovered at the next start, because a
callback without an outcome is found in the store. Callbacks about the same transaction are
decided one after another, in the order they came; others at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tillbell.clock import SECOND, wait_until
from tillbell.errors import ConflictError, NotFound, StoreUnavailable
from tillbell.logs import log_event
from tillbell.model.callbacks import AnalyticsNotice, Callback, Notice, Outcome, TransactionNotice
from tillbell.model.transactions import Transaction
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import AlreadyConcluded, Decisions
from tillbell.process.notice_context import NoticeContext
from tillbell.process.other_notices import OtherNoticeDecider
from tillbell.process.payments import PaymentDecider
from tillbell.receive.source_cache import SourceCache
from tillbell.rules.payments.trust import reason_other_mode
from tillbell.storage.ports.inbound import CallbackConclusion, ChangeSet

CONCURRENCY = 128  # callbacks that are being decided
BULK_CONCURRENCY = 4
QUEUE_MAX = 10_000  # callbacks handed over and not yet decided; more of them wait in the store
BULK_QUEUE_MAX = 256
STORE_PAUSE = SECOND
STOP_S = 2.0


@dataclass(slots=True)
class QueuedCallback:
    """A callback and what it says."""

    callback: Callback
    notices: Sequence[Notice]
    is_again: bool = False  # it was decided before
    # What its only notice may mean, as it was when the callback was stored. Used once: whoever
    # decides again, or after another callback about the same, must look again.
    candidates: Sequence[Transaction] | None = None

    def take_candidates(self) -> Sequence[Transaction] | None:
        """Return the candidates, the first time."""
        candidates, self.candidates = self.candidates, None
        return candidates

    @property
    def is_bulk(self) -> bool:
        """Whether it is of the kind that may come in masses: analytics."""
        return any(isinstance(notice, AnalyticsNotice) for notice in self.notices)

    @property
    def ordering_key(self) -> str:
        """What must be decided in order: the first reference of its first transaction."""
        for notice in self.notices:
            if isinstance(notice, TransactionNotice):
                references = (*notice.references.ours, *notice.references.psp)
                if references:
                    return f"{self.callback.app_id} {references[0]}"
        return self.callback.id


class CallbackProcessor:
    """Decides callbacks that are stored. Lives on one event loop."""

    def __init__(self, decisions: Decisions, source_cache: SourceCache) -> None:
        self._decisions = decisions
        self._source_cache = source_cache
        self._payments = PaymentDecider(decisions.database)
        self._other_notices = OtherNoticeDecider(decisions.database)
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._bulk_slots = asyncio.Semaphore(BULK_CONCURRENCY)  # payments never wait for bulk
        self._last_by_key: dict[str, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._bulk = 0
        self.has_overflowed = False  # callbacks were left to the store: read them there

    @property
    def is_behind(self) -> bool:
        """Whether so many callbacks wait that bulk callbacks must be refused for now."""
        return self._bulk >= BULK_QUEUE_MAX or len(self._running) >= QUEUE_MAX

    def hand_over(
        self,
        callback: Callback,
        notices: Sequence[Notice],
        *,
        is_again: bool = False,
        candidates: Sequence[Transaction] | None = None,
    ) -> asyncio.Task[None] | None:
        """Take a callback that is stored and has no outcome yet. Returns at once.

        `is_again`: it had one before. `candidates` are the transactions that its only notice may
        mean; None: they were not looked for. The task ends when it is decided. None: the queue is
        full, and it is left to the store.
        """
        if len(self._running) >= QUEUE_MAX:
            self.has_overflowed = True
            return None
        queued = QueuedCallback(callback, notices, is_again, candidates)
        key = queued.ordering_key
        task = asyncio.get_running_loop().create_task(
            self._process_after(self._last_by_key.get(key), queued)
        )
        is_bulk = queued.is_bulk
        self._last_by_key[key] = task
        self._running.add(task)
        self._bulk += is_bulk
        task.add_done_callback(partial(self._finished, key, is_bulk=is_bulk))
        return task

    def _finished(self, key: str, task: asyncio.Task[None], *, is_bulk: bool) -> None:
        self._running.discard(task)
        self._bulk -= is_bulk
        if self._last_by_key.get(key) is task:
            del self._last_by_key[key]

    async def wait_idle(self) -> None:
        """Wait until everything that was handed over has been decided."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def stop(self) -> None:
        """Wait at most `STOP_S` for running decisions; leave the rest for the next start."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=STOP_S)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # ── one callback ─────────────────────────────────────────────────────────────────────────────

    async def _process_after(
        self, earlier: asyncio.Task[None] | None, queued: QueuedCallback
    ) -> None:
        if earlier is not None:
            await asyncio.wait({earlier})
            queued.candidates = None
        async with self._bulk_slots if queued.is_bulk else self._slots:
            try:
                await self._process(queued)
            except Exception as error:  # noqa: BLE001 - supervised: the others must go on
                log_event("callback.error", provider=queued.callback.provider, exc_info=error)
                await self._give_up(queued.callback, error)

    async def _process(self, queued: QueuedCallback) -> None:
        """Decide a callback and commit that. Waits for the store, however long it is away."""
        callback, clock = queued.callback, self._decisions.clock
        decide = partial(self._decide, queued)
        while True:
            try:
                await self._decisions.commit(callback.app_id, DecidedBy(callback), decide)
            except (NotFound, AlreadyConcluded):
                return  # its application or source was removed, or it was decided elsewhere
            except StoreUnavailable as error:
                log_event("callback.processing_postponed", error=str(error))
                await wait_until(clock, clock.now() + STORE_PAUSE)
            else:
                return

    async def _decide(self, queued: QueuedCallback, decision: Decision) -> None:
        """Record what a callback means. `NotFound` if its source is not there."""
        callback, notices = queued.callback, queued.notices
        compiled = self._source_cache.compiled(callback.source_id)
        if compiled is None:
            raise NotFound("There is no such source.")
        trust = callback.trust
        assert trust is not None, "a callback that nobody proved has its outcome already"
        candidates = queued.take_candidates()
        items = [notice for notice in notices if isinstance(notice, AnalyticsNotice)]
        if items:
            await self._other_notices.decide_analytics(decision, compiled, items)
        for notice in notices:
            if (why := reason_other_mode(compiled.config, notice)) is not None:
                decision.add_outcome(Outcome.NOTED, why)
            elif isinstance(notice, TransactionNotice):
                context = NoticeContext(
                    decision, compiled, trust, notice, queued.is_again, candidates
                )
                await self._payments.decide(context)
            else:
                await self._other_notices.decide(decision, compiled, trust, notice)

    async def _give_up(self, callback: Callback, error: Exception) -> None:
        """Conclude a callback at which our own program failed. It can be replayed later."""
        cause = str(error) if isinstance(error, ConflictError) else type(error).__name__
        why = f"Tillbell could not process it ({cause.rstrip('.')}); see its log, then replay."
        conclusion = CallbackConclusion(
            app_id=callback.app_id,
            callback_id=callback.id,
            outcome=Outcome.UNMAPPED,
            why=why,
            at=self._decisions.clock.now(),
        )
        try:
            await self._decisions.database.commit_changes(ChangeSet(conclusion=conclusion))
        except StoreUnavailable as unavailable:
            log_event("callback.processing_postponed", error=str(unavailable))
            self.has_overflowed = True
