"""Acts on what is kept for exports: links for spreadsheets, and schedules."""

from __future__ import annotations

from typing import Any

from tillbell.errors import NotFound
from tillbell.model.exports import ExportLink, ExportSchedule, ExportTarget
from tillbell.web.api.export_links import LISTS
from tillbell.web.api.exported_rows import ExportFormat
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    FormChoice,
    FormField,
    SentFields,
    ShownValue,
    act_pages,
    end_of_day,
)
from tillbell.web.pages.exports import WORDS
from tillbell.web.pages.page import Visit

_PLACE = "/exports"
_BACK_WORD = "Exports and imports"


async def _back(visit: Visit) -> str:
    app = await visit.the_app()
    return visit.link(_PLACE, app=app.uid or app.id)


def _fields() -> list[FormField]:
    kinds = [FormChoice(kind, WORDS.get(kind, kind).capitalize()) for kind in LISTS]
    return [
        FormField("name", "Name", hint="What it is for: `Stock for Maria`.", is_required=True),
        FormField("kind", "What", "select", "orders", options=kinds),
        FormField(
            "format",
            "Format",
            "select",
            ExportFormat.CSV,
            options=[FormChoice(each, each.upper()) for each in ExportFormat],
        ),
        FormField(
            "filter", "Filter", hint="`status:paid since:7d`; empty: all rows.", is_code=True
        ),
        FormField(
            "bom",
            "With the mark that Excel needs",
            "check",
            hint="Excel then opens the file by a double click.",
        ),
    ]


def _body(sent: SentFields) -> dict[str, Any]:
    return {
        "name": sent.text("name"),
        "kind": sent.text("kind"),
        "format": sent.text("format"),
        "filter": sent.text("filter") or None,
        "bom": sent.has("bom"),
    }


# ── links ────────────────────────────────────────────────────────────────────────────────────────


async def _link_form(visit: Visit) -> ActForm:
    expiry = FormField("expiresAt", "Works until", "date", hint="The end of that day in UTC.")
    return ActForm(
        title="New link for a spreadsheet",
        verb="Make the link",
        consequences=[
            "It answers with these rows as they are at that moment, and opens nothing else.",
            "Who has it has the rows, until you revoke it.",
        ],
        back=await _back(visit),
        back_word=_BACK_WORD,
        fields=[*_fields(), expiry],
    )


async def _link_call(visit: Visit, sent: SentFields) -> ApiCall:
    app = await visit.the_app()
    body = _body(sent) | {"expiresAt": end_of_day(sent.text("expiresAt"))}
    return ApiCall("POST", f"/app/{app.id}/export-link", body)


async def _link_made(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    url = str(answer.doc["url"])
    shown = [
        ShownValue("The link", url, is_secret=True),
        ShownValue("In Google Sheets", f'=IMPORTDATA("{url}")'),
    ]
    return ActResult("The link works now.", await _back(visit), shown)


async def _revocation_form(visit: Visit) -> ActForm:
    app = await visit.the_app()
    link = await visit.gateway.database.get(ExportLink, visit.path("link"), app.id)
    if link is None:
        raise NotFound("There is no such link.")
    return ActForm(
        title=f"Revoke {link.name}",
        verb="Revoke the link",
        consequences=["Spreadsheets that use it get nothing more, at once."],
        back=await _back(visit),
        back_word=_BACK_WORD,
        is_danger=True,
    )


async def _revocation_call(visit: Visit, _: SentFields) -> ApiCall:
    app = await visit.the_app()
    return ApiCall("DELETE", f"/app/{app.id}/export-link/{visit.path('link')}")


async def _revoked(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The link is revoked.", await _back(visit))


# ── schedules ────────────────────────────────────────────────────────────────────────────────────


async def _schedule_form(visit: Visit) -> ActForm:
    every = [FormChoice("day", "Every day"), FormChoice("hour", "Every hour")]
    targets = [
        FormChoice(ExportTarget.FOLDER, "A file", "below the data folder of the server"),
        FormChoice(ExportTarget.MESSAGE, "A message", "to the endpoints, with a link to the file"),
    ]
    return ActForm(
        title="New schedule",
        verb="Start the schedule",
        consequences=["The export is made by itself, each time once."],
        back=await _back(visit),
        back_word=_BACK_WORD,
        fields=[
            *_fields(),
            FormField("every", "How often", "select", "day", options=every),
            FormField("hour", "Hour", "number", "6", hint="Of a daily one, 0 to 23, in UTC."),
            FormField("minute", "Minute", "number", "0"),
            FormField("target", "Where it goes", "choice", ExportTarget.FOLDER, options=targets),
        ],
    )


async def _schedule_call(visit: Visit, sent: SentFields) -> ApiCall:
    app = await visit.the_app()
    body = _body(sent) | {"every": sent.text("every"), "target": sent.text("target")}
    body |= {name: sent.number(name) or 0 for name in ("hour", "minute")}
    return ApiCall("POST", f"/app/{app.id}/export-schedule", body)


async def _scheduled(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("It is made from now on.", await _back(visit))


async def _end_form(visit: Visit) -> ActForm:
    app = await visit.the_app()
    schedule = await visit.gateway.database.get(ExportSchedule, visit.path("schedule"), app.id)
    if schedule is None:
        raise NotFound("There is no such schedule.")
    return ActForm(
        title=f"End {schedule.name}",
        verb="End the schedule",
        consequences=["It is not made any more. Files that it made stay."],
        back=await _back(visit),
        back_word=_BACK_WORD,
        is_danger=True,
    )


async def _end_call(visit: Visit, _: SentFields) -> ApiCall:
    app = await visit.the_app()
    return ApiCall("DELETE", f"/app/{app.id}/export-schedule/{visit.path('schedule')}")


async def _ended(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The schedule has ended.", await _back(visit))


PAGES = act_pages(
    (
        ActPage(
            "/exports/links/new", _PLACE, "export-link.create", _link_form, _link_call, _link_made
        ),
        ActPage(
            "/exports/links/{link}/revoke",
            _PLACE,
            "export-link.delete",
            _revocation_form,
            _revocation_call,
            _revoked,
        ),
        ActPage(
            "/exports/schedules/new",
            _PLACE,
            "export-schedule.create",
            _schedule_form,
            _schedule_call,
            _scheduled,
        ),
        ActPage(
            "/exports/schedules/{schedule}/end",
            _PLACE,
            "export-schedule.delete",
            _end_form,
            _end_call,
            _ended,
        ),
    )
)
