"""Constructors of named tuples for the hot path."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def by_keyword(record: Callable[P, R]) -> Callable[P, R]:
    """Return a named tuple's constructor that is fast with keyword arguments.

    Calling the class itself puts keywords into a dict first: 2.3 µs against 0.9 µs for 13 fields.
    """
    return cast("Callable[P, R]", MethodType(record.__new__, record))
