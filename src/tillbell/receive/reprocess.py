"""Reprocess: stored callbacks are verified, parsed and decided again.

At start this is done for callbacks that were never processed, by hand for any. The API calls it
replay.

| a callback that was | and is now | is |
| --- | --- | --- |
| not processed | readable | handed over again |
| refused, malformed, ignored on receipt | proven and readable | stored again as a new callback |
| processed | readable | reopened, and handed over again |
| any of these | unreadable, without source, or refused | left as it is; the reason is returned |
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tillbell.clock import SECOND, Clock, Micros, wait_until
from tillbell.errors import Misconfigured, Unavailable
from tillbell.logs import log_event
from tillbell.model.callbacks import Callback, Outcome, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming
from tillbell.receive.receive import LARGE_BYTES, CallbackReceiver
from tillbell.receive.sealed_request import open_request
from tillbell.receive.source_cache import CompiledSource, SourceCache
from tillbell.receive.verify_and_parse import (
    SIMULATED_WHY,
    CallbackReading,
    add_advice,
    verify_and_parse,
)
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import CallbackConclusion, ChangeSet
from tillbell.vault import Vault

BATCH_SIZE = 100
CAPACITY_PAUSE = SECOND // 10
STORE_PAUSE = SECOND


class ReparsedCallback(NamedTuple):
    """A stored callback, and what it says now."""

    callback: Callback
    compiled: CompiledSource
    incoming: Incoming
    reading: CallbackReading


class UnreadableRequest(NamedTuple):
    """A stored callback that cannot be read, and why. If not permanent, another version can."""

    callback: Callback
    why: str
    is_permanent: bool = True


class ReprocessResult(NamedTuple):
    """The callback that is processed; None if none is, and why. `decided` ends when it is."""

    callback: Callback | None
    why: str = ""
    decided: asyncio.Task[None] | None = None


class Reprocessor:
    """Reads stored callbacks again, and hands them over."""

    def __init__(
        self,
        database: Database,
        source_cache: SourceCache,
        vault: Vault,
        receiver: CallbackReceiver,
        clock: Clock,
    ) -> None:
        self._database = database
        self._source_cache = source_cache
        self._vault = vault
        self._receiver = receiver
        self._clock = clock

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    async def request(self, callback: Callback) -> Incoming | UnreadableRequest:
        """Return a callback's request as it came."""
        sealed = await self._database.callback_request(callback.app_id, callback.id)
        if sealed is None:
            return UnreadableRequest(callback, "Its bytes were deleted (retention).")
        try:
            return open_request(self._vault, callback.id, sealed)
        except Misconfigured as error:
            return UnreadableRequest(callback, f"Its bytes cannot be opened: {error}")

    async def reparse(self, callback: Callback) -> ReparsedCallback | UnreadableRequest:
        """Verify and parse a stored callback. Changes nothing."""
        compiled = self._source_cache.compiled(callback.source_id)
        if compiled is None and self._source_cache.has_unknown_provider(callback.source_id):
            why = "This version has no adapter for its provider."
            return UnreadableRequest(callback, why, is_permanent=False)
        if compiled is None:
            return UnreadableRequest(callback, "Its source was deleted.")
        if callback.trust is Trust.SIMULATED:
            return UnreadableRequest(callback, SIMULATED_WHY)
        incoming = await self.request(callback)
        if isinstance(incoming, UnreadableRequest):
            return incoming
        if len(incoming.body) > LARGE_BYTES:
            trust = callback.trust
            reading = await asyncio.to_thread(verify_and_parse, compiled, incoming, trust)
        else:
            reading = verify_and_parse(compiled, incoming, callback.trust)
        return ReparsedCallback(callback, compiled, incoming, reading)

    async def reparse_with_advice(self, callback: Callback) -> ReparsedCallback | UnreadableRequest:
        """Verify and parse it for a person: with advice on what its source declares wrongly."""
        reparsed = await self.reparse(callback)
        if isinstance(reparsed, UnreadableRequest):
            return reparsed
        reading = await asyncio.to_thread(
            add_advice, reparsed.compiled, reparsed.incoming, reparsed.reading
        )
        return reparsed._replace(reading=reading)

    # ── processing again ─────────────────────────────────────────────────────────────────────────

    async def reprocess(self, callback: Callback, *, money_only: bool = False) -> ReprocessResult:
        """Process a callback again, as the table above says.

        `money_only`: only its notices about transactions, because the others were decided before.
        """
        reparsed = await self.reparse_with_advice(callback)
        if isinstance(reparsed, UnreadableRequest):
            if not reparsed.is_permanent:
                return ReprocessResult(None, reparsed.why)
            return await self._stop_waiting(callback, Outcome.IGNORED, reparsed.why)
        reading = reparsed.reading
        if reading.outcome is not None:
            return await self._stop_waiting(callback, reading.outcome, reading.why)
        if never_processed(callback):
            return ReprocessResult(await self._store_again(reparsed))
        if callback.outcome is not None:
            await self._database.reopen_callback(callback.app_id, callback.id)
            reopened = await self._database.callback(callback.app_id, callback.id)
            if reopened is None:
                return ReprocessResult(None, "The callback was deleted.")
            callback = reopened
        kind = TransactionNotice if money_only else object
        notices = [notice for notice in reading.notices if isinstance(notice, kind)]
        decided = self._receiver.processor.hand_over(callback, notices, is_again=True)
        return ReprocessResult(callback, decided=decided)

    async def _stop_waiting(
        self, callback: Callback, outcome: Outcome, why: str
    ) -> ReprocessResult:
        """Process nothing. An unmatched callback gets this outcome, and is not retried again."""
        key = callback.app_id, callback.id
        if callback.retry_at is not None and await self._database.reopen_callback(*key):
            await self._conclude(callback, outcome, why)
        return ReprocessResult(None, why)

    async def _store_again(self, reparsed: ReparsedCallback) -> Callback:
        reading = reparsed.reading
        why = f"{reading.verdict_why} Replay of {reparsed.callback.id}."
        return await self._receiver.store_reading(
            reparsed.compiled,
            reparsed.incoming._replace(received_at=self._clock.now()),
            reading._replace(verdict_why=why),
        )

    async def wait_for_capacity(self) -> None:
        """Wait until what is handed over does not delay new callbacks."""
        while self._receiver.processor.is_behind:
            await wait_until(self._clock, self._clock.now() + CAPACITY_PAUSE)

    # ── recovering what was never processed ──────────────────────────────────────────────────────

    async def recover_all(self, until: Micros | None = None) -> None:
        """Hand over every callback without an outcome; with `until` those received until then."""
        after = ""
        while batch := await self._database.unprocessed_callbacks(after, BATCH_SIZE):
            for callback in batch:
                if until is not None and callback.received_at > until:
                    return
                await self.wait_for_capacity()
                await self._recover(callback)
            after = batch[-1].id

    async def _recover(self, callback: Callback) -> None:
        reparsed = await self.reparse(callback)
        if isinstance(reparsed, UnreadableRequest):
            if reparsed.is_permanent:
                await self._conclude(callback, Outcome.IGNORED, reparsed.why)
        elif reparsed.reading.outcome is not None:
            await self._conclude(callback, reparsed.reading.outcome, reparsed.reading.why)
        else:
            self._receiver.processor.hand_over(callback, reparsed.reading.notices)

    async def _conclude(self, callback: Callback, outcome: Outcome, why: str) -> None:
        conclusion = CallbackConclusion(
            app_id=callback.app_id,
            callback_id=callback.id,
            outcome=outcome,
            why=why,
            at=self._clock.now(),
        )
        await self._database.commit_changes(ChangeSet(conclusion=conclusion))


class StartupRecovery:
    """Recovers what a former process left, in the background."""

    def __init__(self, reprocessor: Reprocessor, clock: Clock) -> None:
        self._reprocessor = reprocessor
        self._clock = clock
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to recover. Returns at once."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def done(self) -> None:
        """Wait until everything is recovered."""
        if self._running is not None:
            await self._running

    async def stop(self) -> None:
        """Stop. The next start recovers the rest."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._reprocessor.recover_all()
                return
            except Unavailable as error:
                log_event("task.postponed", task="pick-up", error=str(error))
                await wait_until(self._clock, self._clock.now() + STORE_PAUSE)


def never_processed(callback: Callback) -> bool:
    """Tell whether a callback got its outcome on receipt: it has no dedupe key, and no effect."""
    if callback.outcome is Outcome.IGNORED:
        return callback.dedupe_key is None
    return callback.outcome in (Outcome.UNAUTHENTICATED, Outcome.MALFORMED)
