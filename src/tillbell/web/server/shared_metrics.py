"""The board: processes that share a port show their counters to each other.

Whichever of them is asked for `/metrics` answers for all, or the counters would jump from one to
another's. Each leaves its own in a file of a folder that they share, as often as they are needed;
what is old is of a process that is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from tillbell.clock import SECOND, Clock, Micros, wait_until
from tillbell.counters import Meters
from tillbell.logs import log_event
from tillbell.web.edge.metrics import DispatchVitals, MetricsReading

WRITE_EVERY: Micros = 2 * SECOND
STALE_AFTER: Micros = 10 * SECOND
_SUFFIX = ".meters"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(MetricsReading).decode


class MetricsBoard:
    """See the module. `file` is our own place on it; None: the port is ours alone."""

    def __init__(
        self, file: Path | None, clock: Clock, meters: Meters, vitals: Callable[[], DispatchVitals]
    ) -> None:
        self._file = file
        self._clock = clock
        self._meters = meters
        self._vitals = vitals

    def readings(self) -> list[MetricsReading]:
        """Return what we count now, and what the others did last."""
        own = self._own()
        return [own, *self._others(own)]

    def _own(self) -> MetricsReading:
        name = self._file.name if self._file is not None else ""
        return MetricsReading(name, self._clock.now(), self._meters, self._vitals())

    def _others(self, own: MetricsReading) -> list[MetricsReading]:
        if self._file is None:
            return []
        files = sorted(self._file.parent.glob(f"*{_SUFFIX}"))
        found = [_decode(file.read_bytes()) for file in files if file.stem != own.process]
        alive = [one for one in found if own.at - one.at < STALE_AFTER]
        for one in alive:
            one.meters.totals = own.meters.totals  # the store's, and ours were just read
        return alive

    async def keep_written(self) -> None:
        """Leave ours for the others, again and again, until cancelled."""
        while self._file is not None:
            try:
                self._leave(self._file)
            except OSError as error:
                log_event("chore.postponed", chore="metrics", error=str(error))
            await wait_until(self._clock, self._clock.now() + WRITE_EVERY)

    def _leave(self, file: Path) -> None:
        fresh = file.with_suffix(".new")
        fresh.write_bytes(_encode(self._own()))
        fresh.rename(file.with_suffix(_SUFFIX))
