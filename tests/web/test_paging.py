"""Cutting lists into pages, whatever they are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import ListPage, filtered_page, in_memory_page, list_page

ids = st.lists(st.integers(0, 999), unique=True, max_size=60).map(
    lambda numbers: sorted(f"x_{number:03}" for number in numbers)
)


def store_of(rows: list[str]) -> Callable[[Page], Awaitable[Sequence[str]]]:
    """Cut as the stores do: at most `limit` after the iterator, or before it, in list order."""

    async def fetch(page: Page) -> Sequence[str]:
        ordered = rows if page.ascending else rows[::-1]
        if page.iterator is None:
            return ordered[-page.limit :] if page.backwards else ordered[: page.limit]
        before = [
            r for r in ordered if (r < page.iterator) is page.ascending and r != page.iterator
        ]
        after = [r for r in ordered[len(before) :] if r != page.iterator]
        return before[-page.limit :] if page.backwards else after[: page.limit]

    return fetch


async def keep_even(row: str) -> bool:
    return int(row[2:]) % 2 == 0


async def cut_by(way: str, rows: list[str], page: Page) -> ListPage[str]:
    if way == "stored":
        return await list_page(store_of(rows), page, str)
    if way == "filtered":
        return await filtered_page(store_of(rows), page, str, keep_even)
    return in_memory_page(rows, page, str)


@given(
    rows=ids,
    limit=st.integers(1, 9),
    ascending=st.booleans(),
    way=st.sampled_from(["stored", "filtered", "in memory"]),
)
async def test_forth_and_back_show_every_row_once_in_order(
    rows: list[str], limit: int, ascending: bool, way: str
) -> None:
    wanted = [row for row in rows if way != "filtered" or await keep_even(row)]
    wanted = wanted if ascending else wanted[::-1]
    pages = []
    page = Page(limit, ascending=ascending)
    while True:
        found = await cut_by(way, rows, page)
        pages.append(found)
        if found.done:
            break
        page = page._replace(iterator=found.iterator)
    assert [row for found in pages for row in found.rows] == wanted

    for earlier, later in pairwise(pages):
        assert later.prev_iterator is not None
        page = Page(limit, later.prev_iterator.removeprefix("-"), True, ascending)
        assert (await cut_by(way, rows, page)).rows == earlier.rows


async def test_a_filter_that_lets_nothing_through_reads_a_bounded_number_of_pages() -> None:
    rows = [f"x_{number:05}" for number in range(1, 20_001, 2)]
    found = await filtered_page(store_of(rows), Page(10, ascending=True), str, keep_even)
    assert (found.rows, found.done, found.iterator) == ([], False, rows[10 + 19 * 250])
