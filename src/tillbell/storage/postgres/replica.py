"""Lists from a replica, so that the primary has less to do.

A replica lags behind, so no decision may rest on what it says. The primary is read instead while
the replica does not answer, does not have the tables of this version yet, or lags too far behind.
Its lag is the age of the last heartbeat it has: the processes store one each second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from tillbell.clock import SECOND, Clock, Micros
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.operations.store import ListMethods
from tillbell.storage.session.connection import ConcurrentWrite, DbConnection, DbReader
from tillbell.storage.session.migrate import is_behind

P = ParamSpec("P")
T = TypeVar("T")
CONNECTIONS = 2
READ_TIMEOUT_S = 5.0  # for one list
RETRY_AFTER_S = 10.0  # after the replica has failed
CHECK_EVERY_S = 5.0  # of its lag
LAG_MAX: Micros = 30 * SECOND


class ReplicaReadPool(ReadPool):
    """Reads on a replica, or on the primary while the replica is unavailable.

    One read at a time tries whether it is back; the others do not wait for it.
    """

    def __init__(
        self, connect: Callable[[], DbConnection], primary: ReadPool, clock: Clock
    ) -> None:
        super().__init__(lambda: _checked(connect()), CONNECTIONS, connects_now=False)
        self._primary = primary
        self._clock = clock
        self._retry_at_s: float | None = None  # None: it is available
        self._check_at_s = 0.0

    async def read(
        self, query: Callable[Concatenate[DbReader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `query(db, …)` on a thread, with a connection to the replica or the primary."""
        if self._may_be_read():
            try:
                result = await asyncio.wait_for(
                    self._read_replica(query, *args, **kwargs), READ_TIMEOUT_S
                )
            except ConcurrentWrite:  # the primary deleted rows that only this read looked at
                pass
            except TimeoutError:
                self._note_unavailable(f"No answer for {READ_TIMEOUT_S:g} s.")
            except StoreUnavailable as error:
                self._note_unavailable(str(error))
            else:
                self._note_available()
                return result
        return await self._primary.read(query, *args, **kwargs)

    async def _read_replica(
        self, query: Callable[Concatenate[DbReader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        now_s = self._clock.monotonic()
        if now_s >= self._check_at_s:
            lag = self._clock.now() - await super().read(_last_heartbeat)
            if lag > LAG_MAX:
                raise StoreUnavailable(f"It is {lag // SECOND} s behind.")
            self._check_at_s = now_s + CHECK_EVERY_S
        return await super().read(query, *args, **kwargs)

    def _may_be_read(self) -> bool:
        if self._retry_at_s is None:
            return True
        now_s = self._clock.monotonic()
        if now_s < self._retry_at_s:
            return False
        self._retry_at_s = now_s + RETRY_AFTER_S
        return True

    def _note_unavailable(self, why: str) -> None:
        if self._retry_at_s is None:
            log_event("replica.unavailable", error=why)
        self._retry_at_s = self._clock.monotonic() + RETRY_AFTER_S

    def _note_available(self) -> None:
        if self._retry_at_s is not None:
            log_event("replica.available")
        self._retry_at_s = None


class ReplicaLists(ListMethods):
    """`HistoryReads` from a replica."""

    def __init__(self, readers: ReadPool) -> None:
        self.readers = readers


def _last_heartbeat(db: DbReader) -> Micros:
    ((at,),) = db.query("last_heartbeat")
    return int(at)


def _checked(connection: DbConnection) -> DbConnection:
    """Return a connection to a replica with the tables of this version; else `StoreUnavailable`."""
    try:
        if not is_behind(connection, "postgres"):
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    raise StoreUnavailable("It does not have the tables of this version yet.")
