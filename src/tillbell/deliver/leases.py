"""The ledger: claims this process holds, and results on their way into the store.

Leases are renewed while a claim waits or is being sent, and given up before they would
run out under an attempt. A result that the store did not confirm is offered again, every
second and before anything is claimed: so what was answered while the store was away is not sent
twice by those who answered for it. If it never is confirmed, the lease runs out, the attempt
shows as `interrupted` and is made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from tillbell.clock import SECOND, Alarm, Clock, Micros
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.model.messages import Claim, DeliveryState
from tillbell.storage.ports.outbound import FinishedAttempt, OutboundStore

RENEW_BELOW: Micros = 5 * SECOND  # leases with less left are renewed by each heartbeat
RETRY_AFTER: Micros = SECOND


class _HeldLease(NamedTuple):
    token: int
    end: Micros
    app_id: str


class HeldLeases:
    """See the module."""

    def __init__(self, store: OutboundStore, clock: Clock, lease: Micros) -> None:
        self._store = store
        self._clock = clock
        self._lease = lease
        self._held: dict[str, _HeldLease] = {}  # by delivery
        self._writes: set[asyncio.Future[Any]] = set()
        self._postponed: dict[str, tuple[Claim, FinishedAttempt]] = {}  # by delivery
        self._alarm: Alarm | None = None
        self.on_retry_stored: Callable[[str, Micros], object] = lambda *_: None

    @property
    def held_count(self) -> int:
        """How many claims this process holds."""
        return len(self._held)

    def add(self, claim: Claim) -> None:
        """Begin to look after a claim's lease."""
        delivery = claim.delivery
        self._held[delivery.id] = _HeldLease(delivery.token, delivery.due_at, delivery.app_id)

    def check_held(self, claim: Claim, now: Micros) -> bool:
        """Tell whether the claim is still ours to send."""
        held = self._held.get(claim.delivery.id)
        if held is not None and held.token == claim.delivery.token and now < held.end:
            return True
        self.forget(claim)
        return False

    def forget(self, claim: Claim) -> None:
        """Stop looking after a claim without a word to the store."""
        self._forget(claim.delivery.id, claim.delivery.token)

    def _forget(self, delivery_id: str, token: int) -> None:
        if self._held.get(delivery_id, (None,))[0] == token:  # else we have claimed it again
            del self._held[delivery_id]

    def release_one(self, claim: Claim) -> None:
        """Release one claim that was not sent."""
        self.release([claim])

    def release(self, claims: Sequence[Claim]) -> None:
        """Release claims that were not sent: due again now, for anyone."""
        held = [(c.delivery.app_id, c.delivery.id, c.delivery.token) for c in claims]
        for claim in claims:
            self.forget(claim)
        self._write(self._store.release(held, self._clock.now()))

    def store_attempt(self, claim: Claim, settlement: FinishedAttempt) -> None:
        """Write a result with the store's next commit."""
        future = asyncio.ensure_future(self._store.finish_attempt(settlement))
        self._writes.add(future)
        future.add_done_callback(lambda done: self._attempt_stored(claim, settlement, done))

    def store_discarded(self, claim: Claim, settlement: FinishedAttempt) -> None:
        """Settle an attempt whose endpoint was removed while it was made."""
        if settlement.state is DeliveryState.WAITING:
            settlement = settlement._replace(state=DeliveryState.DISCARDED)
        self.store_attempt(claim, settlement)

    def _attempt_stored(
        self, claim: Claim, settlement: FinishedAttempt, done: asyncio.Future[bool]
    ) -> None:
        self._writes.discard(done)
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, StoreUnavailable):
            log_event("attempt.result_postponed", delivery=settlement.delivery_id, error=str(error))
            self._store_later(claim, settlement)
            return
        self.forget(claim)
        if error is not None:
            raise error
        if not done.result():
            log_event("attempt.result_stale", delivery=settlement.delivery_id)
        elif settlement.state is DeliveryState.WAITING:
            self.on_retry_stored(claim.delivery.endpoint_id, settlement.due_at)

    def _store_later(self, claim: Claim, settlement: FinishedAttempt) -> None:
        self._postponed[settlement.delivery_id] = claim, settlement
        if self._alarm is None:
            self._alarm = self._clock.call_at(
                self._clock.now() + RETRY_AFTER, self.retry_unconfirmed
            )

    def retry_unconfirmed(self) -> None:
        """Write the results that the store did not confirm, if they can still count."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        postponed, self._postponed = self._postponed, {}
        for claim, settlement in postponed.values():
            if self._held.get(claim.delivery.id, (None,))[0] == claim.delivery.token:
                self.store_attempt(claim, settlement)

    def _write(self, write: Awaitable[object]) -> None:
        """Let a write run by itself; the store's failure is its log line, not ours to handle."""
        future = asyncio.ensure_future(write)
        self._writes.add(future)
        future.add_done_callback(self._written)

    def _written(self, done: asyncio.Future[Any]) -> None:
        self._writes.discard(done)
        if not done.cancelled() and isinstance(done.exception(), StoreUnavailable):
            log_event("lease.release_failed", error=str(done.exception()))  # the lease will run out

    async def renew(self) -> None:
        """Extend the leases that would run out soon: the heartbeat.

        Those that others have by now are not sent: this process may have been stopped for long.
        """
        now = self._clock.now()
        until = now + self._lease
        due = [
            (held.app_id, id_, held.token)
            for id_, held in self._held.items()
            if held.end - now < RENEW_BELOW
        ]
        if not due:
            return
        lost = frozenset(await self._store.renew(due, until))
        for app_id, id_, token in due:
            if id_ in lost:
                self._forget(id_, token)
            elif self._held.get(id_, (None,))[0] == token:
                self._held[id_] = _HeldLease(token, until, app_id)

    async def flush(self) -> None:
        """Wait until every result on its way has been confirmed or refused."""
        while self._writes:
            await asyncio.wait(set(self._writes))
