"""Counters shared between processes of one port.

Whichever process gets a request for `/metrics` answers for all of them; otherwise counters would
seem to jump. Each process writes its counters every 2 s to a file in a folder that they share. A
file older than 10 s belongs to a process that has ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from tillbell.clock import SECOND, Clock, Micros, wait_until
from tillbell.counters import Meters
from tillbell.logs import log_event

WRITE_EVERY: Micros = 2 * SECOND
STALE_AFTER: Micros = 10 * SECOND
_SUFFIX = ".meters"


class DispatchVitals(NamedTuple):
    """The state of the dispatcher at this moment."""

    oldest_due_age: Micros = 0  # how late the oldest delivery is that could have been sent
    in_flight: int = 0
    open_breakers: int = 0
    is_held: bool = False


class MetricsReading(msgspec.Struct, array_like=True):
    """The counters of one process at this moment; `process` is "" if it shares no port."""

    process: str
    at: Micros
    meters: Meters
    vitals: DispatchVitals
    pid: int = 0  # of the process; 0: its figures are not shown


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(MetricsReading).decode


class MetricsBoard:
    """The shared counters. `file` is this process's; None if it shares no port."""

    def __init__(
        self, file: Path | None, clock: Clock, meters: Meters, vitals: Callable[[], DispatchVitals]
    ) -> None:
        self._file = file
        self._clock = clock
        self._meters = meters
        self._vitals = vitals

    def readings(self) -> list[MetricsReading]:
        """Return our counters as they are now and the others' as they were last written."""
        own = self._own()
        return [own, *self._others(own)]

    def _own(self) -> MetricsReading:
        name = self._file.name if self._file is not None else ""
        return MetricsReading(name, self._clock.now(), self._meters, self._vitals(), os.getpid())

    def _others(self, own: MetricsReading) -> list[MetricsReading]:
        if self._file is None:
            return []
        files = sorted(self._file.parent.glob(f"*{_SUFFIX}"))
        readings = [_decode(file.read_bytes()) for file in files if file.stem != own.process]
        alive = [reading for reading in readings if own.at - reading.at < STALE_AFTER]
        for reading in alive:
            # These are of the store, and ours were just read.
            reading.meters.totals = own.meters.totals
            reading.meters.database_bytes = own.meters.database_bytes
        return alive

    async def keep_written(self) -> None:
        """Write our counters every `WRITE_EVERY`, until cancelled."""
        while self._file is not None:
            try:
                self._write(self._file)
            except OSError as error:
                log_event("chore.postponed", chore="metrics", error=str(error))
            await wait_until(self._clock, self._clock.now() + WRITE_EVERY)

    def _write(self, file: Path) -> None:
        new_file = file.with_suffix(".new")
        new_file.write_bytes(_encode(self._own()))
        new_file.rename(file.with_suffix(_SUFFIX))
