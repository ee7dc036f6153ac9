"""Schedules of exports: made every day or hour, into a file or as a message with a link."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path, Response
from pydantic import Field

from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.exports import ExportSchedule, ExportTarget
from tillbell.upkeep.scheduled_exports import EXPORT_READY
from tillbell.web.api.export_links import ExportIn, ExportOut
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import ApplicationOf, GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import Listed, optional_time
from tillbell.web.edge.patterns import EVENT_TYPE

EventTypeName = Annotated[str, Field(pattern=EVENT_TYPE, max_length=256)]


class ExportScheduleIn(ExportIn):
    """A new schedule."""

    every: Literal["day", "hour"] = Field(default="day", description="How often it is made.")
    hour: int = Field(default=0, ge=0, le=23, description="Of a daily one, in UTC.")
    minute: int = Field(default=0, ge=0, le=59, description="At which minute.")
    target: ExportTarget = Field(
        description="`folder`: a file below the data folder. `message`: a message with a link."
    )
    event_type: EventTypeName | None = Field(
        default=None, description=f"Of the message; `{EXPORT_READY}` if left out."
    )


class ExportScheduleOut(ExportOut):
    """A schedule, and what it made last."""

    every: str = Field(description="How often it is made: `day` or `hour`.")
    hour: int = Field(description="Of a daily one, in UTC.")
    minute: int = Field(description="At which minute.")
    target: ExportTarget = Field(description="Where it goes.")
    event_type: str | None = Field(description="Of the message; null: it is a file.")
    created_at: datetime
    last_due_at: datetime | None = Field(description="For which time it was made last (UTC).")
    last_file: str | None = Field(description="The last file, below the data folder.")
    last_error: str | None = Field(description="Why the last one was not made; null: it was.")

    @classmethod
    def of(cls, schedule: ExportSchedule) -> ExportScheduleOut:
        """Return a schedule in the shape that callers see."""
        is_message = schedule.target is ExportTarget.MESSAGE
        return cls.model_validate(
            {
                **ExportOut.exported(schedule),
                "every": schedule.every,
                "hour": schedule.hour,
                "minute": schedule.minute,
                "target": schedule.target,
                "event_type": (schedule.event_type or EXPORT_READY) if is_message else None,
                "created_at": optional_time(schedule.created_at),
                "last_due_at": optional_time(schedule.last_due_at),
                "last_file": schedule.last_file,
                "last_error": schedule.last_error,
            }
        )


router = resource("/app/{app_id}/export-schedule", "Export Schedule")


@router.post("", status_code=201)
async def create(
    body: ExportScheduleIn, app: ApplicationOf, gateway: GatewayOf, principal: PrincipalOf
) -> ExportScheduleOut:
    """Make an export every day or hour, each time once, also if several processes run."""
    list_ = await body.checked(gateway, app.id, principal)
    if body.event_type is not None and body.target is ExportTarget.FOLDER:
        raise Invalid(Problem(("body", "eventType"), "goes only with target `message`", "conflict"))
    now = gateway.clock.now()
    schedule = ExportSchedule(
        id=gateway.ids.new("exs", now),
        scope=app.id,
        created_at=now,
        updated_at=now,
        **body.drafted(list_),
        every=body.every,
        hour=body.hour,
        minute=body.minute,
        target=body.target,
        event_type=body.event_type,
    )
    await gateway.config_cache.add(schedule)
    return ExportScheduleOut.of(schedule)


@router.get("")
async def list_(
    app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf
) -> Listed[ExportScheduleOut]:
    """List the schedules of an application, with what each made last."""
    return await listed(
        lambda page: gateway.database.list(ExportSchedule, app.id, page), page, ExportScheduleOut.of
    )


@router.delete("/{schedule_id}", status_code=204, response_model=None)
async def delete(
    app: ApplicationOf, schedule_id: Annotated[str, Path(max_length=64)], gateway: GatewayOf
) -> Response:
    """End a schedule. Files that it made stay."""
    if not await gateway.config_cache.remove(ExportSchedule, schedule_id, app.id):
        raise NotFound("There is no such schedule.")
    return Response(status_code=204)
