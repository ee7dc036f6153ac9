"""Pages: how a list is cut, as bounds on ids."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from tillbell.clock import Micros
from tillbell.ids import first_of
from tillbell.storage.ports.outbound import Page

T = TypeVar("T")
LAST = "~"  # sorts after every id


class PageBounds(NamedTuple):
    """A page as bounds on ids, both exclusive."""

    low: str
    high: str
    order: str  # the form of the statement: a page backwards is read the other way round
    is_backwards: bool
    limit: int

    @property
    def bindings(self) -> dict[str, Any]:
        """What the statements bind."""
        return {"low": self.low, "high": self.high, "limit": self.limit}

    def in_list_order(self, items: list[T]) -> list[T]:
        """Put what the statement gave into the order of the list."""
        return items[::-1] if self.is_backwards else items


def page_bounds(
    page: Page, prefix: str = "", after: Micros | None = None, before: Micros | None = None
) -> PageBounds:
    """Return the bounds of a page whose ids were made in `after` ≤ time < `before`."""
    low = first_of(prefix, after) if after is not None else ""
    high = first_of(prefix, before) if before is not None else LAST
    is_ascending = page.ascending is not page.backwards
    if page.iterator is not None and is_ascending:
        low = max(low, page.iterator)
    elif page.iterator is not None:
        high = min(high, page.iterator)
    order = "ascending" if is_ascending else "descending"
    return PageBounds(low, high, order, page.backwards, page.limit)
