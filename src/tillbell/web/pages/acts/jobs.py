"""Acts on jobs: pause, resume and cancel."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.errors import NotFound
from tillbell.model.records import Task
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    SentFields,
    act_pages,
)
from tillbell.web.pages.page import Visit


class _JobAct(NamedTuple):
    """What can be done to a job. `name` is that of the API's operation."""

    name: str
    verb: str
    consequence: str
    result: str
    is_danger: bool = False


_ACTS = (
    _JobAct(
        "pause",
        "Pause",
        "It stops after its present step, and keeps its place.",
        "The job is paused.",
    ),
    _JobAct("resume", "Resume", "It goes on where it was.", "The job goes on."),
    _JobAct(
        "cancel",
        "Cancel the job",
        "It ends after its present step. What it has done stays.",
        "The job is canceled.",
        is_danger=True,
    ),
)


async def _job(visit: Visit) -> Task:
    task = await visit.gateway.database.get(Task, visit.path("task"), visit.app_id)
    if task is None:
        raise NotFound("There is no such job.")
    return task


def _page(act: _JobAct) -> ActPage:
    async def form(visit: Visit) -> ActForm:
        task = await _job(visit)
        return ActForm(
            title=act.verb,
            verb=act.verb,
            consequences=[act.consequence],
            back=visit.link(f"/jobs/{task.id}"),
            back_word="Job",
            is_danger=act.is_danger,
        )

    async def call(visit: Visit, _: SentFields) -> ApiCall:
        task = await _job(visit)
        return ApiCall("POST", f"/background-task/{task.id}/{act.name}")

    async def done(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
        task = await _job(visit)
        return ActResult(act.result, visit.link(f"/jobs/{task.id}"))

    path = f"/jobs/{{task}}/{act.name}"
    return ActPage(path, "/jobs", f"background-task.{act.name}", form, call, done)


PAGES = act_pages([_page(act) for act in _ACTS])
