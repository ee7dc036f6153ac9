"""Cases that are data: one test goes through all of them and names every one that fails."""

from __future__ import annotations

import functools
import inspect
import reprlib
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pytest

_MESSAGE = 600  # characters of one failure's text
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80

_FAILURES = (Exception, pytest.fail.Exception, pytest.skip.Exception)


class Case(NamedTuple):
    """One row: the arguments of one call and how a failure is called."""

    name: str
    arguments: dict[str, Any]


def each(
    names: str | Sequence[str],
    rows: Iterable[Any],
    ids: Callable[[Any], str] | Iterable[str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call the test once for each row, like `pytest.mark.parametrize`, but as one test.

    All rows are tried; the test fails if one does, and names all that failed. Two of them one
    above the other give every pair. The rows share the test's fixtures, so a test whose fixtures
    hold state (a store, a clock, a folder) stays parametrised. A skip counts as a failure.

    Raises ValueError if there is no row.
    """
    argnames = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    cases = _cases(argnames, list(rows), ids)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        inner: Callable[..., None] = getattr(test, "called_for_each", test)
        inner_cases: list[Case] = getattr(test, "cases", [Case("", {})])
        every = [
            Case(f"{i.name} / {c.name}".removeprefix(" / "), {**i.arguments, **c.arguments})
            for c in cases
            for i in inner_cases
        ]
        return _looped(test, inner, every)

    return decorate


def _cases(
    argnames: list[str], rows: list[Any], ids: Callable[[Any], str] | Iterable[str] | None
) -> list[Case]:
    if not rows:
        raise ValueError(f"no cases of {', '.join(argnames)}")
    values = [[row] if len(argnames) == 1 else [*row] for row in rows]
    if ids is None:
        names = [", ".join(map(_shown, those)) for those in values]
    else:
        names = [ids(row) for row in rows] if callable(ids) else [*ids]
    if len(names) != len(rows):
        raise ValueError(f"{len(names)} names for {len(rows)} cases of {', '.join(argnames)}")
    return [
        Case(name, dict(zip(argnames, those, strict=True)))
        for name, those in zip(names, values, strict=True)
    ]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else _repr.repr(value)


def _looped(
    test: Callable[..., None], inner: Callable[..., None], cases: list[Case]
) -> Callable[..., None]:
    if inspect.iscoroutinefunction(inner):
        raise TypeError(f"{inner.__name__}: an asynchronous test is not looped over")

    @functools.wraps(test)
    def looped(**fixtures: Any) -> None:
        failures: list[tuple[str, BaseException]] = []
        for number, case in enumerate(cases, start=1):
            try:
                inner(**fixtures, **case.arguments)
            except _FAILURES as error:
                failures.append((f"{number}. {case.name}", error))
        if failures:
            lines = [f"{name}\n      {_told(error)}" for name, error in failures]
            heading = f"{len(failures)} of {len(cases)} cases failed:"
            raise AssertionError("\n  ".join([heading, *lines])) from failures[0][1]

    signature = inspect.signature(inner)
    fixtures = [p for p in signature.parameters.values() if p.name not in cases[0].arguments]
    looped.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
    looped.called_for_each = inner  # type: ignore[attr-defined]
    looped.cases = cases  # type: ignore[attr-defined]
    return looped


def _told(error: BaseException) -> str:
    """Return the kind and text of a failure, and the last line of the tests that led to it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/tests/" in f.filename]
    place = f" ({frames[-1].filename.rpartition('/tests/')[2]}:{frames[-1].lineno})"
    text = str(error)[:_MESSAGE].replace("\n", "\n      ")
    return f"{type(error).__name__}: {text}{place}"
