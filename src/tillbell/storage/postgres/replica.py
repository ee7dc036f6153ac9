"""Lists from a replica: what only shows history need not be asked of the server that decides.

A replica lags, so it is asked for nothing that a decision rests on. While it does not answer, has
not got this version's tables yet, or is far behind, the primary is asked instead. How far behind it
is, the processes' signs of life say: one is stored each second, and comes to it like all else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from tillbell.clock import SECOND, Clock, Micros
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.storage.engine.book_methods import InboundListsMethods
from tillbell.storage.engine.methods import OutboundListsMethods
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.operations.message_reads import Reader
from tillbell.storage.session.connection import ConcurrentWrite, DbConnection
from tillbell.storage.session.migrate import is_behind

T = TypeVar("T")
LINKS = 2
PATIENCE_S = 5.0  # for one list
RETRY_AFTER_S = 10.0  # after which a replica that did not answer is asked again
CHECK_EVERY_S = 5.0  # from one look at how far behind it is to the next
LAG_MAX: Micros = 30 * SECOND


class ReplicaReadPool(ReadPool):
    """Reads on a replica; on the primary while the replica is away.

    Whether it is back is found out by one read at a time: the others do not wait for it.
    """

    def __init__(
        self, connect: Callable[[], DbConnection], primary: ReadPool, clock: Clock
    ) -> None:
        super().__init__(lambda: _checked(connect()), LINKS, connects_now=False)
        self._primary = primary
        self._clock = clock
        self._again_at_s: float | None = None  # None: it answered
        self._look_at_s = 0.0

    async def read(self, query: Callable[..., T], *arguments: Any) -> T:
        """See `ReadPool.read`."""
        if self._may_be_asked():
            try:
                found = await asyncio.wait_for(self._ask(query, *arguments), PATIENCE_S)
            except (
                ConcurrentWrite
            ):  # what the primary deleted went from under this read, and only this one
                pass
            except TimeoutError:
                self._note_away(f"No answer for {PATIENCE_S:g} s.")
            except StoreUnavailable as error:
                self._note_away(str(error))
            else:
                self._note_back()
                return found
        return await self._primary.read(query, *arguments)

    async def _ask(self, query: Callable[..., T], *arguments: Any) -> T:
        now_s = self._clock.monotonic()
        if now_s >= self._look_at_s:
            behind = self._clock.now() - await super().read(_last_sign_of_life)
            if behind > LAG_MAX:
                raise StoreUnavailable(f"It is {behind // SECOND} s behind.")
            self._look_at_s = now_s + CHECK_EVERY_S
        return await super().read(query, *arguments)

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


class ReplicaLists(OutboundListsMethods, InboundListsMethods):
    """`HistoryReads` by whatever reads."""

    def __init__(self, readers: ReadPool) -> None:
        self._readers = readers


def _last_sign_of_life(reader: Reader) -> Micros:
    ((seen_at,),) = reader("last_heartbeat")
    return int(seen_at)


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
