"""The order of a list: `?sort=name` is ascending, `?sort=-name` descending.

Lists that may be long have an order by time in both directions, which is that of an index. Lists
that are short are sorted as a whole by any of their columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from tillbell.storage.ports.outbound import Page
from tillbell.web.pages.page import Visit

TIME = "time"
Row = TypeVar("Row")
Keys = Mapping[str, Callable[[Row], Any]]  # by the name of a column; None comes first


def is_oldest_first(visit: Visit) -> bool:
    """Tell whether a list by time begins with the oldest."""
    return visit.query("sort") == TIME


def in_time_order(visit: Visit, page: Page) -> Page:
    """Return the page in the direction of time that the URL asks for."""
    return page._replace(ascending=is_oldest_first(visit))


def sorted_rows(visit: Visit, rows: Iterable[Row], keys: Keys[Row]) -> list[Row]:
    """Return all rows of a list in the order that the URL asks for; as they are if in none."""
    asked = visit.query("sort")
    key = keys.get(asked.removeprefix("-"))
    if key is None:
        return list(rows)

    def place(row: Row) -> tuple[bool, Any]:
        value = key(row)
        return value is not None, value.casefold() if isinstance(value, str) else value

    return sorted(rows, key=place, reverse=asked.startswith("-"))
