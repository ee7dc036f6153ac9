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
from tillbell.deliver.compiled_endpoint import Live
from tillbell.deliver.config_cache import Directory
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.deliver.fanout import render, routes, waiting
from tillbell.deliver.tasks import Step, TaskRunner
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import Delivery, DeliveryState, Message, Trigger
from tillbell.model.records import Task
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Gap, Selection

STEP = 500  # deliveries moved by one commit

RECOVER = "endpoint.recover"
BULK_REPLAY = "endpoint.bulk-replay"
REPLAY_MISSING = "endpoint.replay"


class Resender:
    """See the module."""

    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        dispatcher: Dispatcher,
        tasks: TaskRunner,
        clock: Clock,
    ) -> None:
        self._database = database
        self._directory = directory
        self._dispatcher = dispatcher
        self._tasks = tasks
        self._clock = clock
        tasks.register(RECOVER, self._resend_step)
        tasks.register(BULK_REPLAY, self._resend_step)
        tasks.register(REPLAY_MISSING, self._missing_step)

    async def resend(self, app_id: str, message_id: str, endpoint_id: str) -> None:
        """Send one message to one endpoint again; for the first time, if it never was."""
        message = await self._database.message(app_id, message_id)
        live = await self._directory.live(app_id, endpoint_id)
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
        self._dispatcher.wake(app_id, endpoint_id, now)

    async def recover(self, endpoint: Endpoint, since: Micros, until: Micros) -> Task:
        """Resend what failed in that time."""
        return await self._begin(RECOVER, Selection(endpoint.scope, endpoint.id, since, until))

    async def bulk_replay(self, selection: Selection) -> Task:
        """Resend what a filter selects."""
        return await self._begin(BULK_REPLAY, selection)

    async def replay_missing(self, endpoint: Endpoint, since: Micros, until: Micros) -> Task:
        """Send messages of that time that never had a delivery to the endpoint."""
        return await self._begin(
            REPLAY_MISSING, Selection(endpoint.scope, endpoint.id, since, until)
        )

    async def _begin(self, kind: str, selection: Selection) -> Task:
        return await self._tasks.begin(kind, selection.app_id, msgspec.to_builtins(_doc(selection)))

    async def _resend_step(self, task: Task) -> Step:
        selection = _selection(task)
        if await self._directory.live(selection.app_id, selection.endpoint_id) is None:
            return Step(task.cursor, 0, is_last=True)  # removed meanwhile
        ids = await self._database.select(selection, task.cursor, STEP)
        if not ids:
            return Step(task.cursor, 0, is_last=True)
        now = self._clock.now()
        moved = await self._database.resend(
            selection.app_id, ids, now, Trigger.MANUAL, selection.states
        )
        self._dispatcher.wake(selection.app_id, selection.endpoint_id, now)
        return Step(ids[-1], moved, is_last=len(ids) < STEP)

    async def _missing_step(self, task: Task) -> Step:
        selection = _selection(task)
        live = await self._directory.live(selection.app_id, selection.endpoint_id)
        if live is None:
            return Step(task.cursor, 0, is_last=True)
        gap = Gap(selection.app_id, selection.endpoint_id, selection.since, selection.until)
        messages, after = await self._database.missing(gap, task.cursor, STEP)
        added = await self._add(live, messages)
        self._dispatcher.wake(selection.app_id, selection.endpoint_id, self._clock.now())
        return Step(after or task.cursor, added, is_last=after is None)

    async def _add(self, live: Live, messages: Sequence[Message]) -> int:
        """Make deliveries of messages that the endpoint wants and whose payload is still there."""
        deliveries: list[Delivery] = []
        bodies: dict[tuple[str, str], bytes] = {}
        now = self._clock.now()
        for message in messages:
            found = routes([live], message.event_type, message.channels)
            payload = await self._database.body(message.app_id, message.id) if found else None
            if payload is None:
                continue
            for variant, body in render(found, message, payload).items():
                bodies[message.id, variant] = body
            deliveries += [waiting(route, message, now, Trigger.MANUAL) for route in found]
        return await self._database.add_deliveries(deliveries, bodies) if deliveries else 0


class _Arguments(msgspec.Struct, frozen=True):
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


def _doc(selection: Selection) -> _Arguments:
    return _Arguments(*selection)


def _selection(task: Task) -> Selection:
    arguments = msgspec.convert(task.arguments, _Arguments)
    return Selection(*(getattr(arguments, name) for name in Selection._fields))
