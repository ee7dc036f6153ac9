"""Lists from a replica: what only shows history need not be asked of the server that decides.

A replica lags, so it is asked for nothing that a decision rests on. While it does not answer, has
not got this version's tables yet, or is far behind, the primary is asked instead. How far behind it
is, the processes' signs of life say: one is stored each second, and comes to it like all else.
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
LINKS = 2
READ_TIMEOUT_S = 5.0  # for one list
RETRY_AFTER_S = 10.0  # after which a replica that did not answer is asked again
CHECK_EVERY_S = 5.0  # from one look at how far behind it is to the next
LAG_MAX: Micros = 30 * SECOND


class ReplicaReadPool(ReadPool):
    """Reads on a replica; on the primary while the replica is away.

    One read at a time finds out whether it is back; the others do not wait for it.
    """

    def __init__(
        self, connect: Callable[[], DbConnection], primary: ReadPool, clock: Clock
    ) -> None:
        super().__init__(lambda: _checked(connect()), LINKS, connects_now=False)
        self._primary = primary
        self._clock = clock
        self._again_at_s: float | None = None  # None: it answered
        self._look_at_s = 0.0

    async def read(
        self, query: Callable[Concatenate[DbReader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `query(db, …)` on a thread, with a connection to the replica or the primary."""
        if self._may_be_asked():
            try:
                result = await asyncio.wait_for(self._ask(query, *args, **kwargs), READ_TIMEOUT_S)
            except ConcurrentWrite:  # the primary deleted rows that only this read looked at
                pass
            except TimeoutError:
                self._note_away(f"No answer for {READ_TIMEOUT_S:g} s.")
            except StoreUnavailable as error:
                self._note_away(str(error))
            else:
                self._note_back()
                return result
        return await self._primary.read(query, *args, **kwargs)

    async def _ask(
        self, query: Callable[Concatenate[DbReader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        now_s = self._clock.monotonic()
        if now_s >= self._look_at_s:
            behind = self._clock.now() - await super().read(_last_heartbeat)
            if behind > LAG_MAX:
                raise StoreUnavailable(f"It is {behind // SECOND} s behind.")
            self._look_at_s = now_s + CHECK_EVERY_S
        return await super().read(query, *args, **kwargs)

    def _may_be_asked(self) -> bool:
        if self._again_at_s is None:
            return True
        now_s = self._clock.monotonic()
        if now_s < self._again_at_s:
            return False
        self._again_at_s = now_s + RETRY_AFTER_S
        return True

    def _note_away(self, why: str) -> None:
        if self._again_at_s is None:
            log_event("replica.unavailable", error=why)
        self._again_at_s = self._clock.monotonic() + RETRY_AFTER_S

    def _note_back(self) -> None:
        if self._again_at_s is not None:
            log_event("replica.available")
        self._again_at_s = None


class ReplicaLists(ListMethods):
    """`HistoryReads` from a replica."""

    def __init__(self, readers: ReadPool) -> None:
        self.readers = readers


def _last_heartbeat(db: DbReader) -> Micros:
    ((at,),) = db.query("last_heartbeat")
    return int(at)


def _checked(link: DbConnection) -> DbConnection:
    """Return a link to a replica that has this version's tables; else `StoreUnavailable`."""
    try:
        if not is_behind(link, "postgres"):
            return link
    except BaseException:
        link.close()
        raise
    link.close()
    raise StoreUnavailable("It has not got the tables of this version.")
