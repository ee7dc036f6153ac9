"""Aftermath: what an attempt's end means beyond its delivery.

Endpoint health is judged here; a 410 disables its endpoint, days of nothing but failures
pause it, and whoever subscribed to operational webhooks hears of it. Messages about an
operational endpoint itself are never published: they would breed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from tillbell.clock import DAY, Clock, iso
from tillbell.counters import Meters
from tillbell.deliver.attempt import Ended
from tillbell.deliver.config_cache import OPERATIONAL, Directory
from tillbell.deliver.lane import Lane
from tillbell.errors import TillbellError
from tillbell.logs import observe
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus
from tillbell.model.messages import Claim, Result
from tillbell.rules.delivery import health as rules

Announce = Callable[[str, bytes], Awaitable[object]]


class Aftermath:
    """See the module."""

    def __init__(
        self, *, directory: Directory, clock: Clock, meters: Meters, pause_after_days: int
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._meters = meters
        self._pause_after = pause_after_days * DAY
        self._tasks: set[asyncio.Task[None]] = set()
        self.announce: Announce | None = None  # publishes (event type, payload)

    def ended(self, lane: Lane, claim: Claim, ended: Ended) -> None:
        """Take note of an attempt's end."""
        attempt = ended.settlement.attempt
        first = attempt.number == 1
        delay_us = attempt.started_at + attempt.duration_us - claim.message.created_at
        self._meters.attempt(ended.result, attempt.duration_us, delay_us if first else None)
        if ended.result is Result.ACCEPTED:
            if lane.health.failing_since is not None:
                self._judged(lane, rules.after_success(lane.health, self._clock.now()))
            return
        observe(
            "attempt.failed",
            attempt=attempt.id,
            endpoint=attempt.endpoint_id,
            result=ended.result.value,
            status=attempt.status_code,
            error=attempt.error,
        )
        now = self._clock.now()
        self._judged(lane, rules.after_failure(lane.health, now, pause_after=self._pause_after))
        if ended.result is Result.GONE:
            self._stop(lane, EndpointStatus.DISABLED, "gone", "endpoint.disabled")
        if ended.gave_up:
            self._delivery_failed(lane, claim, ended)

    def _judged(self, lane: Lane, verdict: rules.Verdict) -> None:
        lane.health = verdict.health
        if verdict.changed:
            self._spawn(self._keep(lane.health))
        for event_type, stage in verdict.events:
            if not verdict.pause:
                self._tell(event_type, lane, stage=stage)
        if verdict.pause:
            self._stop(lane, EndpointStatus.PAUSED, "failing", "endpoint.paused")

    def _stop(self, lane: Lane, status: EndpointStatus, reason: str, event_type: str) -> None:
        endpoint = lane.live.endpoint
        if endpoint.status is not EndpointStatus.ACTIVE:
            return
        stopped = msgspec.structs.replace(
            endpoint,
            status=status,
            status_reason=reason,
            version=endpoint.version + 1,
            updated_at=self._clock.now(),
        )
        self._spawn(self._put(stopped))
        self._tell(event_type, lane, reason=reason)

    async def _put(self, endpoint: Endpoint) -> None:
        await self._directory.put(endpoint)

    async def _keep(self, health: EndpointHealth) -> None:
        await self._directory.put(health)

    def _delivery_failed(self, lane: Lane, claim: Claim, ended: Ended) -> None:
        attempt = ended.settlement.attempt
        self._tell(
            "delivery.failed",
            lane,
            msgId=claim.message.id,
            eventType=claim.message.event_type,
            deliveryId=claim.delivery.id,
            attempts=attempt.number,
            reason=ended.gave_up,
            lastAttempt={
                "id": attempt.id,
                "timestamp": iso(attempt.started_at),
                "responseStatusCode": attempt.status_code,
                "result": attempt.result.value,
                "error": attempt.error,
            },
        )

    def _tell(self, event_type: str, lane: Lane, **more: object) -> None:
        endpoint = lane.live.endpoint
        observe(event_type, None, endpoint=endpoint.id, **_plain(more))
        if endpoint.scope == OPERATIONAL or self.announce is None:
            return
        since = lane.health.failing_since
        data = {
            "appId": endpoint.scope,
            "endpointId": endpoint.id,
            "endpointUid": endpoint.uid,
            "url": endpoint.url,
            "failingSince": iso(since) if since is not None else None,
            **more,
        }
        message = {"type": event_type, "timestamp": iso(self._clock.now()), "data": data}
        self._spawn(self._announce(event_type, msgspec.json.encode(message)))

    async def _announce(self, event_type: str, payload: bytes) -> None:
        view = await self._directory.view(OPERATIONAL)
        if view is not None and view.lives and self.announce is not None:
            await self.announce(event_type, payload)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(task.exception(), TillbellError):
            observe("aftermath.lost", error=str(task.exception()))

    async def settle(self) -> None:
        """Wait for what is still being written."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))


def _plain(more: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in more.items() if not isinstance(value, dict)}
