"""Health: `/livez`, `/readyz`, `/healthz` and `/metrics`, as one handler.

- `/livez`: the event loop answers. Restart the process if it does not.
- `/readyz` and its other name `/healthz`: a write would be accepted now, there is
  room on the disk, and deliveries that could be sent are sent. `?verbose` names the
  check that fails.
- `/metrics`: for Prometheus (`web/edge/metrics.py`).

A customer's endpoint that is down never makes us unready: deliveries that wait for a
breaker, a rate limit or a slow receiver do not count as late. Nothing here scans a
table, and the store is asked at most once a second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec

from tillbell.app import Gateway
from tillbell.clock import SECOND, Micros
from tillbell.counters import Meters
from tillbell.deliver.lane import Lane
from tillbell.errors import MethodNotAllowed, Unavailable
from tillbell.web.edge.asgi_types import HttpAnswer, Receive, Scope
from tillbell.web.edge.paths import ROUTE
from tillbell.web.server.shared_metrics import DispatchVitals, MetricsBoard

PATHS = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
LATE = 60 * SECOND  # we are not ready if the oldest due delivery is later than this
_ASK_AGAIN = SECOND
_MEASURE_AGAIN = 60 * SECOND  # the size of the database
HELD = "held: nothing is sent before `tillbell release`"


class HealthCheck(NamedTuple):
    """The result of one check. `detail` is one line for people."""

    name: str
    is_ok: bool
    detail: str


class HealthProbe:
    """Checks the parts of a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._store = HealthCheck("store", is_ok=False, detail="not checked yet")
        self._asked_at: Micros = 0
        self._measured_at: Micros = 0

    @property
    def meters(self) -> Meters:
        """The counters of this process."""
        return self._gateway.meters

    async def refresh(self) -> None:
        """Read the numbers of deliveries and the size of the store; keep the last if it is away."""
        with contextlib.suppress(Unavailable):
            self.meters.restore(await self._gateway.database.counts())
            now = self._gateway.clock.now()
            if not self._measured_at or now - self._measured_at >= _MEASURE_AGAIN:
                self._measured_at = now
                self.meters.database_bytes = await self._gateway.database.size()

    def vitals(self) -> DispatchVitals:
        """Sum up the lanes that this process owns. Reads memory only."""
        now = self._gateway.clock.now()
        owns = self._gateway.cluster.owns
        lanes = [lane for lane in self._gateway.lanes if owns(lane.id)]
        return DispatchVitals(
            oldest_due_age=_oldest_due_age(lanes, now),
            in_flight=self._gateway.dispatcher.in_flight,
            open_breakers=sum(lane.breaker.probe_at is not None for lane in lanes),
            is_held=self._gateway.hold.is_on,
        )

    async def checks(self) -> list[HealthCheck]:
        """Run all checks that readiness depends on."""
        age_s = self.vitals().oldest_due_age // SECOND
        refusal = self._gateway.publisher.refusal
        return [
            await self._ask_store(),
            HealthCheck("intake", refusal is None, "open" if refusal is None else str(refusal)),
            self._dispatch(age_s),
        ]

    def _dispatch(self, age_s: int) -> HealthCheck:
        if self._gateway.hold.is_on:
            return HealthCheck("dispatch", is_ok=True, detail=HELD)
        late = f"oldest due delivery is {age_s} s late"
        return HealthCheck("dispatch", is_ok=age_s * SECOND <= LATE, detail=late)

    async def _ask_store(self) -> HealthCheck:
        now = self._gateway.clock.now()
        if self._asked_at and abs(now - self._asked_at) < _ASK_AGAIN:
            return self._store
        self._asked_at = now
        try:
            await self._gateway.database.check()
        except Unavailable as error:
            self._store = HealthCheck("store", is_ok=False, detail=str(error))
        else:
            self._store = HealthCheck("store", is_ok=True, detail="accepts writes")
        return self._store


def _oldest_due_age(lanes: Iterable[Lane], now: Micros) -> Micros:
    """Return how late the oldest delivery is that only we hold back."""
    due_times = [_sendable_at(lane, now) for lane in lanes]
    return max((now - at for at in due_times if at is not None and at < now), default=0)


def _sendable_at(lane: Lane, now: Micros) -> Micros | None:
    if lane.free_at > now or lane.in_flight >= lane.allowed(now):
        return None
    return lane.claimable_at()


class HealthApp:
    """Answers GET and HEAD on `PATHS`."""

    def __init__(self, gateway: Gateway) -> None:
        self.probe = HealthProbe(gateway)
        file = gateway.settings.metrics_file
        self.board = MetricsBoard(
            Path(file) if file else None, gateway.clock, gateway.meters, self.probe.vitals
        )

    async def __call__(self, scope: Scope, _: Receive) -> HttpAnswer:
        """Return the answer to one request."""
        path = scope["path"]
        scope[ROUTE] = path
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(("GET", "HEAD"))
        if path == "/livez":
            return _text(200, "ok")
        if path == "/metrics":
            from tillbell.web.edge.metrics import CONTENT_TYPE, render  # 4 MiB, for who asks

            await self.probe.refresh()
            return HttpAnswer(200, _headers(CONTENT_TYPE), render(self.board.readings()))
        is_verbose = "verbose" in parse_qs(
            scope["query_string"].decode("latin-1"), keep_blank_values=True
        )
        return _readiness(await self.probe.checks(), is_verbose=is_verbose)


def _readiness(checks: list[HealthCheck], *, is_verbose: bool) -> HttpAnswer:
    is_ready = all(check.is_ok for check in checks)
    status = 200 if is_ready else 503
    word = "ready" if is_ready else "not ready"
    is_held = any(check.detail == HELD for check in checks)
    if not is_verbose:
        return _text(status, f"{word}, {HELD}" if is_held else word)
    body = {"status": word, "checks": [_shown(check) for check in checks]}
    return HttpAnswer(status, _headers("application/json"), msgspec.json.encode(body))


def _shown(check: HealthCheck) -> dict[str, object]:
    return {"name": check.name, "ok": check.is_ok, "detail": check.detail}


def _text(status: int, text: str) -> HttpAnswer:
    return HttpAnswer(status, _headers("text/plain; charset=utf-8"), text.encode() + b"\n")


def _headers(content_type: str) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
