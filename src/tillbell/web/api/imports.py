"""Imports: the shop's records from CSV, as spreadsheets write it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from email.message import EmailMessage
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from pydantic import Field
from starlette.requests import ClientDisconnect

from tillbell.errors import Invalid, Malformed, Problem, TooLarge
from tillbell.model.records import Task
from tillbell.process.imports import ImportOptions, ImportReport
from tillbell.rules.tables.changes import ImportKind
from tillbell.rules.tables.reader import Encoding
from tillbell.web.api.routes import also_answers, resource
from tillbell.web.api.shapes import Out
from tillbell.web.api.shop_routes import CallerOf
from tillbell.web.api.tasks import TaskOut

FILE_BYTES_MAX = 1024 * 1024 * 1024


class OnError(StrEnum):
    """What a row that is wrong means for the others."""

    STOP = "stop"
    SKIP = "skip"


class RowProblem(Out):
    """A rule that a row breaks."""

    row: int = Field(description="Its number in spreadsheets: 1 is the header.")
    column: str | None = Field(description="Name of the column; null: the row as a whole.")
    text: str = Field(description="The rule, in words.")


class ImportReportOut(Out):
    """What an import did; of a dry run what it would do."""

    rows: int = Field(description="Rows below the header that were read.")
    created: int = Field(description="Records that are new.")
    changed: int = Field(description="Records that were changed.")
    unchanged: int = Field(description="Records that were so already: nothing was published.")
    failed: int = Field(description="Rows that are wrong.")
    problems: list[RowProblem] = Field(description="What is wrong, at most 100.")
    is_written: bool = Field(description="Whether the rows that are right were written.")

    @classmethod
    def of(cls, report: ImportReport, *, is_written: bool) -> ImportReportOut:
        """Return a report in the shape that callers see."""
        members = report.as_plain()
        problems = [
            RowProblem(row=problem.row, column=problem.column or None, text=problem.text)
            for problem in report.problems
        ]
        return cls.model_validate(members | {"problems": problems, "is_written": is_written})


class ImportQuery:
    """How a file is imported."""

    def __init__(
        self,
        is_dry_run: Annotated[
            bool, Query(alias="dryRun", description="Say what would be done, and do nothing.")
        ] = False,
        on_error: Annotated[
            OnError,
            Query(
                alias="onError",
                description="`stop`: write nothing unless every row is right. "
                "`skip`: write the rows that are right.",
            ),
        ] = OnError.STOP,
        encoding: Annotated[
            Encoding | None,
            Query(description="Of the file, if it is neither UTF-8 nor UTF-16 with its mark."),
        ] = None,
    ) -> None:
        self.is_dry_run = is_dry_run
        self.skips = on_error is OnError.SKIP
        self.encoding: str | None = encoding

    def options(self, kind: ImportKind) -> ImportOptions:
        """Return how a file of a kind is imported."""
        return ImportOptions(kind, self.is_dry_run, self.skips, self.encoding)


router = resource("/app/{app_id}/import", "Import")

_TEXTS: Mapping[ImportKind, str] = {
    ImportKind.ORDERS: "Import orders from CSV: a row for each line, those of an order together.",
    ImportKind.PRODUCTS: "Import products from CSV, by `uid`, or by `sku` where that is empty.",
    ImportKind.STOCK: "Import the stock of products that are known, by `uid` or `sku`.",
    ImportKind.CUSTOMERS: "Import customers from CSV.",
    ImportKind.SUBSCRIPTIONS: "Import subscriptions from CSV.",
}
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "uid,stock\r\nprd-1,12\r\n"}
        },
    }
}


async def uploaded(request: Request) -> AsyncIterator[bytes]:
    """Yield the parts of a file as they come. `TooLarge` if there are too many."""
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > FILE_BYTES_MAX:
                raise TooLarge(f"A file may have at most {FILE_BYTES_MAX} bytes.")
            yield piece
    except ClientDisconnect as error:
        text = "The connection was closed before the whole file had arrived."
        raise Malformed(text) from error


def _named_encoding(request: Request) -> str | None:
    """Return the encoding that the Content-Type names; None: UTF-8, or what a mark says.

    `Invalid` if the body is no table, or its encoding unknown.
    """
    header = EmailMessage()
    header["content-type"] = request.headers.get("content-type", "text/csv")
    # `curl --data-binary` calls every body a form.
    forms = "application/x-www-form-urlencoded", "application/octet-stream", "text/plain"
    tables = "text/csv", "application/csv", "application/vnd.ms-excel"
    if header.get_content_type() not in (*tables, *forms):
        text = "must be text/csv: send the file as the body, as it is"
        raise Invalid(Problem(("header", "content-type"), text, "media_type"))
    charset = header.get_content_charset("utf-8")
    if charset in ("utf-8", "utf8", "us-ascii"):
        return None
    if charset not in set(Encoding):
        text = f"charset: must be one of {', '.join(Encoding)}"
        raise Invalid(Problem(("header", "content-type"), text, "charset"))
    return charset


def _importing(kind: ImportKind) -> Any:
    async def import_(
        request: Request, caller: CallerOf, query: Annotated[ImportQuery, Depends()]
    ) -> Any:
        encoding = _named_encoding(request)
        options = query.options(kind)
        options = options._replace(encoding=options.encoding or encoding)
        result = await caller.gateway.importer.run(
            caller.app_id, options, uploaded(request), caller.key_id
        )
        if isinstance(result, Task):
            body = TaskOut.of(result).model_dump_json(by_alias=True)
            return Response(body, 202, media_type="application/json")
        is_written = not options.is_dry_run and (options.skips or not result.failed)
        return ImportReportOut.of(result, is_written=is_written)

    return import_


for _kind, _text in _TEXTS.items():
    router.post(
        f"/{_kind}",
        name=_kind,
        description=_text
        + " More than 1,000 rows are imported by a background task (202). The same file again"
        " changes nothing. See docs/exports.md.",
        response_model=ImportReportOut,
        responses=also_answers(202, TaskOut, "A background task imports the file."),
        openapi_extra=_FILE,
    )(_importing(_kind))
