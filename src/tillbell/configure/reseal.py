"""Reseal: every stored secret is sealed under the newest master key, so that older ones can go.

It is a background task: it survives a restart, and may be repeated. What cannot be opened, because
its key is missing or its record was altered, is counted and left as it is.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any, TypeVar

import msgspec

from tillbell.deliver.audit import acting_as
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.tasks import TaskProgress, TaskRunner
from tillbell.errors import Misconfigured, NotFound
from tillbell.model.audit import SYSTEM
from tillbell.model.endpoints import Endpoint
from tillbell.model.inboxes import Inbox
from tillbell.model.records import Record, Task
from tillbell.model.sources import Source
from tillbell.receive.inbox_requests import sealed_for
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.people import PersonChange
from tillbell.vault import Vault, is_sealed

R = TypeVar("R", bound=Record)

RESEAL = "reseal"
BATCH_SIZE = 100
_KINDS: dict[str, type[Record]] = {"endpoint": Endpoint, "source": Source, "inbox": Inbox}
_REQUESTS = "callback"
_PEOPLE = "person"
_INBOXES = "inbox-request"
_STAGES = (*_KINDS, _REQUESTS, _PEOPLE, _INBOXES)


class Resealer:
    """Seals secrets anew."""

    def __init__(
        self, database: Database, config_cache: ConfigCache, tasks: TaskRunner, vault: Vault
    ) -> None:
        self._database = database
        self._config_cache = config_cache
        self._tasks = tasks
        self._vault = vault
        tasks.register(RESEAL, self._step)

    async def begin(self) -> Task:
        """Begin to seal everything anew."""
        return await self._tasks.begin(RESEAL, "", {})

    async def _step(self, task: Task) -> TaskProgress:
        """Do some of a stage; the cursor is its name and the last id."""
        stage, _, after = (task.cursor or f"{_STAGES[0]} ").partition(" ")
        counts = Counter[str]()
        with acting_as(SYSTEM):
            if stage == _REQUESTS:
                last = await self._reseal_requests(after, counts)
            elif stage == _PEOPLE:
                last = await self._reseal_second_factors(after, counts)
            elif stage == _INBOXES:
                last = await self._reseal_inbox_requests(after, counts)
            else:
                last = await self._reseal_records(_KINDS[stage], after, counts)
        skipped = {"unreadable": counts["unreadable"]}
        if last is not None:
            return TaskProgress(f"{stage} {last}", counts["sealed"], is_last=False, skipped=skipped)
        following = _STAGES[_STAGES.index(stage) + 1 :]
        cursor = f"{following[0]} " if following else task.cursor
        return TaskProgress(cursor, counts["sealed"], is_last=not following, skipped=skipped)

    async def _reseal_records(self, kind: type[R], after: str, counts: Counter[str]) -> str | None:
        """Seal the secrets of some records; return the last id, None at the end."""
        page = Page(BATCH_SIZE, after or None, ascending=True)
        records = await self._database.list(kind, None, page)
        for record in records:
            try:
                if resealed(record, self._vault) is record:
                    continue
                with contextlib.suppress(NotFound):  # it was removed just now
                    await self._config_cache.change(
                        kind, record.scope, record.id, lambda now: resealed(now, self._vault)
                    )
                    counts["sealed"] += 1
            except Misconfigured:
                counts["unreadable"] += 1
        return records[-1].id if len(records) == BATCH_SIZE else None

    async def _reseal_requests(self, after: str, counts: Counter[str]) -> str | None:
        """Seal some requests of providers; return the last id, None at the end."""
        requests = await self._database.sealed_requests(after, BATCH_SIZE)
        anew = []
        for app_id, callback_id, sealed in requests:
            try:
                again = self._vault.rewrap_bytes(sealed, callback_id)
            except Misconfigured:
                counts["unreadable"] += 1
                continue
            if again != sealed:
                anew.append((app_id, callback_id, again))
        await self._database.replace_requests(anew)
        counts["sealed"] += len(anew)
        return requests[-1][1] if len(requests) == BATCH_SIZE else None

    async def _reseal_second_factors(self, after: str, counts: Counter[str]) -> str | None:
        """Seal the second factors of some people; return the last id, None at the end."""
        people = await self._database.all_people(Page(BATCH_SIZE, after or None, ascending=True))
        for person in people:
            if not person.totp_secret:
                continue
            try:
                again = self._vault.rewrap(person.totp_secret, person.id)
            except Misconfigured:
                counts["unreadable"] += 1
                continue
            if again != person.totp_secret:
                anew = person._replace(totp_secret=again)
                # Who has changed meanwhile is left to the next run.
                change = await self._database.change_person(person, anew, person.created_at, [])
                counts["sealed"] += change is PersonChange.DONE
        return people[-1].id if len(people) == BATCH_SIZE else None

    async def _reseal_inbox_requests(self, after: str, counts: Counter[str]) -> str | None:
        """Seal some requests to inboxes; return the last id, None at the end."""
        requests = await self._database.sealed_inbox_requests(after, BATCH_SIZE)
        anew = []
        for request in requests:
            context = sealed_for(request.inbox_id, request.received_at)
            try:
                again = request._replace(
                    head=self._vault.rewrap_bytes(request.head, context),
                    body=self._vault.rewrap_bytes(request.body, context),
                )
            except Misconfigured:
                counts["unreadable"] += 1
                continue
            if again != request:
                anew.append(again)
        await self._database.replace_inbox_requests(anew)
        counts["sealed"] += len(anew)
        return requests[-1].id if len(requests) == BATCH_SIZE else None


def resealed(record: R, vault: Vault) -> R:
    """Return a record whose secrets are sealed under the newest key; the same one if they are."""
    before = msgspec.to_builtins(record)
    after = _resealed(before, record.id, vault)
    return record if after == before else msgspec.convert(after, type(record))


def _resealed(value: Any, context: str, vault: Vault) -> Any:
    if isinstance(value, dict):
        return {name: _resealed(member, context, vault) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_resealed(member, context, vault) for member in value)
    if isinstance(value, str) and is_sealed(value):
        return vault.rewrap(value, context)
    return value
