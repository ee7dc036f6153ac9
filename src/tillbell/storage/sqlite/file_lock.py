"""The lock that keeps a second process from using a data file. It ends with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tillbell.errors import Misconfigured


class FileLock:
    """A lock of the operating system on `<file>.lock`; the constructor takes it."""

    def __init__(self, path: Path) -> None:
        lock_path = path.with_name(path.name + ".lock")
        try:
            self._descriptor: int | None = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Misconfigured(f"Cannot write the database {path}: {error.strerror}.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise Misconfigured(f"Another process is using the database {path}.") from None

    def release(self) -> None:
        """Release the lock. The file stays: if it were deleted, two processes could hold a lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
