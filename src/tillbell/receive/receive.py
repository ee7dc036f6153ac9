"""Receive: a callback is proven, stored and only then answered.

limit (web/edge/callback_route.py) → find the source → verify the bytes as they came → store them,
sealed → answer as that provider wants → hand over to processing.

A 2xx is a promise, so a store that does not confirm is answered 503 and the provider sends it
again; its dedupe key makes that safe. Money is never delayed by what is many and matters
little: bulk providers have a bound of their own. What nobody can prove is kept for the owner to
see why, so much of it a minute; beyond that it is only counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tillbell.clock import MINUTE
from tillbell.counters import Meters
from tillbell.errors import Unavailable
from tillbell.ids import IdMaker
from tillbell.logs import log_event
from tillbell.model.callbacks import Callback, Notice
from tillbell.providers.kit.base import CallbackAnswer, Incoming, IntakeStatus
from tillbell.receive.sealed_request import seal_request
from tillbell.receive.source_cache import CompiledSource
from tillbell.receive.verify_and_parse import CallbackReading, explained, verify_and_parse
from tillbell.rules.delivery.hops import hops_of
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import ReceivedCallback
from tillbell.vault import Vault

LARGE_BYTES = 32_768  # what is longer is read on a thread: nobody waits behind a hostile one
BULK_MAX = 64  # bulk callbacks that are being stored at once
UNAUTHENTICATED_MAX = 20  # unproven callbacks of one source that are kept, a minute
UNAUTHENTICATED_BYTES_MAX = 262_144  # and so many bytes of them

_DEFAULTS = {
    IntakeStatus.STORED: CallbackAnswer(200),
    IntakeStatus.REFUSED: CallbackAnswer(401),
    IntakeStatus.MALFORMED: CallbackAnswer(400),
}


class CallbackHandler(Protocol):
    """Who works on what was stored. Whatever it forgets is picked up at the next start."""

    @property
    def is_behind(self) -> bool:
        """Whether so much waits that bulk callbacks must come again later."""
        ...

    def hand_over(self, callback: Callback, notices: Sequence[Notice]) -> None:
        """Take a callback that is stored and has no outcome yet; do not wait."""
        ...


class NoCallbackHandler:
    """Processes nothing: callbacks wait in the store."""

    is_behind = False

    def hand_over(self, callback: Callback, notices: Sequence[Notice]) -> None:
        """Leave it where it is."""


class CallbackReceiver:
    """See the module. Lives on one event loop."""

    def __init__(self, database: Database, vault: Vault, ids: IdMaker, meters: Meters) -> None:
        self._database = database
        self._vault = vault
        self._ids = ids
        self._meters = meters
        self._allowance = _UnauthenticatedQuota()
        self._advice = _UnauthenticatedQuota()
        self._bulk = 0
        self.processor: CallbackHandler = NoCallbackHandler()
        self.refusal: Unavailable | None = None  # set while nothing may be accepted

    async def receive(self, live: CompiledSource, incoming: Incoming) -> CallbackAnswer:
        """Store a callback and return what its sender is told.

        `Unavailable` if it is not stored and must come again.
        """
        if self.refusal is not None:
            raise self.refusal
        if live.problem:
            log_event("source.unusable", source=live.source.id, problem=live.problem)
            raise Unavailable("This source cannot be used now.", code="source_unusable")
        if not live.provider.is_bulk:
            return await self._receive(live, incoming)
        if self._bulk >= BULK_MAX or self.processor.is_behind:
            self._meters.received("busy")
            raise Unavailable("Too much of this kind is waiting; send it again later.", code="busy")
        self._bulk += 1
        try:
            return await self._receive(live, incoming)
        finally:
            self._bulk -= 1

    async def store_reading(
        self, live: CompiledSource, incoming: Incoming, reading: CallbackReading
    ) -> Callback:
        """Store a callback as it was read, hand it over if it is news; return it as stored."""
        stored = await self._database.receive(self._received_callback(live, incoming, reading))
        self._meters.received(stored.outcome or "stored")
        if stored.outcome is None:
            self.processor.hand_over(stored, reading.notices)
        return stored

    async def _receive(self, live: CompiledSource, incoming: Incoming) -> CallbackAnswer:
        if len(incoming.body) > LARGE_BYTES:
            reading = await asyncio.to_thread(verify_and_parse, live, incoming)
        else:
            reading = verify_and_parse(live, incoming)
        is_free = reading.outcome is None or reading.is_proven
        if is_free or self._allowance.allows(live.source.id, incoming):
            await self.store_reading(live, incoming, await self._advised(live, incoming, reading))
        else:
            self._meters.received("dropped")
        return answer_to(live, incoming, reading.intake_status)

    async def _advised(
        self, live: CompiledSource, incoming: Incoming, reading: CallbackReading
    ) -> CallbackReading:
        """Say what may be declared wrongly, of as many as an owner looks at: it takes long."""
        if reading.is_proven or live.provider.explain is None:
            return reading
        if not self._advice.allows(live.source.id, incoming):
            return reading
        return await asyncio.to_thread(explained, live, incoming, reading)

    def _received_callback(
        self, live: CompiledSource, incoming: Incoming, reading: CallbackReading
    ) -> ReceivedCallback:
        id_ = self._ids.new("cbk", incoming.received_at)
        callback = Callback(
            id=id_,
            app_id=live.source.scope,
            source_id=live.source.id,
            provider=live.provider.name,
            received_at=incoming.received_at,
            method=incoming.method,
            size=len(incoming.body),
            trust=reading.trust,
            verdict_why=reading.verdict_why,
            dedupe_key=reading.dedupe_key,
            outcome=reading.outcome,
            why=reading.why,
            processed_at=incoming.received_at if reading.outcome is not None else None,
            hops=hops_of(incoming.headers),
        )
        request = seal_request(self._vault, id_, incoming)
        return ReceivedCallback(callback, request, is_bulk=live.provider.is_bulk)


class _UnauthenticatedQuota:
    """How much of what nobody can prove is kept, for each source and minute."""

    def __init__(self) -> None:
        self._minute = 0
        self._taken: dict[str, tuple[int, int]] = {}

    def allows(self, source_id: str, incoming: Incoming) -> bool:
        """Count one; tell whether it is to be kept."""
        minute = incoming.received_at // MINUTE
        if minute != self._minute:
            self._minute = minute
            self._taken.clear()
        count, size = self._taken.get(source_id, (0, 0))
        size += len(incoming.body)
        if count >= UNAUTHENTICATED_MAX or size > UNAUTHENTICATED_BYTES_MAX:
            return False
        self._taken[source_id] = (count + 1, size)
        return True


def answer_to(live: CompiledSource, incoming: Incoming, heard: IntakeStatus) -> CallbackAnswer:
    """Return what this provider wants to be told."""
    try:
        return live.provider.answer(incoming, live.setup_at(incoming.received_at), heard)
    except Exception as error:  # noqa: BLE001 - supervised: it is stored, so it must be answered
        log_event("callback.error", provider=live.provider.name, exc_info=error)
        return _DEFAULTS[heard]
