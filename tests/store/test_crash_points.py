"""A3: the process ends, or hangs and is killed, at each named point of each write's commit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE_S
from tests.store.crash_points import DEATHS, POINTS, WRITES


def test_at_every_point_a_write_has_happened_wholly_or_not_at_all(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.crash_points", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_S,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.returncode == 0, done.stderr[-2_000:]
    assert len(found) == len(WRITES) * len(POINTS) * len(DEATHS) >= 40
    assert [one for one in found if not one["died"]] == []
    assert [one for one in found if one["happened"] != (one["point"] == "after commit")] == []
    assert [one for one in found if not one["repaired"]] == []
