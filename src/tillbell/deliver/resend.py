"""Resend, recover, replay: deliveries that are made again by hand.

| verb | takes |
| --- | --- |
| resend | one delivery, however it ended |
| recover | the deliveries of an endpoint that failed since a time |
| bulk replay | the deliveries that a filter selects |
| replay missing | messages since a time that never had a delivery to the endpoint |

The last three are background tasks (tasks.py). The ids and bytes are the same; the retry schedule
begins anew. Bulk work waits in the store like any other delivery, and live traffic does not wait
for it.

None of them sends to an endpoint that is disabled or paused, and none sends what has no payload any
more: a delivery then stays as it ended. A resend says so as an error, a task counts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tillbell.clock import Clock, Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.fanout import carrying, routes_to, waiting_delivery
from tillbell.deliver.lanes import Lanes
from tillbell.deliver.payload_routes import PayloadRouter, reads_payload
from tillbell.deliver.tasks import TaskProgress, TaskRunner
from tillbell.error_codes import ErrorCode
from tillbell.errors import ConflictError, MissingPayload, NotFound, Refused
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import Delivery, DeliveryState, Message, Trigger
from tillbell.model.records import Task
from tillbell.rules.delivery.fate import Fate, FateCode, endpoint_obstacle, resend_obstacle
from tillbell.rules.filters.clauses import ListFilter, from_plain, one_of, to_plain
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import RESENDABLE, DeliverySelection, MissedPeriod, Page

BATCH_SIZE = 500  # deliveries of one commit
SEARCHED_AT_ONCE = 5_000  # deliveries that one step looks at, if a filter needs it
ENDED = (DeliveryState.SUCCEEDED, DeliveryState.FAILED)

RECOVER = "endpoint.recover"
BULK_REPLAY = "endpoint.bulk-replay"
REPLAY_MISSING = "endpoint.replay"


class _ResendBatch(NamedTuple):
    """The deliveries of one step of a task."""

    ids: list[str]
    cursor: str
    is_last: bool
    states: Sequence[DeliveryState] = RESENDABLE


class DeliveryResender:
    """Makes deliveries again, one at once or many in a background task."""

    def __init__(
        self,
        *,
        database: Database,
        config_cache: ConfigCache,
        lanes: Lanes,
        tasks: TaskRunner,
        clock: Clock,
    ) -> None:
        self._database = database
        self._config_cache = config_cache
        self._lanes = lanes
        self._tasks = tasks
        self._clock = clock
        tasks.register(RECOVER, self._resend_step)
        tasks.register(BULK_REPLAY, self._resend_step)
        tasks.register(REPLAY_MISSING, self._missing_step)

    async def resend(self, app_id: str, message_id: str, endpoint_id: str) -> bool:
        """Send one message to one endpoint again, or for the first time.

        Event types and channels do not count, the payload filter does. Return whether it is the
        first time. An open breaker tries the endpoint at once.

        `NotFound` if one of them is gone, `MissingPayload` if the payload is, and `ConflictError`
        if the endpoint takes nothing now, its filter leaves the payload out, its profile has no
        such event, or the delivery is being sent at this moment.
        """
        message = await self._database.message(app_id, message_id)
        compiled = await self._config_cache.compiled_endpoint(app_id, endpoint_id)
        if message is None or compiled is None:
            raise NotFound
        await self._refuse_obstacle(message, compiled)
        deliveries = await self._database.deliveries_of_message(app_id, message.id)
        ids = [delivery.id for delivery in deliveries if delivery.endpoint_id == endpoint_id]
        now = self._clock.now()
        if ids:
            await self._resend_all(app_id, ids, now)
        else:
            await self._send_first(compiled, message)
        self._lanes.probe(endpoint_id)
        self._lanes.note_due(app_id, endpoint_id, now)
        return not ids

    async def cancel(self, app_id: str, delivery_id: str) -> None:
        """End a delivery that waits without another attempt.

        `NotFound` if there is none, and `ConflictError` if it does not wait.
        """
        if await self._database.cancel(app_id, [delivery_id]):
            return
        row = await self._database.delivery(app_id, delivery_id)
        if row is None:
            raise NotFound("There is no such delivery.")
        if row.delivery.state is DeliveryState.SENDING:
            raise ConflictError(
                "This delivery is being sent at this moment; wait for its result.",
                code="delivery_in_progress",
            )
        raise ConflictError(
            f"This delivery has ended already: it is {row.delivery.state.value}.",
            code="delivery_ended",
        )

    async def _refuse_obstacle(self, message: Message, compiled: CompiledEndpoint) -> None:
        """Raise what `why` would say of a message that cannot be sent again."""
        body = await self._database.body(message.app_id, message.id)
        obstacle = resend_obstacle(message, compiled.endpoint, has_body=body is not None)
        if obstacle is not None:
            raise _refusal(obstacle)
        router = await self._router(compiled)
        mismatch = router.mismatch(compiled, body) if body is not None else None
        if mismatch is not None:
            raise ConflictError(mismatch, code="filtered_payload")

    async def _router(self, compiled: CompiledEndpoint) -> PayloadRouter:
        view = await self._config_cache.view(compiled.endpoint.scope)
        return view.payload_router if view is not None else PayloadRouter(frozenset())

    async def _resend_all(self, app_id: str, ids: Sequence[str], now: Micros) -> None:
        moved, missing_payload = await self._database.resend(app_id, ids, now)
        if missing_payload:
            raise MissingPayload
        if not moved:
            raise ConflictError(
                "This delivery is being sent at this moment; wait for its result.",
                code="delivery_in_progress",
            )

    async def _send_first(self, compiled: CompiledEndpoint, message: Message) -> None:
        by_hand = compiled._replace(filter=compiled.filter.unrestricted())
        _, skipped = await self._add_deliveries(by_hand, [message])
        if skipped["not_wanted"]:
            raise ConflictError(
                f"The profile {compiled.profile.name} has no event for {message.event_type}, or "
                "cannot carry this payload.",
                code="not_in_profile",
            )
        if skipped["filtered_payload"]:
            raise ConflictError(
                "The order goes to the same URL and secret by another product's webhook.",
                code="filtered_payload",
            )
        if skipped:
            raise MissingPayload

    async def recover_failed(self, endpoint: Endpoint, since: Micros, until: Micros) -> Task:
        """Begin to resend the deliveries of that time that failed. `ConflictError` as below."""
        refuse_stopped(endpoint)
        selection = DeliverySelection(endpoint.scope, endpoint.id, since, until)
        return await self._begin(RECOVER, selection)

    async def bulk_replay(self, endpoint: Endpoint, selection: DeliverySelection) -> Task:
        """Begin to resend the selected deliveries of an endpoint. `ConflictError` as below."""
        refuse_stopped(endpoint)
        return await self._begin(BULK_REPLAY, selection)

    async def replay_filtered(self, endpoint: Endpoint, filter_: ListFilter) -> Task:
        """Begin to resend the deliveries of an endpoint that fit a filter now. As above."""
        refuse_stopped(endpoint)
        filter_ = with_ended(filter_).and_(one_of("endpoint", endpoint.id))
        arguments = {
            "app_id": endpoint.scope,
            "endpoint_id": endpoint.id,
            "filter": to_plain(filter_),
        }
        return await self._tasks.begin(BULK_REPLAY, endpoint.scope, arguments)

    async def replay_missing(self, endpoint: Endpoint, since: Micros, until: Micros) -> Task:
        """Begin to send the messages of that time that never had a delivery to the endpoint.

        `ConflictError` if it is disabled or paused.
        """
        refuse_stopped(endpoint)
        selection = DeliverySelection(endpoint.scope, endpoint.id, since, until)
        return await self._begin(REPLAY_MISSING, selection)

    async def _begin(self, kind: str, selection: DeliverySelection) -> Task:
        arguments = msgspec.to_builtins(selection._asdict())
        return await self._tasks.begin(kind, selection.app_id, arguments)

    async def _resend_step(self, task: Task) -> TaskProgress:
        app_id, endpoint_id = task.arguments["app_id"], task.arguments["endpoint_id"]
        compiled = await self._config_cache.compiled_endpoint(app_id, endpoint_id)
        if compiled is None:
            return TaskProgress(task.cursor, 0, is_last=True)  # it was removed meanwhile
        batch = await self._batch(task)
        ids = await self._passing(compiled, batch.ids)
        if not ids:
            skipped = Counter(filtered_payload=len(batch.ids))
            return TaskProgress(batch.cursor, 0, is_last=batch.is_last, skipped=skipped)
        now = self._clock.now()
        counts = await self._database.resend(app_id, ids, now, Trigger.MANUAL, batch.states)
        self._lanes.note_due(app_id, endpoint_id, now)
        skipped = Counter(
            missing_payload=counts.missing_payload,
            changed_meanwhile=len(ids) - counts.moved - counts.missing_payload,
            filtered_payload=len(batch.ids) - len(ids),
        )
        return TaskProgress(batch.cursor, counts.moved, is_last=batch.is_last, skipped=skipped)

    async def _passing(self, compiled: CompiledEndpoint, ids: list[str]) -> list[str]:
        """Leave out the deliveries of payloads that the endpoint's filter does not want now."""
        if not reads_payload(compiled):
            return ids
        app_id, router = compiled.endpoint.scope, await self._router(compiled)
        passing_ids = []
        for id_ in ids:
            row = await self._database.delivery(app_id, id_)
            body = await self._database.body(app_id, row.delivery.message_id) if row else None
            if body is None or router.mismatch(compiled, body) is None:
                passing_ids.append(id_)
        return passing_ids

    async def _batch(self, task: Task) -> _ResendBatch:
        """Return the next deliveries that a task takes."""
        if "filter" in task.arguments:
            return await self._filtered_batch(task)
        selection = _selection(task)
        ids = await self._database.select(selection, task.cursor, BATCH_SIZE)
        cursor = ids[-1] if ids else task.cursor
        return _ResendBatch(ids, cursor, len(ids) < BATCH_SIZE, selection.states)

    async def _filtered_batch(self, task: Task) -> _ResendBatch:
        page = Page(BATCH_SIZE, task.cursor or None, ascending=True)
        slice_ = await self._database.filtered_deliveries(
            task.arguments["app_id"], from_plain(task.arguments["filter"]), page, SEARCHED_AT_ONCE
        )
        ids = [row.delivery.id for row in slice_.rows]
        if len(ids) == BATCH_SIZE:
            return _ResendBatch(ids, ids[-1], is_last=False)
        return _ResendBatch(ids, slice_.end or task.cursor, is_last=slice_.end is None)

    async def _missing_step(self, task: Task) -> TaskProgress:
        selection = _selection(task)
        app_id, endpoint_id = selection.app_id, selection.endpoint_id
        compiled = await self._config_cache.compiled_endpoint(app_id, endpoint_id)
        if compiled is None:
            return TaskProgress(task.cursor, 0, is_last=True)
        period = MissedPeriod(app_id, endpoint_id, selection.since, selection.until)
        messages, after = await self._database.missing_messages(period, task.cursor, BATCH_SIZE)
        added, skipped = await self._add_deliveries(compiled, messages)
        self._lanes.note_due(app_id, endpoint_id, self._clock.now())
        return TaskProgress(after or task.cursor, added, is_last=after is None, skipped=skipped)

    async def _add_deliveries(
        self, compiled: CompiledEndpoint, messages: Sequence[Message]
    ) -> tuple[int, Counter[str]]:
        """Make deliveries of the messages that the endpoint wants and whose payload still exists.

        Return how many were made, and how many messages were skipped, by reason.
        """
        deliveries: list[Delivery] = []
        bodies: dict[tuple[str, str], bytes] = {}  # by message id and variant
        skipped = Counter[str]()
        now = self._clock.now()
        view = await self._config_cache.view(compiled.endpoint.scope)
        router = await self._router(compiled)
        others = list(view.compiled_endpoints.values()) if view is not None else []
        for message in messages:
            routes = routes_to([compiled], message.event_type, message.channels)
            if not routes:
                skipped["not_wanted"] += 1
                continue
            payload = await self._database.body(message.app_id, message.id)
            if payload is None:
                skipped["missing_payload"] += 1
                continue
            routes = carrying(routes, message, payload)
            if not routes:
                skipped["not_wanted"] += 1
                continue
            if router.mismatch(compiled, payload) or router.twin(
                compiled, others, message, payload
            ):
                skipped["filtered_payload"] += 1
                continue
            for variant, body in router.render(routes, message, payload).items():
                bodies[message.id, variant] = body
            deliveries += [
                waiting_delivery(route, message, now, due_at=now, trigger=Trigger.MANUAL)
                for route in routes
            ]
        added = await self._database.add_deliveries(deliveries, bodies) if deliveries else 0
        return added, skipped


def with_ended(filter_: ListFilter) -> ListFilter:
    """Return a filter that, if it names no status, takes deliveries that have ended."""
    if any(clause.field == "status" for clause in filter_.clauses):
        return filter_
    return filter_.and_(one_of("status", *ENDED))


def refuse_stopped(endpoint: Endpoint) -> None:
    """Raise `ConflictError` unless something can be sent to the endpoint now."""
    obstacle = endpoint_obstacle(endpoint)
    if obstacle is not None:
        raise _refusal(obstacle)


def _refusal(obstacle: Fate) -> Refused:
    """Return as an error what `why` says of a message."""
    if obstacle.code is FateCode.PAYLOAD_EXPIRED:
        return MissingPayload(obstacle.text)
    is_paused = obstacle.code is FateCode.ENDPOINT_PAUSED
    code: ErrorCode = "endpoint_paused" if is_paused else "endpoint_disabled"
    return ConflictError(obstacle.text, code=code)


def _selection(task: Task) -> DeliverySelection:
    values = [task.arguments.get(name) for name in DeliverySelection._fields]
    return msgspec.convert(values, DeliverySelection)
