"""The model's writes of messages and claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tests.store.model.inbound import ModelInbound
from tests.store.model.outbound_reads import OPEN_STATES, ModelMessages
from tillbell.clock import DAY, Micros
from tillbell.errors import VersionConflict
from tillbell.ids import attempt_id, first_of
from tillbell.model.messages import (
    Attempt,
    Claim,
    Delivery,
    DeliveryState,
    Result,
    Trigger,
)
from tillbell.model.records import Application, Record
from tillbell.storage.ports.outbound import (
    INTERRUPTIONS_NOT_COUNTED,
    RESENDABLE,
    DuplicateEventId,
    FinishedAttempt,
    IdempotencyUse,
    LaneKey,
    LeaseKey,
    Publication,
    PublicationStored,
    ResendCounts,
)

T = TypeVar("T")
WAITING, SENDING = DeliveryState.WAITING, DeliveryState.SENDING
FAILED, DISCARDED = DeliveryState.FAILED, DeliveryState.DISCARDED
SUCCEEDED = DeliveryState.SUCCEEDED


class ModelStore(ModelInbound, ModelMessages):
    """A store for one random simulation."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[tuple[str, str, str], Record] = {}

    async def put(self, record: Record) -> None:
        """See `Registry.put`: of one record that must not be there."""
        key = type(record).__name__, record.scope, record.id
        if key in self.records:
            raise VersionConflict
        self.records[key] = record

    async def remove(self, kind: type[Record], id_: str) -> bool:
        """See `Registry.remove`: of an application."""
        assert kind is Application
        was_there = self.records.pop((kind.__name__, "", id_), None) is not None
        if was_there:
            self.records = {k: r for k, r in self.records.items() if r.scope != id_}
            self.remove_inbound(id_)
        return was_there

    # ── publish and finish ───────────────────────────────────────────────────────────────────────

    async def publish(
        self, publication: Publication
    ) -> PublicationStored | DuplicateEventId | IdempotencyUse:
        """See `OutboundStore.publish`."""
        use = publication.idempotency
        if use is not None and use.key in self.uses:
            return self.uses[use.key][0]
        earlier = self.published_as(publication.message)
        if earlier is not None:
            return DuplicateEventId(earlier.id)
        self.keep(publication)
        return PublicationStored()

    async def finish_attempt(self, finished: FinishedAttempt) -> bool:
        """See `OutboundStore.finish_attempt`."""
        attempt = finished.attempt
        delivery = self._holding(attempt.app_id, finished.delivery_id, finished.token)
        if delivery is None:
            return False
        state = finished.state
        if state is FAILED and not finished.uses_try:
            state = self._end_state(delivery.id, state)
        self.known_attempts[attempt.id] = attempt
        self.deliveries[delivery.id] = delivery._replace(
            state=state,
            tries=delivery.tries - (not finished.uses_try),
            due_at=finished.due_at if finished.state is WAITING else delivery.due_at,
            started_at=None,
        )
        return True

    def _holding(self, app_id: str, id_: str, token: int) -> Delivery | None:
        delivery = self.deliveries.get(id_)
        if delivery is None or delivery.state is not SENDING:
            return None
        return delivery if (delivery.app_id, delivery.token) == (app_id, token) else None

    # ── claims ───────────────────────────────────────────────────────────────────────────────────

    async def claim(
        self, wanted: Mapping[LaneKey, int], now: Micros, lease_until: Micros
    ) -> list[Claim]:
        """See `OutboundStore.claim`."""
        claims = []
        for lane, limit in wanted.items():
            due = [d for d in self._open_of(lane) if d.due_at <= now and self.may_go(d)]
            for delivery in sorted(due, key=lambda d: (d.due_at, d.id))[:limit]:
                used = delivery.tries
                if delivery.state is SENDING:
                    self._interrupt(delivery)
                    used -= delivery.attempts < INTERRUPTIONS_NOT_COUNTED
                leased = delivery._replace(
                    state=SENDING,
                    due_at=lease_until,
                    started_at=now,
                    attempts=delivery.attempts + 1,
                    tries=used + 1,
                    token=delivery.token + 1,
                )
                self.deliveries[leased.id] = leased
                body = self.bodies.get((leased.message_id, leased.variant))
                message = self.known_messages[leased.message_id]
                claims.append(Claim(leased, message, body).waiting())
        return claims

    def _open_of(self, lane: LaneKey) -> list[Delivery]:
        return [
            d
            for d in self.deliveries.values()
            if (d.app_id, d.endpoint_id) == lane and d.state in OPEN_STATES
        ]

    def _interrupt(self, delivery: Delivery) -> None:
        """Close the attempt that a lost lease left open."""
        assert delivery.started_at is not None
        attempt = Attempt(
            id=attempt_id(delivery.id, delivery.attempts),
            delivery_id=delivery.id,
            app_id=delivery.app_id,
            endpoint_id=delivery.endpoint_id,
            message_id=delivery.message_id,
            event_type=self.known_messages[delivery.message_id].event_type,
            number=delivery.attempts,
            trigger=delivery.trigger,
            result=Result.INTERRUPTED,
            started_at=delivery.started_at,
            duration_us=0,
            error="interrupted",
            detail="The process that made this attempt ended before it could record an answer. "
            "It is made again.",
        )
        self.known_attempts[attempt.id] = attempt

    async def renew(self, held: Sequence[LeaseKey], lease_until: Micros) -> Sequence[str]:
        """See `OutboundStore.renew`."""
        for delivery in self._all_holding(held):
            self.deliveries[delivery.id] = delivery._replace(due_at=lease_until)
        return [lease[1] for lease in held if self._holding(*lease) is None]

    async def release(self, held: Sequence[LeaseKey], now: Micros) -> None:
        """See `OutboundStore.release`."""
        for d in self._all_holding(held):
            self.deliveries[d.id] = d._replace(
                state=WAITING,
                due_at=now,
                started_at=None,
                attempts=d.attempts - 1,
                tries=d.tries - 1,
            )

    def _all_holding(self, held: Iterable[LeaseKey]) -> list[Delivery]:
        found = (self._holding(*claim) for claim in held)
        return [d for d in found if d is not None]

    async def release_all_leases(self, now: Micros) -> int:
        """See `OutboundStore.release_all_leases`."""
        leased = [d for d in self.deliveries.values() if d.state is SENDING]
        for delivery in leased:
            self._interrupt(delivery)
            self.deliveries[delivery.id] = delivery._replace(
                state=WAITING,
                due_at=now,
                started_at=None,
                tries=delivery.tries - (delivery.attempts < INTERRUPTIONS_NOT_COUNTED),
            )
        return len(leased)

    # ── by hand ──────────────────────────────────────────────────────────────────────────────────

    async def add_deliveries(
        self, deliveries: Sequence[Delivery], bodies: Mapping[tuple[str, str], bytes]
    ) -> int:
        """See `OutboundStore.add_deliveries`."""
        count = 0
        for delivery in deliveries:
            message = self.known_messages.get(delivery.message_id)
            if message is None or message.app_id != delivery.app_id:
                continue
            if delivery.id not in self.deliveries:
                count += 1
                self.deliveries[delivery.id] = delivery
                key = delivery.message_id, delivery.variant
                if key in bodies and (delivery.message_id, "") in self.bodies:
                    self.bodies.setdefault(key, bodies[key])
        return count

    async def resend(
        self,
        app_id: str,
        delivery_ids: Sequence[str],
        now: Micros,
        trigger: Trigger = Trigger.MANUAL,
        states: Sequence[DeliveryState] = RESENDABLE,
    ) -> ResendCounts:
        """See `OutboundStore.resend`."""
        found = [self.deliveries[id_] for id_ in set(delivery_ids) if id_ in self.deliveries]
        allowed = set(states) - {SENDING}
        chosen = [d for d in found if d.app_id == app_id and d.state in allowed]
        taken = [d for d in chosen if (d.message_id, d.variant) in self.bodies]
        for d in taken:
            again = (
                d._replace(due_at=min(d.due_at, now))
                if d.state is WAITING
                else d._replace(state=WAITING, due_at=now, tries=0)
            )
            self.deliveries[d.id] = again._replace(trigger=trigger)
        return ResendCounts(len(taken), len(chosen) - len(taken))

    async def discard(self, app_id: str, endpoint_id: str, now: Micros, limit: int) -> int:
        """See `OutboundStore.discard`."""
        open_ = self._open_of((app_id, endpoint_id))
        found = [d for d in open_ if not _is_leased(d, now)][:limit]
        for delivery in found:
            self._end(delivery, DISCARDED)
        return len(found)

    def _end(self, delivery: Delivery, state: DeliveryState) -> None:
        if delivery.state is SENDING:
            self._interrupt(delivery)
        end = self._end_state(delivery.id, state)
        self.deliveries[delivery.id] = delivery._replace(state=end, started_at=None)

    def _end_state(self, delivery_id: str, state: DeliveryState) -> DeliveryState:
        attempts = [a for a in self.known_attempts.values() if a.delivery_id == delivery_id]
        return SUCCEEDED if any(a.result is Result.ACCEPTED for a in attempts) else state

    async def expunge(self, app_id: str, message_id: str) -> bool:
        """See `OutboundStore.expunge`."""
        message = self.known_messages.get(message_id)
        if message is None or message.app_id != app_id:
            return False
        for key in [key for key in self.bodies if key[0] == message_id]:
            del self.bodies[key]
        return True

    async def expunge_attempt(self, app_id: str, attempt_id: str) -> bool:
        """See `OutboundStore.expunge_attempt`."""
        attempt = self.known_attempts.get(attempt_id)
        if attempt is None or attempt.app_id != app_id:
            return False
        self.known_attempts[attempt_id] = attempt._replace(response=b"EXPUNGED")
        return True

    # ── by the calendar ──────────────────────────────────────────────────────────────────────────

    async def purge(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros, limit: int
    ) -> int:
        """See `OutboundStore.purge`."""
        bodies = self._purge_bodies(first_of("msg", bodies_before), now, limit)
        return bodies + self._purge_history(history_before, now, limit - bodies)

    def _purge_bodies(self, kept: str, now: Micros, limit: int) -> int:
        gone: list[tuple[str, str]] = []
        for message_id, variant in self.bodies:
            expires_at = self.known_messages[message_id].expires_at
            is_stale = message_id < kept if expires_at is None else expires_at <= now
            users = [
                d
                for d in self.deliveries.values()
                if (d.message_id, d.variant) == (message_id, variant) and d.state in OPEN_STATES
            ]
            if is_stale and not any(_is_leased(d, now) for d in users) and len(gone) < limit:
                gone.append((message_id, variant))
                for delivery in users:
                    self._end(delivery, FAILED)
        for key in gone:
            del self.bodies[key]
        return len(gone)

    def _purge_history(self, before: Micros, now: Micros, limit: int) -> int:
        ended = {d.id for d in self.deliveries.values() if d.state not in OPEN_STATES}
        left = limit
        old = [
            a.id
            for a in self.known_attempts.values()
            if a.id < first_of("atmpt", before) and a.delivery_id in ended
        ]
        left -= _drop(self.known_attempts, old, left)
        if left > 0:
            old = [id_ for id_ in ended if id_ < first_of("dlv", before)]
            left -= _drop(self.deliveries, old, left)
        if left > 0:
            in_use = {d.message_id for d in self.deliveries.values()}
            old = [id_ for id_ in self.known_messages if id_ < first_of("msg", before)]
            left -= _drop(self.known_messages, [id_ for id_ in old if id_ not in in_use], left)
            self.bodies = {k: b for k, b in self.bodies.items() if k[0] in self.known_messages}
        if left > 0:
            old = [key for key, (_, at) in self.uses.items() if at < now - DAY]
            left -= _drop(self.uses, old, left)
        return limit - left

    # ── idempotency keys ─────────────────────────────────────────────────────────────────────────

    async def store_idempotent_answer(
        self, use: IdempotencyUse, now: Micros
    ) -> IdempotencyUse | None:
        """See `OutboundStore.store_idempotent_answer`."""
        earlier = await self.idempotent_answer(use.key)
        if earlier is not None and earlier.answer:
            return earlier
        answered = use if earlier is None else earlier._replace(answer=use.answer)
        self.uses[use.key] = answered, now
        return None

    async def idempotent_answer(self, key: str) -> IdempotencyUse | None:
        """See `OutboundStore.idempotent_answer`."""
        return self.uses[key][0] if key in self.uses else None


def _is_leased(delivery: Delivery, now: Micros) -> bool:
    return delivery.state is SENDING and delivery.due_at > now


def _drop(rows: dict[str, T], ids: Iterable[str], limit: int) -> int:
    chosen = sorted(ids)[:limit]
    for id_ in chosen:
        del rows[id_]
    return len(chosen)
