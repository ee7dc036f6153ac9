"""Jobs: long work in the background, such as recover and replay, and how far each is."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from tillbell.clock import Micros, from_datetime, iso
from tillbell.configure.reseal import RESEAL
from tillbell.deliver.expunge import EXPUNGE_ALL
from tillbell.deliver.resend import BULK_REPLAY, RECOVER, REPLAY_MISSING
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.model.records import Task, TaskStatus
from tillbell.process.erasure import ERASE_CUSTOMER
from tillbell.process.imports import IMPORT
from tillbell.receive.reprocess_many import REPROCESS_TASK
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import ListPage, list_page, row_id
from tillbell.web.api.tasks import TaskOut
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.lists import export, listing_of, page_by_time
from tillbell.web.pages.page import SitePage, Visit

_COLUMNS = ("started", "updated", "application", "id", "kind", "status", "endpoint", "count")
# What each kind does, and what it counts: one, and several.
_KINDS = {
    RECOVER: ("Recover what failed", "delivery sent again", "deliveries sent again"),
    BULK_REPLAY: ("Replay deliveries", "delivery sent again", "deliveries sent again"),
    REPLAY_MISSING: ("Replay what is missing", "delivery made", "deliveries made"),
    EXPUNGE_ALL: ("Delete payloads", "payload deleted", "payloads deleted"),
    ERASE_CUSTOMER: (
        "Erase a customer",
        "record, payload or request erased",
        "records, payloads and requests erased",
    ),
    REPROCESS_TASK: ("Replay callbacks", "callback processed again", "callbacks processed again"),
    IMPORT: ("Import a file", "row read", "rows read"),
    RESEAL: ("Encrypt secrets anew", "record encrypted anew", "records encrypted anew"),
}
_SAYS = {
    TaskStatus.RUNNING: (
        "info",
        "sending",
        "It is running",
        "It works in steps and goes on by itself, after a restart too. Live traffic goes first.",
    ),
    TaskStatus.PAUSED: (
        "hold",
        "pause",
        "It is paused",
        "It goes on where it was when it is resumed.",
    ),
    TaskStatus.CANCELED: ("warn", "stop", "It was canceled", "What it had done until then stays."),
    TaskStatus.FINISHED: ("ok", "ok", "It is done", "Nothing needs doing."),
    TaskStatus.FAILED: (
        "bad",
        "bad",
        "It broke off",
        "What it had done until then stays. The log of the server says why; begin it again then.",
    ),
}
_REPORTED = ("rows", "created", "changed", "unchanged", "failed", "problems")  # of an import
_PERIOD = ("since", "until")
# Members of a job that its page shows elsewhere.
_NOT_OF_PLAN = ("appId", "endpointId", "count", "skipped", *_PERIOD, *_REPORTED)
_REASONS = {
    "missing_payload": "their payload is no longer kept",
    "changed_meanwhile": "they changed meanwhile",
    "not_wanted": "the endpoint did not ask for them",
    "filtered_payload": "the endpoint's filter leaves them out",
}


class SkippedCount(NamedTuple):
    """How many things a job left out, and why."""

    number: int
    reason: str


class JobRow(NamedTuple):
    """A job, as the list and its page show it."""

    task: Task
    app_name: str  # as links name it
    app_title: str
    title: str
    unit: str  # what it counts
    state: str
    endpoint_id: str  # "": it is about no endpoint
    endpoint_name: str
    skipped: list[SkippedCount]

    @property
    def done(self) -> int:
        """Return how many things are done."""
        return int(self.task.result.get("count", 0))

    @property
    def says(self) -> tuple[str, str, str, str]:
        """Return tone, icon, title and text of the verdict."""
        return _SAYS[self.task.status]


async def list_(visit: Visit) -> Response:
    """Show jobs, newest first."""

    async def fetch(page: Page) -> ListPage[JobRow]:
        listed = await list_page(
            lambda page: visit.gateway.database.list(Task, visit.app_id, page), page, row_id
        )
        return listed.with_rows([await _row(visit, task) for task in listed.rows])

    exported = await export(visit, "background-task", fetch, _COLUMNS, _cells)
    if exported is not None:
        return exported
    page = page_by_time(visit)
    rows = await fetch(page)
    return visit.show("jobs.html", rows=rows.rows, listing=listing_of(visit, rows, page))


async def show(visit: Visit) -> Response:
    """Show a job."""
    task = await visit.gateway.database.get(Task, visit.path("task"), visit.app_id)
    if task is None:
        raise NotFound("There is no such job.")
    data = TaskOut.of(task).data
    plan = {
        name: value
        for name, value in data.items()
        if value is not None and name not in _NOT_OF_PLAN
    }
    text = msgspec.json.format(msgspec.json.encode(plan), indent=2).decode()
    return visit.show(
        "job.html",
        j=await _row(visit, task),
        period=[_instant(data.get(name)) for name in _PERIOD],
        plan=text if plan else "",
        report=_report(task),
    )


PAGES = (
    SitePage("/jobs", list_, "/jobs"),
    SitePage("/jobs/{task}", show, "/jobs"),
)


def _instant(text: object) -> Micros | None:
    return from_datetime(datetime.fromisoformat(text)) if isinstance(text, str) else None


def _report(task: Task) -> dict[str, Any] | None:
    """Return what an import did so far; None: it is another kind of job, or has not begun."""
    if task.kind != IMPORT or "created" not in task.result:
        return None
    return {name: task.result.get(name, 0) for name in _REPORTED}


async def _row(visit: Visit, task: Task) -> JobRow:
    endpoint_id = str(task.arguments.get("endpoint_id", ""))
    endpoint: Endpoint | None = None
    if endpoint_id:
        endpoint = await visit.gateway.config_cache.endpoint(task.scope, endpoint_id)
    skipped = task.result.get("skipped", {})
    title, one_unit, units = _KINDS.get(task.kind, (task.kind, "done", "done"))
    return JobRow(
        task,
        *visit.names_of(task.scope),
        title=title,
        unit=one_unit if task.result.get("count") == 1 else units,
        state=task.status.value,
        endpoint_id=endpoint_id,
        endpoint_name=name_of(endpoint) if endpoint is not None else endpoint_id,
        skipped=[
            SkippedCount(count, _REASONS.get(reason, reason))
            for reason, count in skipped.items()
            if count
        ],
    )


def _cells(row: JobRow) -> list[object]:
    task = row.task
    return [
        iso(task.created_at),
        iso(task.updated_at),
        row.app_name,
        task.id,
        task.kind,
        task.status,
        row.endpoint_id,
        row.done,
    ]
