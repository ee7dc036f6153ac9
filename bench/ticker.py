"""A timer that wakes an event loop more precisely than once a millisecond.

Event loops round their timers to milliseconds, which would send an open-loop load
in bursts. Linux' timerfd (timerfd_create(2)) does not; Python has it from 3.13 on,
so it is called through ctypes.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

_CLOCK_MONOTONIC = time.CLOCK_MONOTONIC
_NONBLOCK = os.O_NONBLOCK
NANOS = 1_000_000_000


class _Spec(ctypes.Structure):
    _fields_ = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("first_s", ctypes.c_long),
        ("first_ns", ctypes.c_long),
    ]


class Ticker:
    """Calls `wake` every `interval_ns` on the running loop until stopped."""

    def __init__(self, interval_ns: int, wake: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        seconds, nanos = divmod(interval_ns, NANOS)
        spec = _Spec(seconds, nanos, seconds, nanos)
        if libc.timerfd_settime(self._fd, 0, ctypes.byref(spec), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self._wake = wake
        asyncio.get_running_loop().add_reader(self._fd, self._fire)

    def _fire(self) -> None:
        os.read(self._fd, 8)
        self._wake()

    def stop(self) -> None:
        """Wake no more."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
