"""Lists in pages, as the Svix API cuts them.

`iterator` is the last id of a page; with it a caller asks for the next page. `prevIterator` is
the first id with `-` in front; with it a caller asks for the page before. Callers pass both on
as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, NamedTuple, Protocol, TypeVar

from fastapi import Depends, Query

from tillbell.storage.ports.outbound import Page
from tillbell.web.api.shapes import Listed, Ordering
from tillbell.web.edge.patterns import ITERATOR


class Identified(Protocol):
    """Anything that has an id of ours."""

    @property
    def id(self) -> str:
        """The id, by which lists are sorted."""
        ...


T = TypeVar("T")
Row = TypeVar("Row", bound=Identified)
Shape = TypeVar("Shape")

_BATCHES_MAX = 20  # batches that are read for one page when a filter drops most rows
_BATCH = 250  # rows of such a batch

Fetch = Callable[[Page], Awaitable[Sequence[T]]]
Keep = Callable[[T], Awaitable[bool]]

Limit = Annotated[int, Query(ge=1, le=250)]
Iterator = Annotated[str | None, Query(pattern=ITERATOR, max_length=80)]


async def page_of(limit: Limit = 50, iterator: Iterator = None) -> Page:
    """Read `limit` and `iterator` from the query; newest first."""
    return _page(limit, iterator)


async def ordered_page_of(
    limit: Limit = 50, iterator: Iterator = None, order: Ordering | None = None
) -> Page:
    """Read `limit`, `iterator` and `order` from the query; newest first by default."""
    return _page(limit, iterator)._replace(ascending=order is Ordering.ASCENDING)


async def ascending_page_of(
    limit: Limit = 50,
    iterator: Iterator = None,
    order: Annotated[
        Ordering | None,
        Query(description="Whether the oldest or the newest comes first; oldest by default."),
    ] = None,
) -> Page:
    """Read `limit`, `iterator` and `order` from the query; oldest first by default."""
    return _page(limit, iterator)._replace(ascending=order is not Ordering.DESCENDING)


def _page(limit: int, iterator: str | None) -> Page:
    is_backwards = iterator is not None and iterator.startswith("-")
    return Page(limit, iterator.lstrip("-") if iterator else None, is_backwards)


PageOf = Annotated[Page, Depends(page_of)]
OrderedPageOf = Annotated[Page, Depends(ordered_page_of)]
AscendingPageOf = Annotated[Page, Depends(ascending_page_of)]


class ListPage(NamedTuple, Generic[T]):
    """One page of rows, and where the pages beside it begin."""

    rows: list[T]
    iterator: str | None
    prev_iterator: str | None
    done: bool
    searched: int | None = None  # rows that were looked at, if that ended the page

    def with_rows(self, rows: list[Shape]) -> ListPage[Shape]:
        """Return the page with what was made of its rows."""
        return ListPage(rows, self.iterator, self.prev_iterator, self.done, self.searched)

    def showing(self, data: list[Shape]) -> Listed[Shape]:
        """Return the answer with this data for its rows."""
        return Listed(
            data=data,
            iterator=self.iterator,
            prev_iterator=self.prev_iterator,
            done=self.done,
            searched=self.searched,
        )

    def document(self, data: list[Any]) -> dict[str, Any]:
        """Return the answer as plain JSON values, whose data may hold raw parts."""
        document = {
            "data": data,
            "iterator": self.iterator,
            "done": self.done,
            "prevIterator": self.prev_iterator,
        }
        return document if self.searched is None else document | {"searched": self.searched}


async def listed(
    fetch: Fetch[Row],
    page: Page,
    shape: Callable[[Row], Shape],
    keep: Keep[Row] | None = None,
) -> Listed[Shape]:
    """Answer with one page of records, each in the shape that callers see.

    `keep` filters rows that the store cannot filter. See `filtered_page`.
    """
    if keep is None:
        cut = await list_page(fetch, page, row_id)
    else:
        cut = await filtered_page(fetch, page, row_id, keep)
    return cut.showing([shape(row) for row in cut.rows])


def row_id(row: Identified) -> str:
    """Return a row's own id."""
    return row.id


async def list_page(fetch: Fetch[T], page: Page, id_of: Callable[[T], str]) -> ListPage[T]:
    """Fetch one page, and one row more to learn whether another page follows."""
    rows = list(await fetch(page._replace(limit=page.limit + 1)))
    return cut_page(rows, page, id_of)


def cut_page(rows: list[T], page: Page, id_of: Callable[[T], str]) -> ListPage[T]:
    """Cut a page from its rows, in the order of the list, and perhaps one row more."""
    done = len(rows) <= page.limit
    if not done:
        rows = rows[-page.limit :] if page.backwards else rows[: page.limit]
    first = f"-{id_of(rows[0])}" if rows else None
    last = id_of(rows[-1]) if rows else page.iterator
    return ListPage(rows, last, first, done)


async def filtered_page(
    fetch: Fetch[T], page: Page, id_of: Callable[[T], str], keep: Keep[T]
) -> ListPage[T]:
    """Fetch one page of the rows that `keep` accepts.

    Reads a batch as long as the page, and then at most 19 of 250 rows. A page may be short or
    empty although `done` is false: the next page may have more.
    """
    accepted: list[T] = []
    batch = page._replace(limit=min(page.limit + 1, _BATCH))  # it may be all that is needed
    for _ in range(_BATCHES_MAX):
        rows = list(await fetch(batch))
        matching = [row for row in rows if await keep(row)]
        accepted = matching + accepted if page.backwards else accepted + matching
        if len(rows) < batch.limit or len(accepted) > page.limit:
            return cut_page(accepted, page, id_of)
        last = id_of(rows[0] if page.backwards else rows[-1])
        batch = batch._replace(limit=_BATCH, iterator=last)
    return cut_page(accepted, page, id_of)._replace(iterator=batch.iterator, done=False)


def in_memory_page(rows: Sequence[T], page: Page, id_of: Callable[[T], str]) -> ListPage[T]:
    """Cut one page from a list that is whole in memory."""
    ordered = sorted(rows, key=id_of, reverse=not page.ascending)
    if page.iterator is not None:
        before = [row for row in ordered if _precedes(id_of(row), page)]
        after = [row for row in ordered[len(before) :] if id_of(row) != page.iterator]
        ordered = before if page.backwards else after
    limit = page.limit + 1
    return cut_page(ordered[-limit:] if page.backwards else ordered[:limit], page, id_of)


def _precedes(id_: str, page: Page) -> bool:
    assert page.iterator is not None
    return id_ < page.iterator if page.ascending else id_ > page.iterator
