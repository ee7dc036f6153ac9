"""The supervisor: several processes behind one port, each a whole gateway on the shared store.

The supervisor binds the port, starts the processes one after the other (the first may have to
create tables and a key), restarts those that die, and passes signals on. It serves no requests.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tillbell.config import LoadedSettings, environment_of_child
from tillbell.logs import log_event
from tillbell.web.server.uvicorn_server import ReadinessListener, StopSignals, bind, notify_ready

RESTART_AFTER_S = 1.0  # pause before a process that died is restarted
START_TIMEOUT_S = 120.0  # for a process to become ready


async def supervise(loaded: LoadedSettings) -> int:
    """Run until a signal comes; return the exit code."""
    settings = loaded.settings
    with (
        StopSignals() as signals,
        bind(settings.host, settings.port) as listening,
        TemporaryDirectory(prefix="tillbell-") as folder,
    ):
        listening.set_inheritable(True)
        port = listening.getsockname()[1]
        group = _ProcessGroup(loaded, listening.fileno(), Path(folder), signals)
        print(f"tillbell · {settings.processes} processes · {settings.host}:{port}", flush=True)
        return await group.run(settings.processes)


class _ProcessGroup:
    """The processes that share the port."""

    def __init__(self, loaded: LoadedSettings, fd: int, folder: Path, signals: StopSignals) -> None:
        self._environment = environment_of_child(loaded, {"processes": 1, "listen_fd": fd})
        self._fd = fd
        self._notify_socket = loaded.settings.notify_socket  # of our own parent
        self._folder = folder
        self._signals = signals
        self._running: dict[int, asyncio.subprocess.Process] = {}

    async def run(self, count: int) -> int:
        for number in range(count):
            code = await self._start(number)
            if code is not None:
                await self._stop()
                return code
        if self._notify_socket:
            notify_ready(self._notify_socket)
        watchers = [asyncio.ensure_future(self._watch(number)) for number in range(count)]
        await self._signals.first.wait()
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        return await self._stop()

    async def _start(self, number: int) -> int | None:
        """Start a process and wait until it is ready.

        Returns its exit code if it ended first, 0 if a signal came, else None.
        """
        path = self._folder / f"{number}"
        with ReadinessListener(path) as ready:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tillbell", "serve",
                env=self._environment
                | {"NOTIFY_SOCKET": str(path), "TILLBELL_METRICS_FILE": str(path)},
                pass_fds=(self._fd,),
            )  # fmt: skip
            self._running[number] = process
            first: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(ready.wait()),
                asyncio.ensure_future(process.wait()),
                asyncio.ensure_future(self._signals.first.wait()),
            ]
            await asyncio.wait(first, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            for future in first:
                future.cancel()
            await asyncio.gather(*first, return_exceptions=True)
        if self._signals.first.is_set():
            return 0
        return process.returncode

    async def _watch(self, number: int) -> None:
        """Restart a process whenever it dies."""
        while True:
            code = await self._running[number].wait()
            log_event("process.died", number=number, code=code)
            await asyncio.sleep(RESTART_AFTER_S)
            await self._start(number)

    async def _stop(self) -> int:
        """Stop all gracefully, pass on a second signal, and return the highest exit code."""
        self._signal(signal.SIGTERM)
        ended = asyncio.gather(*(process.wait() for process in self._running.values()))
        second_signal: asyncio.Future[Any] = asyncio.ensure_future(self._signals.second.wait())
        first: set[asyncio.Future[Any]] = {ended, second_signal}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            self._signal(signal.SIGTERM)
        second_signal.cancel()
        return max((abs(code) for code in await ended), default=0)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running.values():
            if process.returncode is None:
                process.send_signal(number)
