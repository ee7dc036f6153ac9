"""Resend, recover, replay: deliveries made again, by hand.

| verb | takes |
| --- | --- |
| resend | one delivery, whatever became of it |
| recover | those of an endpoint that failed since T |
| bulk replay | those that a filter selects |
| replay missing | messages since T that never had a delivery to the endpoint |

The last three are background tasks (tasks.py). Same delivery ids, same bytes, a new run of
the schedule. Bulk work waits in the store like any other delivery: live traffic does not
wait behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tillbell.clock import Clock, Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.deliver.fanout import render, routes_to, waiting_delivery
from tillbell.deliver.tasks import TaskProgress, TaskRunner
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import Delivery, DeliveryState, Message, Trigger
from tillbell.model.records import Task
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import DeliverySelection, MissedPeriod

BATCH_SIZE = 500  # deliveries moved by one commit

RECOVER = "endpoint.recover"
BULK_REPLAY = "endpoint.bulk-replay"
REPLAY_MISSING = "endpoint.replay"


class DeliveryResender:
    """See the module."""

    def __init__(
        self,
        *,
        database: Database,
        directory: ConfigCache,
        dispatcher: Dispatcher,
        tasks: TaskRunner,
        clock: Clock,
    ) -> None:
        self._database = database
        self._config_cache = directory
        self._dispatcher = dispatcher
        self._tasks = tasks
        self._clock = clock
        tasks.register(RECOVER, self._resend_step)
        tasks.register(BULK_REPLAY, self._resend_step)
        tasks.register(REPLAY_MISSING, self._missing_step)

    async def resend(self, app_id: str, message_id: str, endpoint_id: str) -> None:
        """Send one message to one endpoint again; for the first time, if it never was."""
        message = await self._database.message(app_id, message_id)
        live = await self._config_cache.compiled_endpoint(app_id, endpoint_id)
        if message is None or live is None:
            raise NotFound
        known = await self._database.deliveries_of_message(app_id, message.id)
        ids = [d.id for d in known if d.endpoint_id == endpoint_id]
        now = self._clock.now()
        if ids:
            await self._database.resend(app_id, ids, now)
        else:
            await self._add(live, [message])
        self._dispatcher.probe(endpoint_id)
        self._dispatcher.note_due(app_id, endpoint_id, now)

    async def recover_failed(self, endpoint: Endpoint, since: Micros, until: Micros) -> Task:
        """Resend what failed in that time."""
        return await self._begin(
            RECOVER, DeliverySelection(endpoint.scope, endpoint.id, since, until)
        )

    async def bulk_replay(self, selection: DeliverySelection) -> Task:
        """Resend what a filter selects."""
        return await self._begin(BULK_REPLAY, selection)

    async def replay_missing(self, endpoint: Endpoint, since: Micros, until: Micros) -> Task:
        """Send messages of that time that never had a delivery to the endpoint."""
        return await self._begin(
            REPLAY_MISSING, DeliverySelection(endpoint.scope, endpoint.id, since, until)
        )

    async def _begin(self, kind: str, selection: DeliverySelection) -> Task:
        return await self._tasks.begin(kind, selection.app_id, msgspec.to_builtins(_doc(selection)))

    async def _resend_step(self, task: Task) -> TaskProgress:
        selection = _selection(task)
        if (
            await self._config_cache.compiled_endpoint(selection.app_id, selection.endpoint_id)
            is None
        ):
            return TaskProgress(task.cursor, 0, is_last=True)  # removed meanwhile
        ids = await self._database.select(selection, task.cursor, BATCH_SIZE)
        if not ids:
            return TaskProgress(task.cursor, 0, is_last=True)
        now = self._clock.now()
        moved = await self._database.resend(
            selection.app_id, ids, now, Trigger.MANUAL, selection.states
        )
        self._dispatcher.note_due(selection.app_id, selection.endpoint_id, now)
        return TaskProgress(ids[-1], moved, is_last=len(ids) < BATCH_SIZE)

    async def _missing_step(self, task: Task) -> TaskProgress:
        selection = _selection(task)
        live = await self._config_cache.compiled_endpoint(selection.app_id, selection.endpoint_id)
        if live is None:
            return TaskProgress(task.cursor, 0, is_last=True)
        gap = MissedPeriod(
            selection.app_id, selection.endpoint_id, selection.since, selection.until
        )
        messages, after = await self._database.missing_messages(gap, task.cursor, BATCH_SIZE)
        added = await self._add(live, messages)
        self._dispatcher.note_due(selection.app_id, selection.endpoint_id, self._clock.now())
        return TaskProgress(after or task.cursor, added, is_last=after is None)

    async def _add(self, live: CompiledEndpoint, messages: Sequence[Message]) -> int:
        """Make deliveries of messages that the endpoint wants and whose payload is still there."""
        deliveries: list[Delivery] = []
        bodies: dict[tuple[str, str], bytes] = {}
        now = self._clock.now()
        for message in messages:
            found = routes_to([live], message.event_type, message.channels)
            payload = await self._database.body(message.app_id, message.id) if found else None
            if payload is None:
                continue
            for variant, body in render(found, message, payload).items():
                bodies[message.id, variant] = body
            deliveries += [waiting_delivery(route, message, now, Trigger.MANUAL) for route in found]
        return await self._database.add_deliveries(deliveries, bodies) if deliveries else 0


class _SelectionArguments(msgspec.Struct, frozen=True):
    """A selection as a task keeps it."""

    app_id: str
    endpoint_id: str
    since: Micros
    until: Micros
    states: tuple[DeliveryState, ...]
    event_types: tuple[str, ...] | None
    channel: str | None
    tag: str | None
    status_codes: tuple[int, int] | None


def _doc(selection: DeliverySelection) -> _SelectionArguments:
    return _SelectionArguments(*selection)


def _selection(task: Task) -> DeliverySelection:
    arguments = msgspec.convert(task.arguments, _SelectionArguments)
    return DeliverySelection(*(getattr(arguments, name) for name in DeliverySelection._fields))
