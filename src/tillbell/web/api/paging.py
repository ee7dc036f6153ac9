"""Lists in pages, as the Svix API cuts them.

`iterator` is the last id of the page and asks for what follows; `prevIterator` is the first
id with `-` before it and asks for what precedes. Both may be opaque to callers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from fastapi import Depends, Query

from tillbell.storage.ports.outbound import Page
from tillbell.web.api.shapes import Ordering

T = TypeVar("T")

ITERATOR = r"^-?[a-z]+_[0-9a-z]+$"
_BATCHES_MAX = 20  # pages read to fill one of ours when most rows are filtered out

Fetch = Callable[[Page], Awaitable[Sequence[T]]]

Limit = Annotated[int, Query(ge=1, le=250)]
Iterator = Annotated[str | None, Query(pattern=ITERATOR, max_length=80)]


async def page_of(limit: Limit = 50, iterator: Iterator = None) -> Page:
    """Read `limit` and `iterator`; newest first."""
    return _page(limit, iterator)


def _page(limit: int, iterator: str | None) -> Page:
    is_backwards = iterator is not None and iterator.startswith("-")
    return Page(limit, iterator.lstrip("-") if iterator else None, is_backwards)


async def ordered_page_of(
    limit: Limit = 50, iterator: Iterator = None, order: Ordering | None = None
) -> Page:
    """Read `limit`, `iterator` and `order`."""
    return _page(limit, iterator)._replace(ascending=order is Ordering.ASCENDING)


PageOf = Annotated[Page, Depends(page_of)]
OrderedPageOf = Annotated[Page, Depends(ordered_page_of)]


class ListPage(NamedTuple, Generic[T]):
    """One page of things, and how to go on from it."""

    rows: list[T]
    iterator: str | None
    prev_iterator: str | None
    done: bool

    def shown(self, data: list[Any]) -> dict[str, Any]:
        """Return the answer, by the names of its shape."""
        return {
            "data": data,
            "iterator": self.iterator,
            "prev_iterator": self.prev_iterator,
            "done": self.done,
        }


async def list_page(fetch: Fetch[T], page: Page, id_of: Callable[[T], str]) -> ListPage[T]:
    """Fetch one page and one more row, which tells whether there is another page."""
    rows = list(await fetch(page._replace(limit=page.limit + 1)))
    return _cut(rows, page, id_of)


def _cut(rows: list[T], page: Page, id_of: Callable[[T], str]) -> ListPage[T]:
    done = len(rows) <= page.limit
    if not done:
        rows = rows[-page.limit :] if page.backwards else rows[: page.limit]
    first = f"-{id_of(rows[0])}" if rows else None
    last = id_of(rows[-1]) if rows else page.iterator
    return ListPage(rows, last, first, done)


async def filtered_page(
    fetch: Fetch[T], page: Page, id_of: Callable[[T], str], keep: Callable[[T], Awaitable[bool]]
) -> ListPage[T]:
    """Do the same for rows that a filter lets through. Reads a bounded number of pages.

    A page may be short, or even empty, while `done` is false: then there is more behind it.
    """
    kept: list[T] = []
    batch = page._replace(limit=250)
    for _ in range(_BATCHES_MAX):
        rows = list(await fetch(batch))
        found = [row for row in rows if await keep(row)]
        kept = found + kept if page.backwards else kept + found
        if len(rows) < batch.limit or len(kept) > page.limit:
            return _cut(kept, page, id_of)
        batch = batch._replace(iterator=id_of(rows[0] if page.backwards else rows[-1]))
    return _cut(kept, page, id_of)._replace(iterator=batch.iterator, done=False)


def in_memory_page(rows: Sequence[T], page: Page, id_of: Callable[[T], str]) -> ListPage[T]:
    """Cut a list that is in memory as a whole."""
    ordered = sorted(rows, key=id_of, reverse=not page.ascending)
    if page.iterator is not None:
        before = [row for row in ordered if _precedes(id_of(row), page)]
        after = [row for row in ordered[len(before) :] if id_of(row) != page.iterator]
        ordered = before if page.backwards else after
    limit = page.limit + 1
    return _cut(ordered[-limit:] if page.backwards else ordered[:limit], page, id_of)


def _precedes(id_: str, page: Page) -> bool:
    assert page.iterator is not None
    return id_ < page.iterator if page.ascending else id_ > page.iterator
