"""Files of tests are in memory, where there is room: on a disk, half of a run waits for it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.scale import IS_SOAK

MEMORY = Path("/dev/shm")
ROOM_BYTES = 2 << 30
_VARIABLE = "PYTEST_DEBUG_TEMPROOT"  # of pytest: where `tmp_path` is


def use_for_files() -> None:
    """Let `tmp_path` be in memory, unless somebody has said where, or it is a soak."""
    if IS_SOAK or _VARIABLE in os.environ or not MEMORY.is_dir():
        return
    system = os.statvfs(MEMORY)
    has_room = system.f_bavail * system.f_frsize >= ROOM_BYTES
    if has_room and not system.f_flag & os.ST_NOEXEC:
        os.environ[_VARIABLE] = str(MEMORY)
