"""What a filter asks of the store: clauses with values that are checked and exact.

All clauses of a filter must hold; of the matches of one clause any is enough. Names that only the
configuration knows (applications, endpoints, sources) are ids here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from tillbell.clock import Micros


class FilterList(StrEnum):
    """The lists that take a filter."""

    MESSAGE = "message"
    DELIVERY = "delivery"
    ATTEMPT = "attempt"
    CALLBACK = "callback"
    CONFLICT = "conflict"
    TRANSACTION = "transaction"
    ENDPOINT = "endpoint"
    AUDIT = "audit"
    ORDER = "order"
    PRODUCT = "product"
    CUSTOMER = "customer"
    SUBSCRIPTION = "subscription"
    SHIPMENT = "shipment"


class OneOf(NamedTuple):
    """A text is one of these."""

    values: tuple[str, ...]


class StartsWith(NamedTuple):
    """A text begins like this."""

    prefix: str


class Within(NamedTuple):
    """A number is in this range, ends included. It is empty if `low` is above `high`."""

    low: int
    high: int


class AmountWithin(NamedTuple):
    """An amount in minor units is in this range, and its currency is one of these."""

    currencies: tuple[str, ...]
    low: int
    high: int


class AtPath(NamedTuple):
    """What stands at a path of the payload compares like this to a text or number."""

    path: tuple[str, ...]
    comparison: str  # "", ">=", ">", "<=", "<"
    text: str
    is_prefix: bool = False


Match = OneOf | StartsWith | Within | AmountWithin | AtPath


class Clause(NamedTuple):
    """One condition: the field matches any of these; negated: none of them."""

    field: str
    matches: tuple[Match, ...]
    is_negated: bool = False


class ListFilter(NamedTuple):
    """Which rows of a list are wanted: `after` ≤ time of the id < `before`, and all clauses."""

    clauses: tuple[Clause, ...] = ()
    after: Micros | None = None
    before: Micros | None = None

    def and_(self, *clauses: Clause) -> ListFilter:
        """Return the filter with more clauses."""
        return self._replace(clauses=self.clauses + clauses)


_MATCHES: Mapping[str, Callable[..., Match]] = {
    kind.__name__: kind for kind in (OneOf, StartsWith, Within, AmountWithin, AtPath)
}


def to_plain(filter_: ListFilter) -> dict[str, Any]:
    """Write a filter as JSON values, so that a task goes on with what it was begun with."""
    clauses = [
        [field, [[type(match).__name__, *match] for match in matches], is_negated]
        for field, matches, is_negated in filter_.clauses
    ]
    return {"clauses": clauses, "after": filter_.after, "before": filter_.before}


def from_plain(plain: dict[str, Any]) -> ListFilter:
    """Read what `to_plain` has written.

    >>> filter_ = ListFilter((one_of("tag", "a"),), after=1)
    >>> from_plain(to_plain(filter_)) == filter_
    True
    """
    clauses = tuple(
        Clause(field, tuple(map(_match, matches)), negated)
        for field, matches, negated in plain["clauses"]
    )
    return ListFilter(clauses, plain["after"], plain["before"])


def _match(plain: list[Any]) -> Match:
    name, *values = plain
    return _MATCHES[name](*[tuple(v) if isinstance(v, list) else v for v in values])


def one_of(field: str, *values: str) -> Clause:
    """Return the clause that a field is one of some texts."""
    return Clause(field, (OneOf(values),))
