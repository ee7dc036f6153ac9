"""Decorators that turn an operation into a method of a store.

A port says what a method promises, an operation does it, and `operations/store.py` says which
operation each method is. The decorators connect them: the method passes its arguments to the writer
or the pool of readers, with the operation to run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.session.connection import DbReader
from tillbell.storage.session.idempotency import request_key
from tillbell.storage.session.request_act import request_act
from tillbell.storage.session.transaction import DbTransaction, Operation

P = ParamSpec("P")
T = TypeVar("T")
Request = TypeVar("Request")
Result = TypeVar("Result")


class HasReaders(Protocol):
    """A database that reads."""

    readers: ReadPool


class HasWriter(Protocol):
    """A database that writes."""

    writer: Writer


class HasHousekeeper(Protocol):
    """A database that writes what no request waits for on a connection beside the writer's."""

    housekeeper: Writer


def read(
    query: Callable[Concatenate[DbReader, P], T],
) -> Callable[Concatenate[HasReaders, P], Coroutine[Any, Any, T]]:
    """Make a method of a query: it has a thread and a connection to itself while it runs."""

    @wraps(query)
    async def method(database: HasReaders, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await database.readers.read(query, *args, **kwargs)

    return method


def read_batched(
    query: Callable[Concatenate[DbReader, P], T],
) -> Callable[Concatenate[HasReaders, P], Coroutine[Any, Any, T]]:
    """Make a method of a look-up of some ten microseconds: many are answered together."""

    @wraps(query)
    async def method(database: HasReaders, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await database.readers.read_batched(query, *args, **kwargs)

    return method


def write(
    *, optimistic: bool = False, no_timeout: bool = False
) -> Callable[
    [Callable[Concatenate[DbTransaction, P], T]],
    Callable[Concatenate[HasWriter, P], Coroutine[Any, Any, T]],
]:
    """Make a method of a function that does one write. For the options see `Operation`."""

    def decorate(
        function: Callable[Concatenate[DbTransaction, P], T],
    ) -> Callable[Concatenate[HasWriter, P], Coroutine[Any, Any, T]]:
        operation = _single_operation(function, optimistic=optimistic, no_timeout=no_timeout)

        @wraps(function)
        async def method(database: HasWriter, /, *args: P.args, **kwargs: P.kwargs) -> T:
            result: T = await database.writer.submit(
                operation, (args, kwargs), request_key(), request_act()
            )
            return result

        return method

    return decorate


def write_by_housekeeper(
    *, no_timeout: bool = False
) -> Callable[
    [Callable[Concatenate[DbTransaction, P], T]],
    Callable[Concatenate[HasHousekeeper, P], Coroutine[Any, Any, T]],
]:
    """Make a method of a function that does one write for which no publisher is to wait.

    On a database with one writer it is that one. Writes of the two may overlap, as those of two
    processes.
    """

    def decorate(
        function: Callable[Concatenate[DbTransaction, P], T],
    ) -> Callable[Concatenate[HasHousekeeper, P], Coroutine[Any, Any, T]]:
        operation = _single_operation(function, optimistic=False, no_timeout=no_timeout)

        @wraps(function)
        async def method(database: HasHousekeeper, /, *args: P.args, **kwargs: P.kwargs) -> T:
            result: T = await database.housekeeper.submit(operation, (args, kwargs))
            return result

        return method

    return decorate


def _single_operation(
    function: Callable[Concatenate[DbTransaction, P], T], *, optimistic: bool, no_timeout: bool
) -> Operation:
    def run(db: DbTransaction, requests: Sequence[Any]) -> list[T]:
        return [function(db, *args, **kwargs) for args, kwargs in requests]

    return Operation(function.__name__, run, optimistic=optimistic, no_timeout=no_timeout)


def write_batched(
    *, no_timeout: bool = False
) -> Callable[
    [Callable[[DbTransaction, Sequence[Request]], Sequence[Result]]],
    Callable[[HasWriter, Request], asyncio.Future[Result]],
]:
    """Make a method of a function that does many equal writes of one commit at once.

    It gets all their requests and returns a result for each. The method is a plain function, which
    queues the write at once: a caller need not wait, and no task is made for each.
    """

    def decorate(
        function: Callable[[DbTransaction, Sequence[Request]], Sequence[Result]],
    ) -> Callable[[HasWriter, Request], asyncio.Future[Result]]:
        operation = Operation(
            function.__name__, function, batched=True, optimistic=True, no_timeout=no_timeout
        )

        @wraps(function)
        def method(database: HasWriter, request: Request, /) -> asyncio.Future[Result]:
            if no_timeout:  # no request waits for it, so it carries nothing of one
                return database.writer.submit(operation, request)
            return database.writer.submit(operation, request, request_key(), request_act())

        return method

    return decorate
