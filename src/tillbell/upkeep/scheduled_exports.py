"""Scheduled exports: each is made once for each time at which it is due, by the leader.

What is made for a due time has the name of that time: a file of the same name is replaced, a
message with the same event id is not published twice. So an export that a crash has cut off is made
again, and nobody gets two.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from tillbell.clock import DAY, HOUR, MINUTE, Clock, Micros, iso
from tillbell.configure.export_links import ExportLinks
from tillbell.deliver.audit import acting_as
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.publish import MessageDraft, Publisher
from tillbell.errors import ConflictError, TillbellError
from tillbell.logs import log_event
from tillbell.model.audit import Actor
from tillbell.model.exports import ExportLink, ExportSchedule, ExportTarget
from tillbell.storage.ports.database import Database

FOLDER = "exports"  # below the data folder; it has a folder for each application
LINK_LIFE: Micros = 7 * DAY  # of the link in a message
EXPORT_READY = "export.ready"
_PERIODS = {"day": DAY, "hour": HOUR}
_FILE_MODE = 0o600

Rows = Callable[[ExportSchedule], Awaitable[AsyncGenerator[bytes, None]]]


class ScheduledExports:
    """Makes the exports that are due. `rows` and `url` are set by the part that has the API."""

    def __init__(
        self,
        database: Database,
        config_cache: ConfigCache,
        publisher: Publisher,
        links: ExportLinks,
        clock: Clock,
    ) -> None:
        self._database = database
        self._config_cache = config_cache
        self._publisher = publisher
        self._links = links
        self._clock = clock
        self.folder = Path(FOLDER)
        self.rows: Rows | None = None
        self.url: Callable[[ExportLink, str], str] = lambda link, _: link.id

    async def run(self) -> None:
        """Make the exports that are due, one after the other, and remove links that expired."""
        await self._links.remove_expired()
        for schedule in await self._database.list(ExportSchedule, None):
            due_at = last_due(schedule, self._clock.now())
            if due_at > max(schedule.created_at, schedule.last_due_at or 0):
                await self._make(schedule, due_at)

    async def _make(self, schedule: ExportSchedule, due_at: Micros) -> None:
        changes: dict[str, Any] = {"last_due_at": due_at, "last_error": None}
        try:
            with acting_as(Actor(schedule.id, f"schedule {schedule.name}")):
                if schedule.target is ExportTarget.FOLDER:
                    changes["last_file"] = await self._write(schedule, due_at)
                else:
                    await self._publish(schedule, due_at)
        except (OSError, TillbellError) as error:
            log_event("export.failed", schedule=schedule.id, error=str(error))
            changes["last_error"] = str(error)

        def made(stored: ExportSchedule) -> ExportSchedule:
            return msgspec.structs.replace(stored, **changes)

        await self._config_cache.change(ExportSchedule, schedule.scope, schedule.id, made)

    async def _write(self, schedule: ExportSchedule, due_at: Micros) -> str:
        """Write the rows into a file, which has its name when it is whole; return that name."""
        assert self.rows is not None, "the part that has the API sets it"
        folder = self.folder / schedule.scope
        name = f"{schedule.id}-{iso(due_at)[:16].replace(':', '')}Z.{schedule.format}"
        begun = folder / f".{name}.part"
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        with begun.open("wb") as file:
            begun.chmod(_FILE_MODE)
            async for part in await self.rows(schedule):
                await asyncio.to_thread(file.write, part)
        begun.replace(folder / name)
        return f"{FOLDER}/{schedule.scope}/{name}"

    async def _publish(self, schedule: ExportSchedule, due_at: Micros) -> None:
        """Publish a message with a link to the rows."""
        view = await self._config_cache.view(schedule.scope)
        if view is None:
            return
        draft = ExportLink(
            id="",
            scope=schedule.scope,
            name=schedule.name,
            kind=schedule.kind,
            format=schedule.format,
            filter=schedule.filter,
            has_mark=schedule.has_mark,
            hash="",
            created_by=schedule.id,
            expires_at=self._clock.now() + LINK_LIFE,
        )
        link, token = await self._links.create(draft)
        data = {
            "scheduleId": schedule.id,
            "name": schedule.name,
            "format": schedule.format,
            "filter": schedule.filter,
            "dueAt": iso(due_at),
            "url": self.url(link, token),
            "expiresAt": iso(self._clock.now() + LINK_LIFE),
        }
        event_type = schedule.event_type or EXPORT_READY
        payload = msgspec.json.encode({"type": event_type, "timestamp": iso(due_at), "data": data})
        message = MessageDraft(event_type, payload, event_id=f"{schedule.id}-{due_at // MINUTE}")
        try:
            await self._publisher.publish(view.application, message)
        except ConflictError:  # it was published before a crash
            await self._links.revoke(schedule.scope, link.id)


def last_due(schedule: ExportSchedule, now: Micros) -> Micros:
    """Return the last time, up to now, at which a schedule was due.

    >>> target = ExportTarget.FOLDER
    >>> daily = ExportSchedule(id="", name="", kind="order", format="csv", hour=6, target=target)
    >>> last_due(daily, 2 * DAY) == DAY + 6 * HOUR
    True
    """
    period = _PERIODS[schedule.every]
    offset = schedule.minute * MINUTE + (schedule.hour * HOUR if period == DAY else 0)
    return (now - offset) // period * period + offset
