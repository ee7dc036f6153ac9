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
from tillbell.storage.engine.readers import Readers
from tillbell.storage.operations import claims, message_reads, messages, records, retention
from tillbell.storage.operations.claim_window import EVERYTHING, View
from tillbell.storage.ports.outbound import (
    ALL,
    RESENDABLE,
    Added,
    AttemptFilter,
    DeliveryRow,
    Duplicate,
    Gap,
    Hold,
    Lane,
    LaneKey,
    MessageFilter,
    Page,
    Publication,
    Repeated,
    Selection,
    Settlement,
    Totals,
)

R = TypeVar("R", bound=Record)


class StoreMethods:
    """`Store` by the writer."""

    _writer: Writer
    _readers: Readers

    def publish(self, publication: Publication) -> Awaitable[Added | Duplicate | Repeated]:
        """See `Store.publish`."""
        return self._writer.submit(messages.publish, publication)

    def settle(self, settlement: Settlement) -> Awaitable[bool]:
        """See `Store.settle`."""
        return self._writer.submit(messages.settle, settlement)

    async def claim(
        self, wanted: Mapping[LaneKey, int], now: Micros, lease_until: Micros
    ) -> list[Claim]:
        """See `Store.claim`."""
        request = claims.Wanted(wanted, now, lease_until, EVERYTHING)
        taken: claims.Taken = await self._writer.submit(claims.claim, request)
        return taken.claims

    async def renew(self, held: Sequence[Hold], lease_until: Micros) -> Sequence[str]:
        """See `Store.renew`."""
        lost: list[str] = await self._writer.submit(
            messages.renew, messages.Held(held, lease_until)
        )
        return lost

    async def release(self, held: Sequence[Hold], now: Micros) -> None:
        """See `Store.release`."""
        await self._writer.submit(messages.release, messages.Held(held, now))

    async def orphan(self, now: Micros) -> int:
        """See `Store.orphan`."""
        count: int = await self._writer.submit(messages.orphan, now)
        return count

    async def add_deliveries(
        self, deliveries: Sequence[Delivery], bodies: Mapping[tuple[str, str], bytes]
    ) -> int:
        """See `Store.add_deliveries`."""
        request = retention.Additions(deliveries, bodies)
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
        """See `Store.resend`."""
        request = retention.Resend(app_id, delivery_ids, now, trigger, states)
        count: int = await self._writer.submit(retention.resend, request)
        return count

    async def discard(self, app_id: str, endpoint_id: str, now: Micros, limit: int) -> int:
        """See `Store.discard`."""
        request = retention.Discard(app_id, endpoint_id, now, limit)
        count: int = await self._writer.submit(retention.discard, request)
        return count

    async def expunge(self, app_id: str, message_id: str) -> bool:
        """See `Store.expunge`."""
        found: bool = await self._writer.submit(retention.expunge, (app_id, message_id))
        return found

    async def expunge_attempt(self, app_id: str, attempt_id: str) -> bool:
        """See `Store.expunge_attempt`."""
        found: bool = await self._writer.submit(retention.expunge_attempt, (app_id, attempt_id))
        return found

    async def purge(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros, limit: int
    ) -> int:
        """See `Store.purge`."""
        request = retention.Bounds(bodies_before, history_before, now, limit)
        count: int = await self._writer.submit(retention.purge, request)
        return count

    async def remember(
        self, key: str, fingerprint: str, answer: bytes, now: Micros
    ) -> Repeated | None:
        """See `Store.remember`."""
        request = retention.Answered(key, fingerprint, answer, now)
        earlier: Repeated | None = await self._writer.submit(retention.remember, request)
        return earlier

    async def recall(self, key: str) -> Repeated | None:
        """See `Store.recall`."""
        return await self._readers.read(message_reads.idempotency, key)


class RegistryMethods:
    """`Registry` by the writer and the readers."""

    _writer: Writer
    _readers: Readers

    async def put(self, *items: Record, expected_version: int = 0) -> None:
        """See `Registry.put`."""
        await self._writer.submit(records.put, records.Put(items, expected_version))

    async def get(self, kind: type[R], id_or_uid: str, scope: str | None = "") -> R | None:
        """See `Registry.get`."""
        return await self._readers.read(records.get, kind, id_or_uid, scope)

    async def remove(self, kind: type[Record], id_: str, scope: str = "") -> bool:
        """See `Registry.remove`."""
        request = records.Removal(kind, scope, id_)
        was_there: bool = await self._writer.submit(records.remove, request)
        return was_there

    # Last, because in this class its name hides the built-in one.
    async def list(self, kind: type[R], scope: str | None = "", page: Page = ALL) -> list[R]:
        """See `Registry.list`."""
        return await self._readers.read(records.list_, kind, scope, page)


class ListsMethods:
    """`Lists` by whatever reads."""

    _readers: Readers

    async def messages(self, app_id: str, filter_: MessageFilter, page: Page) -> list[Message]:
        """See `Lists.messages`."""
        return await self._readers.read(message_reads.messages, app_id, filter_, page)

    async def deliveries_of_endpoint(
        self,
        app_id: str,
        endpoint_id: str,
        filter_: MessageFilter,
        states: tuple[DeliveryState, ...] | None,
        page: Page,
    ) -> list[DeliveryRow]:
        """See `Lists.deliveries_of_endpoint`."""
        wanted = message_reads.OfEndpoint(app_id, endpoint_id, filter_, states, page)
        return await self._readers.read(message_reads.deliveries_of_endpoint, wanted)

    async def attempts(self, app_id: str, filter_: AttemptFilter, page: Page) -> list[Attempt]:
        """See `Lists.attempts`."""
        return await self._readers.read(message_reads.attempts, app_id, filter_, page)

    async def totals(
        self, app_id: str, endpoint_id: str | None, since: Micros, until: Micros
    ) -> Totals:
        """See `Lists.totals`."""
        period = message_reads.Period(app_id, endpoint_id, since, until)
        return await self._readers.read(message_reads.totals, period)


class ViewsMethods(ListsMethods):
    """`Views` by the readers."""

    async def lanes(self, after: str = "", limit: int = 10_000) -> list[Lane]:
        """See `Views.lanes`."""
        return await self._readers.read(message_reads.lanes, after, limit)

    async def next_due(self, lanes: Sequence[LaneKey]) -> dict[str, Micros]:
        """See `Views.next_due`."""
        return await self._readers.read(message_reads.next_due, lanes, self._view(lanes))

    def _view(self, lanes: Sequence[LaneKey]) -> View:
        """From where on to look at lanes."""
        del lanes
        return EVERYTHING

    async def message(self, app_id: str, id_or_event_id: str) -> Message | None:
        """See `Views.message`."""
        return await self._readers.read(message_reads.message, app_id, id_or_event_id)

    async def body(self, app_id: str, message_id: str, variant: str = "") -> bytes | None:
        """See `Views.body`."""
        return await self._readers.read(message_reads.body, app_id, message_id, variant)

    async def delivery(self, app_id: str, delivery_id: str) -> DeliveryRow | None:
        """See `Views.delivery`."""
        return await self._readers.read(message_reads.delivery, app_id, delivery_id)

    async def deliveries_of_message(self, app_id: str, message_id: str) -> list[Delivery]:
        """See `Views.deliveries_of_message`."""
        return await self._readers.read(message_reads.deliveries_of_message, app_id, message_id)

    async def attempt(self, app_id: str, attempt_id: str) -> Attempt | None:
        """See `Views.attempt`."""
        return await self._readers.read(message_reads.attempt, app_id, attempt_id)

    async def select(self, selection: Selection, after: str, limit: int) -> list[str]:
        """See `Views.select`."""
        return await self._readers.read(message_reads.select, selection, after, limit)

    async def missing(self, gap: Gap, after: str, limit: int) -> tuple[list[Message], str | None]:
        """See `Views.missing`."""
        return await self._readers.read(
            message_reads.missing, message_reads.Search(*gap, after, limit)
        )

    async def counts(self) -> Totals:
        """See `Views.counts`."""
        return await self._readers.read(message_reads.counts)
