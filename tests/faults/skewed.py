"""Tillbell on a machine with a wrong clock: `python -m tests.faults.skewed FILE tillbell serve …`.

The file holds by how many seconds the clock is wrong; it is read again every second. Monotonic
time is right, as it is on a machine whose date somebody sets.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tillbell.cli import main
from tillbell.clock import SECOND, Micros, SystemClock

_right = SystemClock.now


class Skew:
    """By how much the clock is wrong."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._by: Micros = 0
        self._read_at_s = float("-inf")

    def now(self, clock: SystemClock) -> Micros:
        """Return what the machine thinks that the time is."""
        if clock.monotonic() - self._read_at_s > 1:
            self._read_at_s = clock.monotonic()
            self._by = int(float(self._file.read_text()) * SECOND)
        return _right(clock) + self._by


if __name__ == "__main__":
    skew = Skew(Path(sys.argv[1]))
    setattr(SystemClock, "now", lambda clock: skew.now(clock))  # noqa: B010 - mypy forbids =
    sys.argv = sys.argv[2:]
    main()
