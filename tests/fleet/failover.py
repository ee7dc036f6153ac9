"""A primary with a synchronous standby, and one address for whichever of them serves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from bench.postgres_server import PostgresServer

from tests.fleet.replica import Replica, until
from tests.patience import PATIENCE_S

T = TypeVar("T")


class Address:
    """A port that stays the same: it passes everything on to a port behind it.

    On a thread of its own, because gateways connect from their loop.
    """

    def __init__(self, behind: int) -> None:
        self.behind = behind
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._lines: set[asyncio.Task[None]] = set()
        self._server = self._do(self._listen())
        self.port = int(self._server.sockets[0].getsockname()[1])

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", 0)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = self._loop.create_task(self._pass_on(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            there, to_there = await asyncio.open_connection("127.0.0.1", self.behind)
            writers.append(to_there)
            ways = [_copy(reader, to_there), _copy(there, writer)]
            await asyncio.wait(map(self._loop.create_task, ways), return_when="FIRST_COMPLETED")
        except OSError:
            pass  # nobody is there: those who ask are told by the end of their connection
        finally:
            for one in writers:
                one.transport.abort()

    def close(self) -> None:
        """End all connections."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()


class Primary(PostgresServer):
    """One that dies."""

    def die(self) -> None:
        """Kill all its processes, the first one first: it would start others anew."""
        first = self.pid
        all_of_it = [first, *_children(first)]
        for pid in all_of_it:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(_lives, all_of_it)))
        (self._data / "postmaster.pid").unlink()  # there is nothing to stop


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


class Pair:
    """What is committed is on both before anybody hears of it."""

    def __init__(self, bin_: Path) -> None:
        self.primary = Primary(bin_, is_durable=True)
        self.standby = Replica(self.primary, bin_)
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.execute("SELECT pg_reload_conf()")
        how = "SELECT sync_state FROM pg_stat_replication"
        until(lambda: self.primary.execute(how) == [("sync",)])
        self._address = Address(self.primary.port)
        self.url = f"postgresql://postgres@127.0.0.1:{self._address.port}/postgres"

    def promote(self) -> None:
        """Make the standby the primary, then lead everybody to it."""
        assert self.standby.execute("SELECT pg_promote(true, 60)") == [(True,)]
        self._address.behind = self.standby.port

    def remove(self) -> None:
        """End both."""
        self._address.close()
        self.standby.remove()
        self.primary.remove()
