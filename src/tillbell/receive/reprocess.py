"""Read stored callbacks again: at start those that were never processed, by hand any of them.

| then | now | what happens |
| --- | --- | --- |
| not processed | – | handed over again |
| refused, malformed, switched off | proven and readable | stored anew as a callback of its own |
| processed | readable | its conclusion is taken back, it is processed again |
| any | its bytes or its source are gone, or it is refused still | nothing, and why |
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tillbell.clock import SECOND, Clock, Micros, wait_until
from tillbell.errors import Misconfigured, Unavailable
from tillbell.logs import log_event
from tillbell.model.callbacks import Callback, Outcome, TransactionNotice
from tillbell.providers.kit.base import Incoming
from tillbell.receive.receive import CallbackReceiver
from tillbell.receive.sealed_request import open_request
from tillbell.receive.source_cache import CompiledSource, SourceCache
from tillbell.receive.verify_and_parse import CallbackReading, explained, verify_and_parse
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import CallbackConclusion, ChangeSet
from tillbell.vault import Vault

BATCH_SIZE = 100
PAUSE = SECOND // 10


class ReparsedCallback(NamedTuple):
    """A stored callback, and what it says when it is read now."""

    callback: Callback
    compiled: CompiledSource
    incoming: Incoming
    reading: CallbackReading


class UnreadableRequest(NamedTuple):
    """A stored callback that cannot be read any more."""

    callback: Callback
    why: str
    is_permanent: bool = True  # for ever


class ReprocessResult(NamedTuple):
    """What a replay did. `callback` is the one that is processed; None: nothing is, and why."""

    callback: Callback | None
    why: str = ""


class Reprocessor:
    """See the module."""

    def __init__(
        self,
        database: Database,
        sources: SourceCache,
        vault: Vault,
        receiver: CallbackReceiver,
        clock: Clock,
    ) -> None:
        self._database = database
        self._source_cache = sources
        self._vault = vault
        self._receiver = receiver
        self._clock = clock

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
        """Verify and parse once more what was stored. Changes nothing."""
        live = self._source_cache.compiled(callback.source_id)
        if live is None and self._source_cache.has_unknown_provider(callback.source_id):
            return UnreadableRequest(
                callback, "This version has no adapter for its provider.", is_permanent=False
            )
        if live is None:
            return UnreadableRequest(callback, "Its source was removed.")
        incoming = await self.request(callback)
        if isinstance(incoming, UnreadableRequest):
            return incoming
        return ReparsedCallback(
            callback, live, incoming, verify_and_parse(live, incoming, callback.trust)
        )

    async def examine(self, callback: Callback) -> ReparsedCallback | UnreadableRequest:
        """Do the same for a person: with advice on what the source declares wrongly."""
        again = await self.reparse(callback)
        if isinstance(again, UnreadableRequest):
            return again
        reading = await asyncio.to_thread(explained, again.compiled, again.incoming, again.reading)
        return again._replace(reading=reading)

    async def reprocess(self, callback: Callback, *, money_only: bool = False) -> ReprocessResult:
        """Process a callback again; see the table above.

        With `money_only` what it says of other things is left out, because it was done before.
        """
        again = await self.examine(callback)
        if isinstance(again, UnreadableRequest):
            if not again.is_permanent:
                return ReprocessResult(None, again.why)
            return await self._keep_outcome(callback, Outcome.IGNORED, again.why)
        reading = again.reading
        if reading.outcome is not None:
            return await self._keep_outcome(callback, reading.outcome, reading.why)
        if never_processed(callback):
            return ReprocessResult(await self._store_anew(again))
        if callback.outcome is not None:
            await self._database.reopen_callback(callback.app_id, callback.id)
            reopened = await self._database.callback(callback.app_id, callback.id)
            if reopened is None:
                return ReprocessResult(None, "It was deleted meanwhile.")
            callback = reopened
        is_told = TransactionNotice if money_only else object
        notices = [notice for notice in reading.notices if isinstance(notice, is_told)]
        self._receiver.processor.hand_over(callback, notices)
        return ReprocessResult(callback)

    async def _keep_outcome(
        self, callback: Callback, outcome: Outcome, why: str
    ) -> ReprocessResult:
        """Process nothing. What waited to be looked at again need wait no longer."""
        key = callback.app_id, callback.id
        if callback.retry_at is not None and await self._database.reopen_callback(*key):
            await self._conclude(callback, outcome, why)
        return ReprocessResult(None, why)

    async def _store_anew(self, again: ReparsedCallback) -> Callback:
        reading = again.reading
        why = f"{reading.verdict_why} Replay of {again.callback.id}."
        incoming = again.incoming._replace(received_at=self._clock.now())
        return await self._receiver.store_reading(
            again.compiled, incoming, reading._replace(verdict_why=why)
        )

    async def recover_all(self, until: Micros | None = None) -> None:
        """Hand over everything that was stored (by that time) and not processed."""
        after = ""
        while batch := await self._database.unprocessed_callbacks(after, BATCH_SIZE):
            for callback in batch:
                if until is not None and callback.received_at > until:
                    return
                await self.wait_for_capacity()
                await self._recover(callback)
            after = batch[-1].id

    async def _recover(self, callback: Callback) -> None:
        again = await self.reparse(callback)
        if isinstance(again, UnreadableRequest):
            if again.is_permanent:
                await self._conclude(callback, Outcome.IGNORED, again.why)
        elif again.reading.outcome is not None:
            await self._conclude(callback, again.reading.outcome, again.reading.why)
        else:
            self._receiver.processor.hand_over(callback, again.reading.notices)

    async def _conclude(self, callback: Callback, outcome: Outcome, why: str) -> None:
        now = self._clock.now()
        conclusion = CallbackConclusion(callback.app_id, callback.id, outcome, why, now)
        await self._database.commit_changes(ChangeSet(conclusion=conclusion))

    async def wait_for_capacity(self) -> None:
        """Wait while so much is to be processed that what is new would wait behind it."""
        while self._receiver.processor.is_behind:
            await wait_until(self._clock, self._clock.now() + PAUSE)


class StartupRecovery:
    """Takes over, beside everything else, what a former process left."""

    def __init__(self, rereader: Reprocessor, clock: Clock) -> None:
        self._reprocessor = rereader
        self._clock = clock
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def done(self) -> None:
        """Wait until everything was taken."""
        if self._running is not None:
            await self._running

    async def stop(self) -> None:
        """Leave the rest for the next start."""
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
                await wait_until(self._clock, self._clock.now() + SECOND)


def never_processed(callback: Callback) -> bool:
    """Tell whether a callback ended when it came: it holds no dedupe key, and caused nothing."""
    if callback.outcome is Outcome.IGNORED:
        return callback.dedupe_key is None
    return callback.outcome in (Outcome.UNAUTHENTICATED, Outcome.MALFORMED)
