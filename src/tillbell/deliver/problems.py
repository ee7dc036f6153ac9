"""Why deliveries have not arrived, by cause: what a person mends once, for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import DAY, HOUR, Clock, Micros
from tillbell.deliver.config_cache import OPERATIONAL, ConfigCache
from tillbell.deliver.lanes import Lanes
from tillbell.ids import attempt_id
from tillbell.model.endpoints import Endpoint, EndpointHealth
from tillbell.model.messages import AttemptEnd, DeliveryState, Reply, Result
from tillbell.rules.delivery.answers import judge
from tillbell.rules.filters.clauses import ListFilter, one_of
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import CountedSpan, DeliveryRow, Page

FAILED_MAX = 250  # failed deliveries that are looked at
FAILING_MAX = 99  # endpoints
_SEARCHED_MAX = 4_000  # rows of the index
_FAILED_FOR: Micros = 7 * DAY


class FailureCause(NamedTuple):
    """Where and how attempts fail."""

    app_id: str
    endpoint_id: str
    status: int  # 0: there was no answer
    error: str  # class of failure; "": it answered

    @property
    def result(self) -> Result:
        """Return how such an attempt ends."""
        return judge(Reply(self.status, self.error, ""), "200")


class DeliveryProblem(NamedTuple):
    """Deliveries that have not arrived for one cause."""

    endpoint: Endpoint
    cause: FailureCause
    text: str  # what happened and what to do, for a person
    since: Micros
    last_at: Micros
    failed: int = 0  # without attempts left, of those that were looked at
    waiting: int = 0  # of the endpoint
    is_failing: bool = False  # the endpoint fails now

    @property
    def filter(self) -> str:
        """Return the filter of its deliveries. Those that wait may have no answer yet."""
        base = f"endpoint:{self.endpoint.id} status:"
        if self.waiting:
            return base + ("failed,waiting,sending" if self.failed else "waiting,sending")
        return f"{base}failed code:{self.cause.status or 'none'}"


class ListedProblems(NamedTuple):
    """The problems, and how much was looked at."""

    problems: list[DeliveryProblem]  # the greatest first
    searched: int  # failed deliveries
    is_whole: bool  # there are no others


class DeliveryProblems:
    """Groups what fails by its cause."""

    def __init__(
        self, database: Database, config_cache: ConfigCache, lanes: Lanes, clock: Clock
    ) -> None:
        self._database = database
        self._config_cache = config_cache
        self._lanes = lanes
        self._clock = clock

    async def all(self, app_id: str | None) -> ListedProblems:
        """Return the problems of an application; None: of all."""
        failing, failed = await asyncio.gather(self._failing(app_id), self._failed(app_id))
        rows, is_whole = failed
        problems = {problem.cause: problem for problem in failing}
        for problem in await self._problems_of(rows):
            before = problems.get(problem.cause)
            problems[problem.cause] = _joined(before, problem) if before else problem
        listed = sorted(
            problems.values(),
            key=lambda each: (not each.is_failing, -(each.failed + each.waiting), each.since),
        )
        return ListedProblems(listed, len(rows), is_whole)

    async def _failing(self, app_id: str | None) -> list[DeliveryProblem]:
        """Return the problems of the endpoints that fail now."""
        stored = await self._database.failing_endpoints(app_id, Page(FAILING_MAX))
        problems = [problem for each in stored if (problem := await self._problem_of_health(each))]
        now = self._clock.now()
        spans = [open_span(each.endpoint, each.since, now) for each in problems]
        totals = await self._database.history.totals_of(spans) if spans else []
        return [
            problem._replace(waiting=each.waiting + each.sending)
            for problem, each in zip(problems, totals, strict=True)
        ]

    async def _problem_of_health(self, stored: EndpointHealth) -> DeliveryProblem | None:
        """Return the problem of an endpoint that fails now; None: it does not, or is gone."""
        if stored.scope == OPERATIONAL:
            return None
        endpoint = await self._config_cache.endpoint(stored.scope, stored.id)
        health = self._lanes.health(stored.id, stored)
        failure = health.last_failure if health is not None else None
        if endpoint is None or health is None or health.failing_since is None or failure is None:
            return None
        return DeliveryProblem(
            endpoint=endpoint,
            cause=FailureCause(endpoint.scope, endpoint.id, failure.status, failure.error),
            text=failure.text,
            since=health.failing_since,
            last_at=failure.at,
            is_failing=True,
        )

    async def _failed(self, app_id: str | None) -> tuple[list[DeliveryRow], bool]:
        """Return the newest deliveries that failed for good, and whether they are all."""
        filter_ = ListFilter(
            (one_of("status", DeliveryState.FAILED),), after=self._clock.now() - _FAILED_FOR
        )
        slice_ = await self._database.history.filtered_deliveries(
            app_id, filter_, Page(FAILED_MAX), _SEARCHED_MAX
        )
        return slice_.rows, slice_.end is None and len(slice_.rows) < FAILED_MAX

    async def _problems_of(self, rows: Sequence[DeliveryRow]) -> list[DeliveryProblem]:
        """Return the problem of each failed delivery whose endpoint is still there."""
        deliveries = [row.delivery for row in rows if row.delivery.app_id != OPERATIONAL]
        keys = {each.id: attempt_id(each.id, each.attempts) for each in deliveries}
        ends = await self._database.history.attempt_ends(
            [(each.app_id, keys[each.id]) for each in deliveries]
        )
        problems = []
        for delivery in deliveries:
            endpoint = await self._config_cache.endpoint(delivery.app_id, delivery.endpoint_id)
            last = ends.get(keys[delivery.id])
            if endpoint is not None and last is not None:
                problems.append(_problem_of(endpoint, last))
        return problems


def open_span(endpoint: Endpoint, failing_since: Micros, now: Micros) -> CountedSpan:
    """Return when the open deliveries of a failing endpoint were made.

    It is in whole hours, which are read from counters: nothing is counted row by row.
    """
    since, until = (failing_since - DAY) // HOUR * HOUR, -(-now // HOUR) * HOUR
    return CountedSpan(endpoint.scope, endpoint.id, since, until)


def _problem_of(endpoint: Endpoint, last: AttemptEnd) -> DeliveryProblem:
    """Return the problem of a delivery that failed with its last attempt."""
    return DeliveryProblem(
        endpoint=endpoint,
        cause=FailureCause(endpoint.scope, endpoint.id, last.status_code, last.error),
        text=last.detail,
        since=last.ended_at,
        last_at=last.ended_at,
        failed=1,
    )


def _joined(first: DeliveryProblem, second: DeliveryProblem) -> DeliveryProblem:
    """Return two problems of one cause as one."""
    latest = max(first, second, key=lambda each: each.last_at)
    return latest._replace(
        since=min(first.since, second.since),
        failed=first.failed + second.failed,
        waiting=first.waiting + second.waiting,
        is_failing=first.is_failing or second.is_failing,
    )
