"""Copies of what names a person, beside records and messages.

They stand in inboxes, exported files, reports of tasks, mails that wait, and kept filters.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.tasks import OPEN
from tillbell.errors import Misconfigured
from tillbell.model.alerts import AlertQueue
from tillbell.model.endpoints import Endpoint
from tillbell.model.exports import ExportLink, ExportSchedule
from tillbell.model.inboxes import Inbox, InboxRequest
from tillbell.model.records import Application, EventType, Record, Task
from tillbell.model.sources import Source
from tillbell.receive.inbox_requests import InboxIntake
from tillbell.rules.traces import Traces
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inboxes import InboxFilter
from tillbell.storage.ports.outbound import Page

_BATCH_SIZE = 50  # requests of an inbox, with their bodies
_PIECE = 1 << 20  # bytes of a file
_OVERLAP = 1 << 12  # bytes of a piece that the next one has too
_LONGEST = 1 << 40  # bytes of a body: all of them are read


class CopyPlaces(NamedTuple):
    """Where copies of what came or went stand, beside the store's tables."""

    intake: InboxIntake
    exports_folder: Path


async def erase_inbox_requests(
    database: Database, intake: InboxIntake, scope: str, traces: Traces
) -> int:
    """Delete requests that name a person; return how many.

    `scope`: to the inboxes of this application; "": to those that belong to none.
    """
    count = 0
    for inbox in await database.list(Inbox, scope):
        page = Page(_BATCH_SIZE, ascending=True)
        while rows := await database.inbox_requests(inbox.id, InboxFilter(body_max=_LONGEST), page):
            for row in filter(partial(_names, intake, traces), rows):
                count += await database.delete_inbox_request(inbox.id, row.id)
            page = page._replace(iterator=rows[-1].id)
    return count


def _names(intake: InboxIntake, traces: Traces, row: InboxRequest) -> bool:
    try:
        opened = intake.opened(row)
    except Misconfigured:  # sealed under a key that is lost: nobody can read it
        return False
    head = b"\n".join((opened.head.target, *(value for _, value in opened.head.headers)))
    return traces.found_in(opened.body or b"") or traces.found_in(head)


async def erase_exported_files(folder: Path, app_id: str, traces: Traces) -> int:
    """Delete the files of scheduled exports that name a person; return how many.

    The next file of the schedule is made without the person.
    """
    return await asyncio.to_thread(_erase_files, folder / app_id, traces)


def _erase_files(folder: Path, traces: Traces) -> int:
    count = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_file() and _names_in_file(path, traces):
            path.unlink(missing_ok=True)
            count += 1
    return count


def _names_in_file(path: Path, traces: Traces) -> bool:
    before = b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            if traces.found_in(before + piece):
                return True
            before = piece[-_OVERLAP:]
    return False


async def erase_kept_filters(
    database: Database, config_cache: ConfigCache, app_id: str, own: Traces
) -> int:
    """Delete links and schedules of exports whose filter names a person; return how many.

    Without the filter they would show more than their owner meant.
    """
    count = 0
    for kind in (ExportLink, ExportSchedule):
        for record in await database.list(kind, app_id):
            if own.found_in(msgspec.json.encode(record)):
                count += await config_cache.remove(kind, record.id, app_id)
    return count


async def erase_task_texts(
    database: Database, config_cache: ConfigCache, app_id: str, own: Traces, *, but: str
) -> int:
    """Take a person out of what tasks were asked for and tell; return out of how many.

    Open tasks still need it; `but` is the erasure itself.
    """

    def without(task: Task) -> Task:
        arguments, result = own.without(task.arguments), own.without(task.result)
        if task.status in OPEN or (arguments, result) == (task.arguments, task.result):
            return task
        return msgspec.structs.replace(task, arguments=arguments, result=result)

    count = 0
    page = Page(_BATCH_SIZE, ascending=True)
    while tasks := await database.list(Task, app_id, page):
        for task in tasks:
            if task.id != but and without(task) is not task:
                await config_cache.change(Task, app_id, task.id, without)
                count += 1
        page = page._replace(iterator=tasks[-1].id)
    return count


async def erase_alert_lines(database: Database, config_cache: ConfigCache, own: Traces) -> int:
    """Take lines that name a person out of mails that wait; return out of how many."""

    def without(queue: AlertQueue) -> AlertQueue:
        lines = tuple(line for line in queue.lines if not own.found_in(msgspec.json.encode(line)))
        return queue if lines == queue.lines else msgspec.structs.replace(queue, lines=lines)

    count = 0
    for queue in await database.list(AlertQueue):
        if without(queue) is not queue:
            await config_cache.change(AlertQueue, "", queue.id, without)
            count += 1
    return count


async def mentions(database: Database, app_id: str, own: Traces) -> list[str]:
    """Return the ids of what people have configured that names a person: only they may change it.

    That is an endpoint's filter or template, the description of an event type, and the like.
    """
    application = await database.get(Application, app_id)
    records: list[Record] = [] if application is None else [application]
    for kind in (Endpoint, EventType, Source, Inbox):
        records += await database.list(kind, app_id)
    return [each.id for each in records if own.found_in(msgspec.json.encode(each))]
