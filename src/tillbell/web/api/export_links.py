"""Links of exports: a URL for a spreadsheet, which opens that one export and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.errors import Invalid, Problem
from tillbell.model.exports import ExportLink, ExportSchedule
from tillbell.rules.filters.clauses import FilterList
from tillbell.web.api.export import name_of
from tillbell.web.api.exported_rows import ExportFormat
from tillbell.web.api.filtered import FilterIn, read_filter
from tillbell.web.api.filters import instant
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import ApplicationOf, GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import Decides, Flag, In, Listed, Name, Out, Time, optional_time
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.auth import Principal
from tillbell.web.edge.paths import EXPORT_LINK

LISTS = {name_of(list_): list_ for list_ in FilterList if list_ is not FilterList.ENDPOINT}


class ExportIn(In):
    """What is exported, and how."""

    name: Name = Field(description="What it is for, for people.")
    kind: Annotated[str, Decides()] = Field(
        description=f"What is exported: {', '.join(LISTS)}.", max_length=32
    )
    format: ExportFormat = Field(default=ExportFormat.CSV, description="The form of the file.")
    filter: FilterIn = None
    bom: Flag = Field(default=False, description="Begin CSV with the mark of UTF-8.")

    async def checked(self, gateway: Gateway, app_id: str, principal: Principal) -> FilterList:
        """Return what is exported. `Invalid` or `Forbidden` if it cannot be, or not by this key."""
        list_ = LISTS.get(self.kind)
        if list_ is None:
            raise Invalid(Problem(("body", "kind"), f"is none of {', '.join(LISTS)}", "kind"))
        principal.require(ACCESS[f"application-export.{self.kind}"])
        await read_filter(gateway, app_id, list_, self.filter, ("body", "filter"))
        return list_

    def drafted(self, list_: FilterList) -> dict[str, Any]:
        """Return what the body says of the rows, as links and schedules keep it."""
        return {
            "name": self.name,
            "kind": list_,
            "format": self.format,
            "filter": self.filter or "",
            "has_mark": self.bom,
        }


class ExportOut(Out):
    """What is exported, and how."""

    id: str
    name: str
    kind: str = Field(description="What is exported.")
    format: str = Field(description="How rows are written.")
    filter: str = Field(description="Which rows; empty: all.")
    bom: bool = Field(description="Whether CSV begins with the mark of UTF-8.")

    @staticmethod
    def exported(record: ExportLink | ExportSchedule) -> dict[str, Any]:
        """Return what a link or schedule says of the rows, by the names of `ExportOut`."""
        return {
            "id": record.id,
            "name": record.name,
            "kind": name_of(FilterList(record.kind)),
            "format": record.format,
            "filter": record.filter,
            "bom": record.has_mark,
        }


class ExportLinkIn(ExportIn):
    """A new link."""

    expires_at: Time | None = Field(
        default=None, description="When it stops to work (UTC); null: never."
    )


class ExportLinkOut(ExportOut):
    """A link, without its token."""

    created_by: str = Field(description="Id of the key or person who made it.")
    created_at: datetime
    expires_at: datetime | None = Field(description="When it stops to work (UTC); null: never.")
    last_used_at: datetime | None = Field(description="Exact to the hour.")

    @classmethod
    def of(cls, link: ExportLink) -> ExportLinkOut:
        """Return a link in the shape that callers see."""
        return cls(**cls.members(link))

    @staticmethod
    def members(link: ExportLink) -> dict[str, Any]:
        """Return a link by the names of `ExportLinkOut`."""
        return {
            **ExportOut.exported(link),
            "created_by": link.created_by,
            "created_at": optional_time(link.created_at),
            "expires_at": optional_time(link.expires_at),
            "last_used_at": optional_time(link.last_used_at),
        }


class NewExportLinkOut(ExportLinkOut):
    """A new link. Its URL is shown here and never again."""

    url: str = Field(
        description="For `IMPORTDATA` of Google Sheets or `Data > From web` of Excel. Who has it "
        "has the rows: keep it."
    )


router = resource("/app/{app_id}/export-link", "Export Link")


@router.post("", status_code=201)
async def create(
    body: ExportLinkIn, app: ApplicationOf, gateway: GatewayOf, principal: PrincipalOf
) -> NewExportLinkOut:
    """Make a URL that answers with one export, always current, and opens nothing else."""
    list_ = await body.checked(gateway, app.id, principal)
    draft = ExportLink(
        id="",
        scope=app.id,
        **body.drafted(list_),
        hash="",
        created_by=principal.key.id,
        expires_at=instant(body.expires_at),
    )
    link, token = await gateway.export_links.create(draft)
    return NewExportLinkOut(**ExportLinkOut.members(link), url=link_url(gateway, link, token))


def link_url(gateway: Gateway, link: ExportLink, token: str) -> str:
    """Return the URL of a link."""
    origin = (gateway.settings.public_url or gateway.settings.local_url).rstrip("/")
    return f"{origin}{EXPORT_LINK}{token}/{name_of(FilterList(link.kind))}.{link.format}"


@router.get("")
async def list_(
    app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf
) -> Listed[ExportLinkOut]:
    """List the links of an application, without their tokens."""
    return await listed(
        lambda page: gateway.database.list(ExportLink, app.id, page), page, ExportLinkOut.of
    )


@router.delete("/{link_id}", status_code=204, response_model=None)
async def delete(
    app: ApplicationOf, link_id: Annotated[str, Path(max_length=64)], gateway: GatewayOf
) -> Response:
    """Revoke a link at once."""
    await gateway.export_links.revoke(app.id, link_id)
    return Response(status_code=204)
