"""Held leases: the claims of this process, and attempt results on their way into the store.

Leases are renewed while a claim waits or is being sent. A claim whose lease has ended is not
sent. A result that the store did not confirm is written again, every second and before the next
claim. So an attempt that was answered while the store was unavailable is not made twice. If its
result is never confirmed, the lease ends, the attempt is recorded as `interrupted` and the next
one is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tillbell.clock import SECOND, Alarm, Clock, Micros
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.model.messages import Claim, DeliveryState
from tillbell.storage.ports.outbound import FinishedAttempt, OutboundStore

LEASE: Micros = 10 * SECOND
RENEW_BELOW: Micros = 5 * SECOND  # leases with less time left are renewed
RETRY_AFTER: Micros = SECOND


class _HeldLease(NamedTuple):
    token: int
    end: Micros
    app_id: str


class HeldLeases:
    """The leases of this process, by delivery.

    `on_retry_stored` is called with the endpoint's id and the due time when a delivery was stored
    to be tried again.
    """

    def __init__(self, store: OutboundStore, clock: Clock, lease: Micros = LEASE) -> None:
        self._store = store
        self._clock = clock
        self._lease = lease
        self._held: dict[str, _HeldLease] = {}  # by delivery id
        self._writes: set[asyncio.Future[Any]] = set()
        self._unconfirmed: dict[str, tuple[Claim, FinishedAttempt]] = {}  # by delivery id
        self._alarm: Alarm | None = None
        self.on_retry_stored: Callable[[str, Micros], object] = lambda *_: None

    @property
    def held_count(self) -> int:
        """How many claims this process holds."""
        return len(self._held)

    def lease_until(self, now: Micros) -> Micros:
        """Return when a lease that begins now ends, unless it is renewed."""
        return now + self._lease

    def waited(self, claim: Claim, now: Micros) -> Micros:
        """Return for how long a claim has been in this process, whose lease it began with."""
        return max(0, now - claim.delivery.due_at + self._lease)

    def add(self, claim: Claim) -> None:
        """Begin to renew a claim's lease."""
        delivery = claim.delivery
        self._held[delivery.id] = _HeldLease(delivery.token, delivery.due_at, delivery.app_id)

    def check_held(self, claim: Claim, now: Micros) -> bool:
        """Tell whether the claim's lease still runs; if not, forget it."""
        lease = self._held.get(claim.delivery.id)
        if lease is not None and lease.token == claim.delivery.token and now < lease.end:
            return True
        self.forget(claim)
        return False

    def forget(self, claim: Claim) -> None:
        """Stop renewing a claim's lease, without telling the store."""
        self._forget(claim.delivery.id, claim.delivery.token)

    def _forget(self, delivery_id: str, token: int) -> None:
        if self._is_held(delivery_id, token):
            del self._held[delivery_id]

    def _is_held(self, delivery_id: str, token: int) -> bool:
        """Tell whether a lease is held with this token; a later claim has a higher one."""
        lease = self._held.get(delivery_id)
        return lease is not None and lease.token == token

    def release(self, claims: Sequence[Claim]) -> None:
        """Give up claims that were not sent: they are due again now, for any process."""
        leases = [(c.delivery.app_id, c.delivery.id, c.delivery.token) for c in claims]
        for claim in claims:
            self.forget(claim)
        write = asyncio.ensure_future(self._store.release(leases, self._clock.now()))
        self._writes.add(write)
        write.add_done_callback(self._released)

    def _released(self, write: asyncio.Future[Any]) -> None:
        self._writes.discard(write)
        if not write.cancelled() and isinstance(write.exception(), StoreUnavailable):
            # Nothing is lost: the leases end by themselves.
            log_event("lease.release_failed", error=str(write.exception()))

    # ── results ──────────────────────────────────────────────────────────────────────────────────

    def store_attempt(self, claim: Claim, finished: FinishedAttempt) -> None:
        """Write an attempt's result with the store's next commit."""
        write = self._store.finish_attempt(finished)
        self._writes.add(write)
        write.add_done_callback(lambda done: self._attempt_stored(claim, finished, done))

    def store_discarded(self, claim: Claim, finished: FinishedAttempt) -> None:
        """Write the result of an attempt whose endpoint was removed meanwhile: no retry."""
        if finished.state is DeliveryState.WAITING:
            finished = finished._replace(state=DeliveryState.DISCARDED)
        self.store_attempt(claim, finished)

    def _attempt_stored(
        self, claim: Claim, finished: FinishedAttempt, write: asyncio.Future[bool]
    ) -> None:
        self._writes.discard(write)
        if write.cancelled():
            return
        error = write.exception()
        if isinstance(error, StoreUnavailable):
            log_event("attempt.result_postponed", delivery=finished.delivery_id, error=str(error))
            self._retry_later(claim, finished)
            return
        self.forget(claim)
        if error is not None:
            raise error
        if not write.result():
            log_event("attempt.result_stale", delivery=finished.delivery_id)
        elif finished.state is DeliveryState.WAITING:
            self.on_retry_stored(claim.delivery.endpoint_id, finished.due_at)

    def _retry_later(self, claim: Claim, finished: FinishedAttempt) -> None:
        self._unconfirmed[finished.delivery_id] = claim, finished
        if self._alarm is None:
            retry_at = self._clock.now() + RETRY_AFTER
            self._alarm = self._clock.call_at(retry_at, self.retry_unconfirmed)

    def retry_unconfirmed(self) -> None:
        """Write the results again that the store did not confirm and whose lease is still held."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for claim, finished in unconfirmed.values():
            if self._is_held(claim.delivery.id, claim.delivery.token):
                self.store_attempt(claim, finished)

    # ── time ─────────────────────────────────────────────────────────────────────────────────────

    async def renew(self) -> None:
        """Extend the leases that would end soon.

        Leases that other processes have by now are forgotten, so that their claims are not sent.
        """
        now = self._clock.now()
        until = now + self._lease
        due = [
            (lease.app_id, delivery_id, lease.token)
            for delivery_id, lease in self._held.items()
            if lease.end - now < RENEW_BELOW
        ]
        if not due:
            return
        lost = frozenset(await self._store.renew(due, until))
        for app_id, delivery_id, token in due:
            if delivery_id in lost:
                self._forget(delivery_id, token)
            elif self._is_held(delivery_id, token):
                self._held[delivery_id] = _HeldLease(token, until, app_id)

    async def flush(self) -> None:
        """Wait until every write under way has ended."""
        while self._writes:
            await asyncio.wait(set(self._writes))
