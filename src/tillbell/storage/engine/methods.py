"""The port's methods: each hands its request to the writer or to a reader, and nothing more.

What a method promises is written once, in `base.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from tillbell.clock import Micros
from tillbell.model.messages import Attempt, Claim, Delivery, DeliveryState, Message, Trigger
from tillbell.model.records import Record
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.operations import claims, message_reads, messages, records, retention
from tillbell.storage.operations.claim_window import UNBOUNDED, ClaimBounds
from tillbell.storage.ports.outbound import (
    ALL,
    RESENDABLE,
    AttemptFilter,
    DeliveryRow,
    DeliverySelection,
    DueLane,
    DuplicateEventId,
    FinishedAttempt,
    LaneKey,
    LeaseKey,
    MessageFilter,
    MissedPeriod,
    Page,
    Publication,
    PublicationStored,
    RepeatedRequest,
    Totals,
)

R = TypeVar("R", bound=Record)


class OutboundStoreMethods:
    """`OutboundStore` by the writer."""

    _writer: Writer
    _readers: ReadPool

    def publish(
        self, publication: Publication
    ) -> Awaitable[PublicationStored | DuplicateEventId | RepeatedRequest]:
        """See `OutboundStore.publish`."""
        return self._writer.submit(messages.publish, publication)

    def finish_attempt(self, settlement: FinishedAttempt) -> Awaitable[bool]:
        """See `OutboundStore.finish_attempt`."""
        return self._writer.submit(messages.finish_attempt, settlement)

    async def claim(
        self, wanted: Mapping[LaneKey, int], now: Micros, lease_until: Micros
    ) -> list[Claim]:
        """See `OutboundStore.claim`."""
        request = claims.ClaimRequest(wanted, now, lease_until, UNBOUNDED)
        taken: claims.ClaimResult = await self._writer.submit(claims.claim, request)
        return taken.claims

    async def renew(self, held: Sequence[LeaseKey], lease_until: Micros) -> Sequence[str]:
        """See `OutboundStore.renew`."""
        lost: list[str] = await self._writer.submit(
            messages.renew, messages.LeaseUpdate(held, lease_until)
        )
        return lost

    async def release(self, held: Sequence[LeaseKey], now: Micros) -> None:
        """See `OutboundStore.release`."""
        await self._writer.submit(messages.release, messages.LeaseUpdate(held, now))

    async def release_all_leases(self, now: Micros) -> int:
        """See `OutboundStore.release_all_leases`."""
        count: int = await self._writer.submit(messages.release_all_leases, now)
        return count

    async def add_deliveries(
        self, deliveries: Sequence[Delivery], bodies: Mapping[tuple[str, str], bytes]
    ) -> int:
        """See `OutboundStore.add_deliveries`."""
        request = retention.DeliveryAdditions(deliveries, bodies)
        count: int = await self._writer.submit(retention.add_deliveries, request)
        return count

    async def resend(
        self,
        app_id: str,
        delivery_ids: Sequence[str],
        now: Micros,
        trigger: Trigger = Trigger.MANUAL,
        states: Sequence[DeliveryState] = RESENDABLE,
    ) -> int:
        """See `OutboundStore.resend`."""
        request = retention.ResendRequest(app_id, delivery_ids, now, trigger, states)
        count: int = await self._writer.submit(retention.resend, request)
        return count

    async def discard(self, app_id: str, endpoint_id: str, now: Micros, limit: int) -> int:
        """See `OutboundStore.discard`."""
        request = retention.DiscardRequest(app_id, endpoint_id, now, limit)
        count: int = await self._writer.submit(retention.discard, request)
        return count

    async def expunge(self, app_id: str, message_id: str) -> bool:
        """See `OutboundStore.expunge`."""
        found: bool = await self._writer.submit(retention.expunge, (app_id, message_id))
        return found

    async def expunge_attempt(self, app_id: str, attempt_id: str) -> bool:
        """See `OutboundStore.expunge_attempt`."""
        found: bool = await self._writer.submit(retention.expunge_attempt, (app_id, attempt_id))
        return found

    async def purge(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros, limit: int
    ) -> int:
        """See `OutboundStore.purge`."""
        request = retention.PurgeCutoffs(bodies_before, history_before, now, limit)
        count: int = await self._writer.submit(retention.purge, request)
        return count

    async def store_idempotent_answer(
        self, key: str, fingerprint: str, answer: bytes, now: Micros
    ) -> RepeatedRequest | None:
        """See `OutboundStore.store_idempotent_answer`."""
        request = retention.IdempotentAnswer(key, fingerprint, answer, now)
        earlier: RepeatedRequest | None = await self._writer.submit(
            retention.store_idempotent_answer, request
        )
        return earlier

    async def idempotent_answer(self, key: str) -> RepeatedRequest | None:
        """See `OutboundStore.idempotent_answer`."""
        return await self._readers.read(message_reads.idempotent_answer, key)


class RegistryMethods:
    """`Registry` by the writer and the readers."""

    _writer: Writer
    _readers: ReadPool

    async def put(self, *items: Record, expected_version: int = 0) -> None:
        """See `Registry.put`."""
        await self._writer.submit(records.put, records.RecordPut(items, expected_version))

    async def get(self, kind: type[R], id_or_uid: str, scope: str | None = "") -> R | None:
        """See `Registry.get`."""
        return await self._readers.read(records.get, kind, id_or_uid, scope)

    async def remove(self, kind: type[Record], id_: str, scope: str = "") -> bool:
        """See `Registry.remove`."""
        request = records.RecordRemoval(kind, scope, id_)
        was_there: bool = await self._writer.submit(records.remove, request)
        return was_there

    # Last, because in this class its name hides the built-in one.
    async def list(self, kind: type[R], scope: str | None = "", page: Page = ALL) -> list[R]:
        """See `Registry.list`."""
        return await self._readers.read(records.list_, kind, scope, page)


class OutboundListsMethods:
    """`OutboundLists` by whatever reads."""

    _readers: ReadPool

    async def messages(self, app_id: str, filter_: MessageFilter, page: Page) -> list[Message]:
        """See `OutboundLists.messages`."""
        return await self._readers.read(message_reads.messages, app_id, filter_, page)

    async def deliveries_of_endpoint(
        self,
        app_id: str,
        endpoint_id: str,
        filter_: MessageFilter,
        states: tuple[DeliveryState, ...] | None,
        page: Page,
    ) -> list[DeliveryRow]:
        """See `OutboundLists.deliveries_of_endpoint`."""
        wanted = message_reads.EndpointDeliveryQuery(app_id, endpoint_id, filter_, states, page)
        return await self._readers.read(message_reads.deliveries_of_endpoint, wanted)

    async def attempts(self, app_id: str, filter_: AttemptFilter, page: Page) -> list[Attempt]:
        """See `OutboundLists.attempts`."""
        return await self._readers.read(message_reads.attempts, app_id, filter_, page)

    async def totals(
        self, app_id: str, endpoint_id: str | None, since: Micros, until: Micros
    ) -> Totals:
        """See `OutboundLists.totals`."""
        period = message_reads.CountQuery(app_id, endpoint_id, since, until)
        return await self._readers.read(message_reads.totals, period)


class OutboundReadsMethods(OutboundListsMethods):
    """`OutboundReads` by the readers."""

    async def due_lanes(self, after: str = "", limit: int = 10_000) -> list[DueLane]:
        """See `OutboundReads.due_lanes`."""
        return await self._readers.read(message_reads.due_lanes, after, limit)

    async def next_due(self, lanes: Sequence[LaneKey]) -> dict[str, Micros]:
        """See `OutboundReads.next_due`."""
        return await self._readers.read(message_reads.next_due, lanes, self._claim_bounds(lanes))

    def _claim_bounds(self, lanes: Sequence[LaneKey]) -> ClaimBounds:
        """From where on to look at lanes."""
        del lanes
        return UNBOUNDED

    async def message(self, app_id: str, id_or_event_id: str) -> Message | None:
        """See `OutboundReads.message`."""
        return await self._readers.read(message_reads.message, app_id, id_or_event_id)

    async def body(self, app_id: str, message_id: str, variant: str = "") -> bytes | None:
        """See `OutboundReads.body`."""
        return await self._readers.read(message_reads.body, app_id, message_id, variant)

    async def delivery(self, app_id: str, delivery_id: str) -> DeliveryRow | None:
        """See `OutboundReads.delivery`."""
        return await self._readers.read(message_reads.delivery, app_id, delivery_id)

    async def deliveries_of_message(self, app_id: str, message_id: str) -> list[Delivery]:
        """See `OutboundReads.deliveries_of_message`."""
        return await self._readers.read(message_reads.deliveries_of_message, app_id, message_id)

    async def attempt(self, app_id: str, attempt_id: str) -> Attempt | None:
        """See `OutboundReads.attempt`."""
        return await self._readers.read(message_reads.attempt, app_id, attempt_id)

    async def select(self, selection: DeliverySelection, after: str, limit: int) -> list[str]:
        """See `OutboundReads.select`."""
        return await self._readers.read(message_reads.select, selection, after, limit)

    async def missing_messages(
        self, gap: MissedPeriod, after: str, limit: int
    ) -> tuple[list[Message], str | None]:
        """See `OutboundReads.missing_messages`."""
        return await self._readers.read(
            message_reads.missing_messages, message_reads.MissingQuery(*gap, after, limit)
        )

    async def counts(self) -> Totals:
        """See `OutboundReads.counts`."""
        return await self._readers.read(message_reads.counts)
