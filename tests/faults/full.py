"""A6 on PostgreSQL: the disk of the server fills up to the last byte.

The server may end itself then, when it cannot write its log; its operator makes room and starts
it again. Needs root, to mount a small tmpfs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import psycopg
from bench.postgres_server import Home, PostgresServer

from tests.crash.checker import Hurt
from tests.crash.disk_full import fill, small_disk
from tests.crash.report import Report
from tests.faults.crew import Crew, serving

SIZE_MB = 192
SHORT_S = 20.0  # it stays full
NOTICED_S = 120.0
BACK_S = 15.0
RATE = 30.0  # its log is written ahead in files of 16 MB, so that it takes a while
_POLL_S = 0.2


def run(folder: Path) -> Report:
    """Run the scenario."""
    report = Report(f"full disk of the server, {SIZE_MB} MB")
    folder.chmod(0o711)  # the server runs as somebody else
    with (
        small_disk(folder / "disk", SIZE_MB) as disk,
        serving("max_wal_size=64MB", "min_wal_size=32MB", home=Home(disk)) as server,
        Crew(folder, [server.url()] * 3) as crew,
    ):
        with crew.load(RATE):
            _fill_and_free(crew, server, disk, report)
        crew.conclude(report)
    return report


def _fill_and_free(crew: Crew, server: PostgresServer, disk: Path, report: Report) -> None:
    ballast = disk / "ballast"
    began_ns = time.monotonic_ns()
    fill(ballast, 0)
    noticed_s = _wait_for_refusal(crew, began_ns)
    report.figure("seconds until the first 503", noticed_s)
    report.must(noticed_s is not None, f"nothing was refused within {NOTICED_S:g} s")
    time.sleep(SHORT_S)
    ballast.unlink()
    is_up = _is_up(server)
    report.figure("the server itself", "went on" if is_up else "ended, and was started again")
    if not is_up:
        server.start()
    since_ns = time.monotonic_ns()
    crew.hurts.append(Hurt(began_ns, since_ns))
    accepting_s, delivering_s = crew.flows_again_s(since_ns)
    text = f"accepting {accepting_s:.2f} s, delivering {delivering_s:.2f} s"
    report.figure("after there was room", text)
    is_late = max(accepting_s, delivering_s) > BACK_S
    report.must(not is_late, f"not as before {BACK_S:g} s after there was room")


def _wait_for_refusal(crew: Crew, since_ns: int) -> float | None:
    while time.monotonic_ns() - since_ns < NOTICED_S * 1e9:
        for answer in crew.producer.answered[-200:]:
            if answer.asked_ns > since_ns and answer.status == 503:
                return round((answer.answered_ns - since_ns) / 1e9, 1)
        time.sleep(_POLL_S)
    return None


def _is_up(server: PostgresServer) -> bool:
    try:
        server.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def is_possible() -> bool:
    """Tell whether disks can be mounted here."""
    return os.geteuid() == 0
