"""Routes of exports: of one application, and of all that a key may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from tillbell.rules.filters.clauses import FilterList
from tillbell.rules.filters.meaning import plural
from tillbell.web.api.exported_rows import MEDIA, Export, ExportFormat, begin_export
from tillbell.web.api.filtered import FilterText
from tillbell.web.api.overviews import ScopeOf
from tillbell.web.api.routes import ApplicationOf, GatewayOf, resource
from tillbell.web.edge.paths import STREAM

_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows, one a line.",
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "id,appId\r\nmsg_01k0000000000000000000000a,app_01k\r\n",
            },
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"id": "msg_01k0000000000000000000000a"}\n',
            },
        },
    }
}
FormatQuery = Annotated[ExportFormat, Query(alias="format", description="How rows are written.")]
MarkQuery = Annotated[
    bool, Query(alias="bom", description="Begin CSV with the mark of UTF-8, which Excel needs.")
]


class ExportQuery:
    """How rows are exported, and which."""

    def __init__(
        self,
        request: Request,
        gateway: GatewayOf,
        text: FilterText = None,
        format_: FormatQuery = ExportFormat.CSV,
        has_mark: MarkQuery = False,
    ) -> None:
        self.request = request
        self.gateway = gateway
        self.text = text
        self.format = format_
        self.has_mark = has_mark

    async def answer(self, list_: FilterList, scope: str | None) -> Response:
        """Answer with the rows of a list, which are read while they are sent."""
        export = Export(list_, self.format, self.text, self.has_mark)
        parts = await begin_export(self.gateway, scope, export)
        self.request.scope[STREAM] = parts
        return Response(media_type=MEDIA[self.format], headers=file_headers(list_, self.format))


ExportQueryOf = Annotated[ExportQuery, Depends()]


def file_headers(list_: FilterList, format_: ExportFormat) -> dict[str, str]:
    """Return the header that names the file: `orders.csv`."""
    return {"content-disposition": f'attachment; filename="{name_of(list_)}.{format_}"'}


def name_of(list_: FilterList) -> str:
    """Return how the items of a list are called: `orders`."""
    return "audit" if list_ is FilterList.AUDIT else plural(list_)


router = resource("/export", "Export")
app_router = resource("/app/{app_id}/export", "Application Export")

_OF_ALL: Mapping[FilterList, str] = {
    FilterList.MESSAGE: "Export messages with their payloads, newest first.",
    FilterList.DELIVERY: "Export deliveries, those of the newest message first.",
    FilterList.ATTEMPT: "Export attempts by their start: the latest attempt is first.",
    FilterList.CALLBACK: "Export callbacks, newest first.",
    FilterList.TRANSACTION: "Export transactions, newest first.",
    FilterList.AUDIT: "Export the audit log, newest first.",
    FilterList.CONFLICT: "Export conflicts, newest first.",
}
_OF_SHOP: Mapping[FilterList, str] = {
    FilterList.ORDER: "Export orders, oldest first. CSV has a row for each line of an order.",
    FilterList.PRODUCT: "Export products with their stock, oldest first.",
    FilterList.CUSTOMER: "Export customers with what they consented to, oldest first.",
    FilterList.SUBSCRIPTION: "Export subscriptions, oldest first.",
    FilterList.SHIPMENT: "Export parcels, oldest first.",
}


def _add(to: APIRouter, path: str, list_: FilterList, text: str, export: Any) -> None:
    """Add the route of a list."""
    to.get(
        f"/{path}",
        name=name_of(list_),
        description=text,
        response_class=Response,
        responses=_STREAMED,
    )(export)


def _everywhere(list_: FilterList) -> Any:
    async def export(query: ExportQueryOf, scope: ScopeOf) -> Response:
        return await query.answer(list_, scope)

    return export


def _in_application(list_: FilterList) -> Any:
    async def export(query: ExportQueryOf, app: ApplicationOf) -> Response:
        return await query.answer(list_, app.id)

    return export


for _list, _text in _OF_ALL.items():
    _add(router, _list, _list, _text, _everywhere(_list))
for _list, _text in {**_OF_SHOP, **_OF_ALL}.items():
    _text = f"{_text[:-1]}, of one application." if _list in _OF_ALL else _text
    _add(app_router, name_of(_list), _list, _text, _in_application(_list))
