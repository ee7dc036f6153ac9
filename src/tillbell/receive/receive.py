"""Receive: a callback is verified and stored, and only then answered.

rate limit (web/edge/callback_route.py) → find the source → verify the bytes as they came → store
them, sealed → answer as the provider wants → hand over to processing.

A 2xx is a promise. If the store does not confirm, the answer is 503 and the provider sends the
callback again; its dedupe key makes that safe. Bulk providers have a limit of their own, so that
they never delay payments. Unauthenticated callbacks are kept so that their owner can see why;
above a quota per source and minute they are only counted.
"""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from tillbell.clock import MINUTE
from tillbell.counters import Meters
from tillbell.errors import Unavailable
from tillbell.ids import IdMaker
from tillbell.logs import log_event
from tillbell.model.callbacks import Callback, Notice, Outcome, References, TransactionNotice
from tillbell.model.sources import Source
from tillbell.model.transactions import Transaction
from tillbell.providers.kit.base import CallbackAnswer, Incoming, IntakeStatus
from tillbell.receive.reading_pool import ReadingPool
from tillbell.receive.revisions import is_revision
from tillbell.receive.sealed_request import open_request, seal_request
from tillbell.receive.source_cache import CompiledSource
from tillbell.receive.verify_and_parse import (
    CallbackReading,
    add_advice,
    parse,
    verify,
    verify_and_parse,
)
from tillbell.rules.delivery.hops import hops_of
from tillbell.rules.payments.matching import payment_references
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import CallbackConclusion, ChangeSet, ReceivedCallback
from tillbell.vault import Vault

LARGE_BYTES = 4_096  # larger bodies are verified in the pool: some proofs need them parsed
BULK_MAX = 64  # bulk callbacks that are stored at the same time
UNAUTHENTICATED_MAX = 20  # unproven callbacks that are kept, per source and minute
UNAUTHENTICATED_BYTES_MAX = 262_144  # of their bodies, per source and minute

_DEFAULT_ANSWERS = {
    IntakeStatus.STORED: CallbackAnswer(200),
    IntakeStatus.REFUSED: CallbackAnswer(401),
    IntakeStatus.MALFORMED: CallbackAnswer(400),
}


class CallbackHandler(Protocol):
    """Processes stored callbacks. One that it loses is recovered at the next start."""

    @property
    def is_behind(self) -> bool:
        """Whether so many callbacks wait that bulk callbacks must be refused for now."""
        ...

    def hand_over(
        self,
        callback: Callback,
        notices: Sequence[Notice],
        *,
        is_again: bool = False,
        candidates: Sequence[Transaction] | None = None,
    ) -> Task[None] | None:
        """Take a callback that is stored and has no outcome yet. Returns at once.

        `is_again`: it had one before. `candidates` are the transactions that its only notice may
        mean; None: they were not looked for.
        """
        ...


class NoCallbackHandler:
    """Processes nothing: callbacks wait in the store."""

    is_behind = False

    def hand_over(
        self,
        callback: Callback,
        notices: Sequence[Notice],
        *,
        is_again: bool = False,
        candidates: Sequence[Transaction] | None = None,
    ) -> Task[None] | None:
        """Leave the callback in the store."""


class CallbackReceiver:
    """Receives callbacks. Lives on one event loop."""

    def __init__(self, database: Database, vault: Vault, ids: IdMaker, meters: Meters) -> None:
        self._database = database
        self._vault = vault
        self._ids = ids
        self._meters = meters
        self._kept = _UnauthenticatedQuota()
        self._advised = _UnauthenticatedQuota()
        self._pool = ReadingPool()
        self._bulk = 0
        self.processor: CallbackHandler = NoCallbackHandler()
        self.refusal: Unavailable | None = None  # set while nothing may be stored
        # Called with the source, its provider and why a callback is not stored: "busy", "dropped".
        self.on_not_stored: Callable[[Source, str, str], object] = lambda *_: None

    async def receive(self, compiled: CompiledSource, incoming: Incoming) -> CallbackAnswer:
        """Store a callback; return the answer to its sender.

        `Unavailable` if it is not stored: the provider must send it again.
        """
        if self.refusal is not None:
            raise self.refusal
        if compiled.problem:
            log_event("source.unusable", source=compiled.source.id, problem=compiled.problem)
            raise Unavailable("This source cannot be used now.", code="source_unusable")
        if not compiled.provider.is_bulk:
            return await self._receive(compiled, incoming)
        if self._bulk >= BULK_MAX or self.processor.is_behind:
            self._meters.received("busy", compiled.provider.name)
            self.on_not_stored(compiled.source, compiled.provider.name, "busy")
            raise Unavailable(
                "Too many callbacks of this kind wait; send it again later.", code="busy"
            )
        self._bulk += 1
        try:
            return await self._receive(compiled, incoming)
        finally:
            self._bulk -= 1

    async def store_reading(
        self, compiled: CompiledSource, incoming: Incoming, reading: CallbackReading
    ) -> Callback:
        """Store a callback that was read; hand it over unless it has an outcome already.

        Returns it as it is stored: as a duplicate, if it is one.
        """
        received = self._received_callback(compiled, incoming, reading)
        stored = await self._database.receive(received)
        callback = stored.callback
        if callback.outcome is Outcome.DUPLICATE and reading.is_proven:
            callback = await self._judge_repeat(compiled, incoming, reading, callback)
        self._meters.received(callback.outcome or "stored", compiled.provider.name)
        if callback.outcome is None:
            candidates = None if received.searched is None else stored.candidates
            self.processor.hand_over(callback, reading.notices, candidates=candidates)
        return callback

    async def _judge_repeat(
        self,
        compiled: CompiledSource,
        incoming: Incoming,
        reading: CallbackReading,
        callback: Callback,
    ) -> Callback:
        """Conclude a duplicate as a conflict if it contradicts the first. Nothing follows from it.

        It stays in the log with its bytes, and can be replayed by a person.
        """
        first_id = callback.duplicate_of or ""
        sealed = await self._database.callback_request(callback.app_id, first_id)
        if sealed is None:
            return callback  # its bytes were deleted
        first = open_request(self._vault, first_id, sealed)
        if first.body == incoming.body:
            return callback
        earlier = verify_and_parse(compiled, first, reading.trust)
        if not is_revision(earlier.notices, reading.notices):
            return callback
        conclusion = CallbackConclusion(
            app_id=callback.app_id,
            callback_id=callback.id,
            outcome=Outcome.CONFLICT,
            why=f"It has the id of {first_id} and says something else. Nothing was changed.",
            at=incoming.received_at,
            replaces=Outcome.DUPLICATE,
        )
        await self._database.commit_changes(ChangeSet(conclusion=conclusion))
        return callback._replace(outcome=conclusion.outcome, why=conclusion.why)

    async def store_simulated(
        self, compiled: CompiledSource, incoming: Incoming, reading: CallbackReading
    ) -> Callback:
        """Store the callback of a test. It is not counted and not processed."""
        simulated = self._received_callback(compiled, incoming, reading.as_simulated())
        return (await self._database.receive(simulated)).callback

    async def _receive(self, compiled: CompiledSource, incoming: Incoming) -> CallbackAnswer:
        reading = await self._read(compiled, incoming)
        has_no_quota = reading.outcome is None or reading.is_proven
        if has_no_quota or self._kept.allows(compiled.source.id, incoming):
            reading = await self._with_advice(compiled, incoming, reading)
            await self.store_reading(compiled, incoming, reading)
        else:
            self._meters.received("dropped", compiled.provider.name)
            self.on_not_stored(compiled.source, compiled.provider.name, "dropped")
        return answer_to(compiled, incoming, reading.intake_status)

    async def _read(self, compiled: CompiledSource, incoming: Incoming) -> CallbackReading:
        """Read a callback: on the loop only what is small, and parsed only if it is proven."""
        source_id = compiled.source.id
        if len(incoming.body) > LARGE_BYTES:
            return await self._pool.read(
                source_id, incoming, partial(verify_and_parse, compiled, incoming)
            )
        reading = verify(compiled, incoming)
        if reading.outcome is not None:
            return reading
        if reading.is_proven:
            return parse(compiled, incoming, reading)
        return await self._pool.read(
            source_id, incoming, partial(parse, compiled, incoming, reading)
        )

    async def _with_advice(
        self, compiled: CompiledSource, incoming: Incoming, reading: CallbackReading
    ) -> CallbackReading:
        """Add advice to an unproven reading, within a quota, because this takes long."""
        if reading.is_proven or compiled.provider.explain is None:
            return reading
        if not self._advised.allows(compiled.source.id, incoming):
            return reading
        return await asyncio.to_thread(add_advice, compiled, incoming, reading)

    def _received_callback(
        self, compiled: CompiledSource, incoming: Incoming, reading: CallbackReading
    ) -> ReceivedCallback:
        id_ = self._ids.new("cbk", incoming.received_at)
        callback = Callback(
            id=id_,
            app_id=compiled.source.scope,
            source_id=compiled.source.id,
            provider=compiled.provider.name,
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
        return ReceivedCallback(
            callback, request, compiled.provider.is_bulk, _searched(callback, reading.notices)
        )


def _searched(callback: Callback, notices: Sequence[Notice]) -> References | None:
    """Return the references of a callback that is processed and says one thing: of a payment."""
    if callback.outcome is not None or len(notices) != 1:
        return None
    (notice,) = notices
    return payment_references(notice) if isinstance(notice, TransactionNotice) else None


class _UnauthenticatedQuota:
    """How many unproven callbacks, and bytes of them, are allowed per source and minute."""

    def __init__(self) -> None:
        self._minute = 0
        self._used: dict[str, tuple[int, int]] = {}  # source id → callbacks, bytes

    def allows(self, source_id: str, incoming: Incoming) -> bool:
        """Count a callback; False if it is above the quota."""
        minute = incoming.received_at // MINUTE
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
        count, size = self._used.get(source_id, (0, 0))
        size += len(incoming.body)
        if count >= UNAUTHENTICATED_MAX or size > UNAUTHENTICATED_BYTES_MAX:
            return False
        self._used[source_id] = (count + 1, size)
        return True


def answer_to(compiled: CompiledSource, incoming: Incoming, intake: IntakeStatus) -> CallbackAnswer:
    """Return the answer that this provider wants; 403 if its owner does not allow the address."""
    if not compiled.allows(incoming.peer):
        return CallbackAnswer(403)
    try:
        setup = compiled.setup_at(incoming.received_at)
        return compiled.provider.answer(incoming, setup, intake)
    except Exception as error:  # noqa: BLE001 - supervised: it is stored, so it must be answered
        log_event("callback.error", provider=compiled.provider.name, exc_info=error)
        return _DEFAULT_ANSWERS[intake]
