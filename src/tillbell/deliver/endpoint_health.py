"""Endpoint health: what the end of an attempt means for its endpoint.

A 410 disables the endpoint; days of nothing but failures pause it. Both, and warnings before, are
published to operational webhooks, and so is what owners change and how messages fail there. Names
and members are ours, and beside them those of Svix. Messages about an operational endpoint itself
are not published, because each of them could cause another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, Protocol

import msgspec

from tillbell.clock import DAY, Clock, iso
from tillbell.counters import Meters
from tillbell.deliver.attempt import JudgedAttempt
from tillbell.deliver.audit import acting_as
from tillbell.deliver.config_cache import OPERATIONAL, ConfigCache
from tillbell.deliver.lane import Lane
from tillbell.errors import NotFound, TillbellError
from tillbell.logs import log_event
from tillbell.model.audit import SYSTEM
from tillbell.model.endpoints import AttemptFailure, Endpoint, EndpointHealth, EndpointStatus
from tillbell.model.messages import Attempt, Claim, Result
from tillbell.rules.delivery import health as rules

FAILURES_UNTIL_FAILING = 4  # of one message at an endpoint, before `message.attempt.failing`

Announce = Callable[[str, bytes], Awaitable[object]]


class OnCircuitMoved(Protocol):
    """What is called when the breaker of an endpoint has opened or closed."""

    def __call__(
        self, app_id: str, endpoint_id: str, *, is_open: bool
    ) -> Coroutine[Any, Any, None]:
        """Take the endpoint, and whether its circuit is open now."""
        ...


class _Stop(NamedTuple):
    """How an endpoint is stopped, and the message that reports it."""

    status: EndpointStatus
    reason: str
    event_type: str


_GONE = _Stop(EndpointStatus.DISABLED, "gone", "endpoint.disabled")
_FAILING = _Stop(EndpointStatus.PAUSED, "failing", "endpoint.paused")


class _OperationalMessage(NamedTuple):
    """A message for those who subscribed to operational webhooks."""

    about: str  # the application of the endpoint that it reports on
    event_type: str
    payload: bytes


class EndpointHealthMonitor:
    """Judges the health of endpoints. Lives on one event loop.

    `announce` publishes an operational message; it takes an event type and a payload.
    """

    def __init__(
        self, *, config_cache: ConfigCache, clock: Clock, meters: Meters, pause_after_days: int
    ) -> None:
        self._config_cache = config_cache
        self._clock = clock
        self._meters = meters
        self._pause_after = pause_after_days * DAY
        self._tasks: set[asyncio.Task[None]] = set()
        self.announce: Announce = _discard
        self.read_types: frozenset[str] = frozenset()  # published though no endpoint asks for them
        self.on_circuit_moved: OnCircuitMoved = _ignore_circuit

    def attempt_ended(self, lane: Lane, claim: Claim, judged: JudgedAttempt) -> None:
        """Count an attempt and judge its endpoint."""
        attempt = judged.finished.attempt
        is_first = attempt.number == 1
        delay_us = attempt.started_at + attempt.duration_us - claim.message.created_at
        self._meters.attempt(judged.result, attempt.duration_us, delay_us if is_first else None)
        if judged.result is Result.ACCEPTED:
            verdict = rules.after_success(lane.health, attempt.started_at + attempt.duration_us)
            if verdict.changed and judged.counts:
                self._apply_verdict(lane, verdict)
            if claim.delivery.tries > FAILURES_UNTIL_FAILING:
                self._report_attempt("message.attempt.recovered", lane, claim, judged)
            return
        log_event(
            "attempt.failed",
            attempt=attempt.id,
            endpoint=attempt.endpoint_id,
            result=judged.result.value,
            status=attempt.status_code,
            error=attempt.error,
        )
        if judged.counts:
            self._count_failure(lane, judged)
        if judged.gave_up:
            self._delivery_failed(lane, claim, judged)
            self._report_attempt("message.attempt.exhausted", lane, claim, judged)
        elif claim.delivery.tries == FAILURES_UNTIL_FAILING and judged.finished.uses_try:
            self._report_attempt("message.attempt.failing", lane, claim, judged)

    def endpoint_changed(self, event_type: str, endpoint: Endpoint) -> None:
        """Publish that an endpoint was created, changed or removed by its owner."""
        self._spawn(self._announce(self._message(event_type, endpoint, {})))

    def _count_failure(self, lane: Lane, judged: JudgedAttempt) -> None:
        """Judge the endpoint after a failure that says something about it."""
        attempt = judged.finished.attempt
        lane.last_failure = AttemptFailure(
            at=self._clock.now(),
            status=attempt.status_code,
            error=attempt.error,
            text=attempt.detail,
        )
        verdict = rules.after_failure(
            lane.health,
            lane.last_failure,
            pause_after=self._pause_after,
            probe_at=lane.breaker.probe_at,
            rest_until=judged.rest_until,
        )
        self._apply_verdict(lane, verdict)
        if judged.result is Result.GONE:
            self._stop_endpoint(lane, _GONE)

    def _apply_verdict(self, lane: Lane, verdict: rules.HealthVerdict) -> None:
        before, lane.health = lane.health, verdict.health
        is_open = lane.health.probe_at is not None
        if is_open is not (before.probe_at is not None):
            self._spawn(self.on_circuit_moved(lane.app_id, lane.id, is_open=is_open))
        if verdict.pause:
            self._stop_endpoint(lane, _FAILING)
            self._spawn(self._store_health(lane))
        elif verdict.changed:
            messages = [
                self._operational_message(event_type, lane, stage=stage)
                for event_type, stage in verdict.events
            ]
            self._spawn(self._warn(lane, before, messages))

    async def _warn(
        self, lane: Lane, before: EndpointHealth, messages: list[_OperationalMessage]
    ) -> None:
        """Publish warnings, then store that they were sent. If that fails they are due again."""
        try:
            for message in messages:
                await self._announce(message)
        except TillbellError:
            lane.health = lane.health.but(warned=before.warned, warned_at=before.warned_at)
            raise
        await self._store_health(lane)

    def _stop_endpoint(self, lane: Lane, stop: _Stop) -> None:
        if lane.compiled.endpoint.status is EndpointStatus.ACTIVE:
            self._spawn(self._store_stop(lane, lane.compiled.destination, stop))

    async def _store_stop(self, lane: Lane, destination: str, stop: _Stop) -> None:
        """Stop the endpoint if it still exists, is active and is what was called.

        Its owner may have changed or removed it since the attempt.
        """

        def stopped(endpoint: Endpoint) -> Endpoint:
            if endpoint.status is not EndpointStatus.ACTIVE:
                return endpoint
            if endpoint.destination() != destination:
                return endpoint
            return msgspec.structs.replace(endpoint, status=stop.status, status_reason=stop.reason)

        try:
            with acting_as(SYSTEM):  # this task may have begun in somebody's request
                changed = await self._config_cache.change(Endpoint, lane.app_id, lane.id, stopped)
        except NotFound:
            return
        if changed.record is not changed.before:
            since = lane.health.failing_since
            if stop is _FAILING:
                self._publish_operational(stop.event_type, lane, reason=stop.reason)
            self._publish_operational(
                _GONE.event_type,
                lane,
                reason=stop.reason,
                failSince=iso(since if since is not None else self._clock.now()),
            )

    async def _store_health(self, lane: Lane) -> None:
        """Store the present health of a lane's endpoint."""

        def latest(_: EndpointHealth | None) -> EndpointHealth:
            return lane.health

        if not lane.is_removed:
            await self._config_cache.change_or_add(EndpointHealth, lane.app_id, lane.id, latest)

    def _delivery_failed(self, lane: Lane, claim: Claim, judged: JudgedAttempt) -> None:
        attempt = judged.finished.attempt
        self._publish_operational(
            "delivery.failed",
            lane,
            msgId=claim.message.id,
            eventType=claim.message.event_type,
            deliveryId=claim.delivery.id,
            attempts=attempt.number,
            reason=judged.gave_up,
            lastAttempt=_last_attempt(attempt),
        )

    def _report_attempt(
        self, event_type: str, lane: Lane, claim: Claim, judged: JudgedAttempt
    ) -> None:
        """Publish how the attempts of one message go, with the members of Svix."""
        members: dict[str, object] = {
            "msgId": claim.message.id,
            "msgEventId": claim.message.event_id,
            "lastAttempt": _last_attempt(judged.finished.attempt),
        }
        endpoint = lane.compiled.endpoint
        self._spawn(self._announce(self._message(event_type, endpoint, members)))

    def _publish_operational(self, event_type: str, lane: Lane, **more: object) -> None:
        """Log an event of an endpoint and publish it to those who subscribed to it."""
        self._spawn(self._announce(self._operational_message(event_type, lane, **more)))

    def _operational_message(
        self, event_type: str, lane: Lane, **more: object
    ) -> _OperationalMessage:
        """Log an event of an endpoint and return the message that reports it."""
        endpoint = lane.compiled.endpoint
        log_event(event_type, None, endpoint=endpoint.id, **_plain(more))
        since = lane.health.failing_since
        since_text = iso(since) if since is not None else None
        return self._message(event_type, endpoint, {"failingSince": since_text, **more})

    def _message(
        self, event_type: str, endpoint: Endpoint, more: dict[str, object]
    ) -> _OperationalMessage:
        view = self._config_cache.cached_view(endpoint.scope)
        data = {
            "appId": endpoint.scope,
            "appUid": view.application.uid if view is not None else None,
            "endpointId": endpoint.id,
            "endpointUid": endpoint.uid,
            "url": endpoint.url,
            **more,
        }
        message = {"type": event_type, "timestamp": iso(self._clock.now()), "data": data}
        return _OperationalMessage(endpoint.scope, event_type, msgspec.json.encode(message))

    async def _announce(self, message: _OperationalMessage) -> None:
        if message.about == OPERATIONAL:
            return
        view = await self._config_cache.view(OPERATIONAL)
        is_wanted = view is not None and bool(view.compiled_endpoints)
        if is_wanted or message.event_type in self.read_types:
            await self.announce(message.event_type, message.payload)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(task.exception(), TillbellError):
            log_event("endpoint_health.write_failed", error=str(task.exception()))

    async def wait_idle(self) -> None:
        """Wait until everything is stored and published."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))


async def _ignore_circuit(app_id: str, endpoint_id: str, *, is_open: bool) -> None:
    """Do nothing: the default of `on_circuit_moved`."""


async def _discard(event_type: str, payload: bytes) -> None:
    """Publish nothing: the default of `announce`."""


def _last_attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "id": attempt.id,
        "timestamp": iso(attempt.started_at),
        "responseStatusCode": attempt.status_code,
        "result": attempt.result.value,
        "error": attempt.error,
    }


def _plain(more: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in more.items() if not isinstance(value, dict)}
