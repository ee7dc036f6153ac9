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
from tillbell.logs import observe
from tillbell.model.callbacks import Callback, Outcome, TransactionNotice
from tillbell.providers.kit.base import Incoming
from tillbell.receive.receive import Receiver
from tillbell.receive.sealed_request import open_request
from tillbell.receive.source_cache import LiveSource, Sources
from tillbell.receive.verify_and_parse import Reading, explained, read
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import Change, Conclusion
from tillbell.vault import Vault

STEP = 100
PAUSE = SECOND // 10


class Reread(NamedTuple):
    """A stored callback, and what it says when it is read now."""

    callback: Callback
    live: LiveSource
    incoming: Incoming
    reading: Reading


class Gone(NamedTuple):
    """A stored callback that cannot be read any more."""

    callback: Callback
    why: str
    is_lost: bool = True  # for ever


class Replayed(NamedTuple):
    """What a replay did. `callback` is the one that is processed; None: nothing is, and why."""

    callback: Callback | None
    why: str = ""


class Rereader:
    """See the module."""

    def __init__(
        self,
        database: Database,
        sources: Sources,
        vault: Vault,
        receiver: Receiver,
        clock: Clock,
    ) -> None:
        self._database = database
        self._sources = sources
        self._vault = vault
        self._receiver = receiver
        self._clock = clock

    async def request(self, callback: Callback) -> Incoming | Gone:
        """Return a callback's request as it came."""
        sealed = await self._database.request(callback.app_id, callback.id)
        if sealed is None:
            return Gone(callback, "Its bytes were deleted (retention).")
        try:
            return open_request(self._vault, callback.id, sealed)
        except Misconfigured as error:
            return Gone(callback, f"Its bytes cannot be opened: {error}")

    async def reread(self, callback: Callback) -> Reread | Gone:
        """Verify and parse once more what was stored. Changes nothing."""
        live = self._sources.live(callback.source_id)
        if live is None and self._sources.is_strange(callback.source_id):
            return Gone(callback, "This version has no adapter for its provider.", is_lost=False)
        if live is None:
            return Gone(callback, "Its source was removed.")
        incoming = await self.request(callback)
        if isinstance(incoming, Gone):
            return incoming
        return Reread(callback, live, incoming, read(live, incoming, callback.trust))

    async def examine(self, callback: Callback) -> Reread | Gone:
        """Do the same for a person: with advice on what the source declares wrongly."""
        again = await self.reread(callback)
        if isinstance(again, Gone):
            return again
        reading = await asyncio.to_thread(explained, again.live, again.incoming, again.reading)
        return again._replace(reading=reading)

    async def replay(self, callback: Callback, *, money_only: bool = False) -> Replayed:
        """Process a callback again; see the table above.

        With `money_only` what it says of other things is left out, because it was done before.
        """
        again = await self.examine(callback)
        if isinstance(again, Gone):
            if not again.is_lost:
                return Replayed(None, again.why)
            return await self._leave(callback, Outcome.IGNORED, again.why)
        reading = again.reading
        if reading.outcome is not None:
            return await self._leave(callback, reading.outcome, reading.why)
        if never_processed(callback):
            return Replayed(await self._store_anew(again))
        if callback.outcome is not None:
            await self._database.reopen(callback.app_id, callback.id)
            reopened = await self._database.callback(callback.app_id, callback.id)
            if reopened is None:
                return Replayed(None, "It was deleted meanwhile.")
            callback = reopened
        is_told = TransactionNotice if money_only else object
        notices = [notice for notice in reading.notices if isinstance(notice, is_told)]
        self._receiver.processor.hand_over(callback, notices)
        return Replayed(callback)

    async def _leave(self, callback: Callback, outcome: Outcome, why: str) -> Replayed:
        """Process nothing. What waited to be looked at again need wait no longer."""
        key = callback.app_id, callback.id
        if callback.retry_at is not None and await self._database.reopen(*key):
            await self._conclude(callback, outcome, why)
        return Replayed(None, why)

    async def _store_anew(self, again: Reread) -> Callback:
        reading = again.reading
        why = f"{reading.verdict_why} Replay of {again.callback.id}."
        incoming = again.incoming._replace(received_at=self._clock.now())
        return await self._receiver.accept(again.live, incoming, reading._replace(verdict_why=why))

    async def take_all(self, until: Micros | None = None) -> None:
        """Hand over everything that was stored (by that time) and not processed."""
        after = ""
        while batch := await self._database.unprocessed(after, STEP):
            for callback in batch:
                if until is not None and callback.received_at > until:
                    return
                await self.room()
                await self._take(callback)
            after = batch[-1].id

    async def _take(self, callback: Callback) -> None:
        again = await self.reread(callback)
        if isinstance(again, Gone):
            if again.is_lost:
                await self._conclude(callback, Outcome.IGNORED, again.why)
        elif again.reading.outcome is not None:
            await self._conclude(callback, again.reading.outcome, again.reading.why)
        else:
            self._receiver.processor.hand_over(callback, again.reading.notices)

    async def _conclude(self, callback: Callback, outcome: Outcome, why: str) -> None:
        now = self._clock.now()
        conclusion = Conclusion(callback.app_id, callback.id, outcome, why, now)
        await self._database.change(Change(conclusion=conclusion))

    async def room(self) -> None:
        """Wait while so much is to be processed that what is new would wait behind it."""
        while self._receiver.processor.is_behind:
            await wait_until(self._clock, self._clock.now() + PAUSE)


class PickUp:
    """Takes over, beside everything else, what a former process left."""

    def __init__(self, rereader: Rereader, clock: Clock) -> None:
        self._rereader = rereader
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
                await self._rereader.take_all()
                return
            except Unavailable as error:
                observe("task.postponed", task="pick-up", error=str(error))
                await wait_until(self._clock, self._clock.now() + SECOND)


def never_processed(callback: Callback) -> bool:
    """Tell whether a callback ended when it came: it holds no dedupe key, and caused nothing."""
    if callback.outcome is Outcome.IGNORED:
        return callback.dedupe_key is None
    return callback.outcome in (Outcome.UNAUTHENTICATED, Outcome.MALFORMED)
