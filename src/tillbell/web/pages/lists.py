"""What list pages share: one page of rows, the pages beside it, and the rows as CSV or JSON."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.responses import Response

from tillbell.errors import Forbidden
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.csv_text import MEDIA_TYPE, csv_text
from tillbell.web.api.paging import ListPage
from tillbell.web.edge.patterns import ITERATOR
from tillbell.web.pages.filter_line import FilterLine
from tillbell.web.pages.formats import number
from tillbell.web.pages.page import SECURITY_HEADERS, Visit
from tillbell.web.pages.sorting import in_time_order, is_oldest_first

PER_PAGE = 50
EXPORT_MAX = 10_000  # rows
_EXPORT_BATCH = 250

Row = TypeVar("Row")
Fetch = Callable[[Page], Awaitable[ListPage[Row]]]


class Listing(NamedTuple):
    """One page of a list, as templates need it."""

    path: str
    line: FilterLine | None  # None: this list takes no filter
    newer: str | None  # iterator of the page before
    older: str | None  # iterator of the page after
    is_first: bool
    opens: str  # begin of a link that opens a row beside the list; its id follows
    note: str = ""  # what the reader must know about these rows, e.g. how far was searched
    is_oldest_first: bool = False

    @property
    def is_filtered(self) -> bool:
        """Tell whether the reader sees a part of the list."""
        return bool(self.line and self.line.text) or not self.is_first

    @property
    def is_whole(self) -> bool:
        """Tell whether these are all rows."""
        return self.newer is None and self.older is None

    @property
    def position(self) -> str:
        """Say where in the list this page is."""
        if self.is_whole:
            return "All of them"
        first, later = ("oldest", "Newer") if self.is_oldest_first else ("newest", "Older")
        return f"The {first}" if self.is_first else f"{later} ones"

    @property
    def is_newest(self) -> bool:
        """Tell whether what happens now belongs above these rows."""
        return self.is_first and not self.is_oldest_first


def page_of(visit: Visit, limit: int = PER_PAGE) -> Page:
    """Return which page the URL asks for; the first one if what it says is no iterator."""
    iterator = visit.query("iterator")
    if not re.fullmatch(ITERATOR, iterator):
        return Page(limit)
    return Page(limit, iterator.lstrip("-"), iterator.startswith("-"))


def page_by_time(visit: Visit) -> Page:
    """Return the same of a list by time, in the direction that the URL asks for."""
    return in_time_order(visit, page_of(visit))


def all_of(rows: Sequence[Row]) -> Fetch[Row]:
    """Return what reads a list that is one page."""

    async def fetch(page: Page) -> ListPage[Row]:
        del page
        return ListPage(list(rows), None, None, done=True)

    return fetch


def nothing() -> ListPage[Any]:
    """Return a page without rows: that of a filter that cannot be read."""
    return ListPage([], None, None, done=True)


def listing_of(
    visit: Visit, rows: ListPage[Any], page: Page, line: FilterLine | None = None
) -> Listing:
    """Return what templates need to know about a page of rows."""
    is_first = page.iterator is None or (page.backwards and rows.done)
    has_older = page.backwards or not rows.done
    return Listing(
        path=visit.request.url.path,
        line=line,
        newer=None if is_first else rows.prev_iterator,
        older=rows.iterator if has_older else None,
        is_first=is_first,
        opens=_opens(visit),
        note=_note(rows),
        is_oldest_first=page.ascending,
    )


def _note(rows: ListPage[Any]) -> str:
    if rows.searched is None:
        return ""
    if rows.done:
        return f"The newest {number(rows.searched)} are sorted; filter to see others."
    return f"Searched {number(rows.searched)} rows; the next page goes on from there."


def _opens(visit: Visit) -> str:
    here = visit.here(open=None, of=None)
    return f"{here}{'&' if '?' in here else '?'}open="


async def export(
    visit: Visit,
    name: str,
    fetch: Fetch[Row],
    columns: Sequence[str],
    cells: Callable[[Row], Iterable[object]],
) -> Response | None:
    """Answer with all rows of this filter if the URL asks for `format=csv` or `json`; else None.

    At most 10 000 rows: the answer says in a header whether more would follow. `name` is that of
    one row. The audit log has an entry of the export.
    """
    format_ = visit.query("format")
    if format_ not in ("csv", "json"):
        return None
    if visit.why_no_export is not None:
        raise Forbidden(visit.why_no_export)
    query = {"filter": visit.query("filter"), "format": format_}
    query |= {"q": text} if (text := visit.query("q")) else {}
    await visit.gateway.config_cache.note_export(name, visit.app_id, query)
    rows, is_whole = await _read_all(fetch, is_oldest_first=is_oldest_first(visit))
    tables = [list(cells(row)) for row in rows]
    if format_ == "csv":
        body, media_type = csv_text(columns, tables), MEDIA_TYPE
    else:
        documents = [dict(zip(columns, table, strict=True)) for table in tables]
        body = b"\n".join(msgspec.json.encode(document) for document in documents) + b"\n"
        media_type = "application/x-ndjson"
    headers = SECURITY_HEADERS | {
        "content-disposition": f'attachment; filename="{name}.{format_}"',
        "rows-complete": "yes" if is_whole else "no",
    }
    return Response(body, 200, headers, media_type=media_type)


async def _read_all(fetch: Fetch[Row], *, is_oldest_first: bool) -> tuple[list[Row], bool]:
    """Read rows page after page; return them, and whether they are all."""
    rows: list[Row] = []
    page = Page(_EXPORT_BATCH, ascending=is_oldest_first)
    while len(rows) < EXPORT_MAX:
        read = await fetch(page)
        rows += read.rows
        if read.done:
            return rows, True
        page = page._replace(iterator=read.iterator)
    return rows, False
