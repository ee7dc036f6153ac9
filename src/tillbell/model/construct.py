"""Fast ways to make named tuples, for the hot path."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=tuple[Any, ...])


def by_keyword(record: Callable[P, R]) -> Callable[P, R]:
    """Return a named tuple's constructor that is fast with keyword arguments.

    Calling the class itself puts keywords into a dict first: 2.3 µs against 0.9 µs for 13 fields.
    """
    return cast("Callable[P, R]", MethodType(record.__new__, record))


def with_quick_replace(record: type[T]) -> type[T]:
    """Give a class of named tuples a faster `_replace`: 1.4 µs against 4.4 µs for 43 fields.

    Python's own goes through the names of all fields. A name that is no field is a `KeyError`.
    """
    places = {name: place for place, name in enumerate(record._fields)}  # type: ignore[attr-defined]
    make = tuple.__new__

    def replaced(values: tuple[Any, ...], /, **changes: Any) -> T:
        new_values = list(values)
        for name, value in changes.items():
            new_values[places[name]] = value
        return cast("T", make(cast("type[tuple[Any, ...]]", record), new_values))

    record._replace = replaced  # type: ignore[attr-defined]
    return record
