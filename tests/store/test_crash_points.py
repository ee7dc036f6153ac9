"""The process ends, or hangs and is killed, at each named point of each write's commit."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE_S
from tests.scale import IS_WHOLE, soak
from tests.store.crash_points import DEATHS, POINTS, WRITES

# In `make test` each write at one point of its commit, and over the writes every point and way.
STEP = 1 if IS_WHOLE else 7


@soak
def test_at_every_point_a_write_has_happened_wholly_or_not_at_all(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.crash_points", str(tmp_path), str(STEP)],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_S,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.returncode == 0, done.stderr[-2_000:]
    assert len(found) == math.ceil(len(WRITES) * len(POINTS) * len(DEATHS) / STEP)
    assert {one["write"] for one in found} == {write.name for write in WRITES}
    assert {one["point"] for one in found} == set(POINTS)
    assert {one["way"] for one in found} == set(DEATHS)
    assert [one for one in found if not one["died"]] == []
    assert [one for one in found if one["happened"] != (one["point"] == "after commit")] == []
    assert [one for one in found if not one["repaired"]] == []
