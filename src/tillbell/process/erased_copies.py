"""Copies of what names a person, beside records and messages: in inboxes and in exported files."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from tillbell.errors import Misconfigured
from tillbell.model.inboxes import Inbox, InboxRequest
from tillbell.receive.inbox_requests import InboxIntake
from tillbell.rules.traces import Traces
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inboxes import InboxFilter
from tillbell.storage.ports.outbound import Page

_BATCH_SIZE = 50  # requests of an inbox, with their bodies
_PIECE = 1 << 20  # bytes of a file
_OVERLAP = 1 << 12  # bytes of a piece that the next one has too
_LONGEST = 1 << 40  # bytes of a body: all of them are read


async def erase_inbox_requests(
    database: Database, intake: InboxIntake, app_id: str, traces: Traces
) -> int:
    """Delete the requests to the application's inboxes that name a person; return how many."""
    count = 0
    for inbox in await database.list(Inbox, app_id):
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
