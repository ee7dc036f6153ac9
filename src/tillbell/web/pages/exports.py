"""Exports and imports: files of an application's rows, links for spreadsheets, and schedules."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from tillbell.errors import Forbidden, NotFound
from tillbell.model.exports import ExportLink, ExportSchedule
from tillbell.model.records import Task
from tillbell.process.imports import IMPORT
from tillbell.rules.tables.changes import ImportKind
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.export import file_headers
from tillbell.web.api.export_links import LISTS, ExportLinkOut
from tillbell.web.api.export_schedules import ExportScheduleOut
from tillbell.web.api.exported_rows import MEDIA, Export, ExportFormat, begin_export
from tillbell.web.edge.paths import STREAM
from tillbell.web.pages.page import SECURITY_HEADERS, SitePage, Visit
from tillbell.web.pages.shop_lists import chosen

_PLACE = "/exports"
_LISTED = Page(100)
_JOBS_READ, _JOBS_SHOWN = Page(100), 5
_OF_SHOP = ("orders", "products", "customers", "subscriptions", "shipments")
WORDS = {"shipments": "parcels", "audit": "audit log"}


class ExportRow(NamedTuple):
    """One kind of rows that can be exported."""

    kind: str
    word: str
    refusal: str  # why this person may not; "": they may


class ImportRow(NamedTuple):
    """One kind of file that can be imported."""

    kind: str
    refusal: str


async def show(visit: Visit) -> Response:
    """Show what can be taken out and brought in, and what is kept for that."""
    app = chosen(visit)
    if app is None:
        return visit.show("choose_application.html", many="exports and imports")
    database = visit.gateway.database
    tasks = await database.list(Task, app.id, _JOBS_READ)
    kinds = [*_OF_SHOP, *sorted(set(LISTS) - set(_OF_SHOP))]
    return visit.show(
        "exports.html",
        app_name=app.uid or app.id,
        exports=[
            ExportRow(kind, WORDS.get(kind, kind), visit.refusal(f"application-export.{kind}"))
            for kind in kinds
        ],
        imports=[ImportRow(kind, visit.refusal(f"import.{kind}")) for kind in ImportKind],
        links=[ExportLinkOut.of(link) for link in await database.list(ExportLink, app.id, _LISTED)],
        schedules=[
            ExportScheduleOut.of(schedule)
            for schedule in await database.list(ExportSchedule, app.id, _LISTED)
        ],
        jobs=[task for task in tasks if task.kind == IMPORT][:_JOBS_SHOWN],
    )


async def download(visit: Visit) -> Response:
    """Answer with a file of all rows, which are read while they are sent."""
    app = await visit.the_app()
    list_ = LISTS.get(visit.path("kind"))
    if list_ is None or visit.query("format") not in set(ExportFormat):
        raise NotFound("There is no such export.")
    refusal = visit.refusal(f"application-export.{visit.path('kind')}")
    if refusal:
        raise Forbidden(refusal)
    format_ = ExportFormat(visit.query("format"))
    export = Export(list_, format_, visit.query("filter"), visit.query("bom") == "true")
    parts = await begin_export(visit.gateway, app.id, export)
    visit.request.scope[STREAM] = parts
    headers = SECURITY_HEADERS | file_headers(list_, format_)
    return Response(media_type=MEDIA[format_], headers=headers)


PAGES = (
    SitePage(_PLACE, show, _PLACE),
    SitePage("/exports/{kind}", download, _PLACE),
)
