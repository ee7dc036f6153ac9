"""The disk fills up; the product refuses politely, keeps what it has, and recovers alone.

Twice: down into the reserve that is kept for work under way, then to the last byte.
Needs root, to mount a small tmpfs.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.gateway import Answer

from tests.crash.checker import Evidence, check
from tests.crash.producer import Producer
from tests.crash.report import Report
from tests.crash.stage import Stage, integrity

SIZE_MB = 64
RESERVE_LEFT_MB = 20  # below the product's reserve of 32
LOAD_S = 5.0
SHORT_S = 15.0
NOTICED_S = 10.0
BACK_S = 10.0
_POLL_S = 0.05


def run(folder: Path) -> Report:
    """Run the battery."""
    report = Report(f"full disk, {SIZE_MB} MB")
    if os.geteuid() != 0:
        report.figure("skipped", "mounting a tmpfs needs root")
        return report
    with (
        small_disk(folder / "disk", SIZE_MB) as disk,
        Stage(folder, data_dir=disk / "data") as stage,
    ):
        stage.gateway.start()
        producer = Producer(stage.gateway, stage.furnish(["ok"] * 4))
        producer.start()
        try:
            time.sleep(LOAD_S)
            for title, left_mb in (("reserve", RESERVE_LEFT_MB), ("last byte", 0)):
                _fill_and_free(stage, disk, (title, left_mb), report)
                time.sleep(LOAD_S)
        finally:
            producer.stop()
        stage.quiesce()
        evidence = Evidence(
            producer.acknowledged, stage.lines(), stage.account(), stage.endpoints, []
        )
        check(evidence, report)
        report.figure("answers to the producer (0: none)", dict(producer.answers))
        report.must(producer.answers[0] == 0, "requests were left without an answer")
        report.must(stage.gateway.process.poll() is None, "the process ended")  # type: ignore[union-attr]
        stage.gateway.stop()
        report.must(integrity(stage.gateway.data_dir) == "ok", "integrity_check at the end")
    return report


@contextmanager
def small_disk(place: Path, size_mb: int) -> Iterator[Path]:
    """Mount a small disk there meanwhile."""
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tillbell-crash", str(place)], check=True
    )
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill_and_free(stage: Stage, disk: Path, level: tuple[str, int], report: Report) -> None:
    """Fill the disk, see it refuse, free it, see it accept."""
    title, left_mb = level
    ballast = disk / "ballast"
    fill(ballast, left_mb)
    refused = _wait_for(stage, accepted=False, limit_s=NOTICED_S)
    report.must(refused is not None, f"{title}: still accepting {NOTICED_S} s after it was full")
    until = time.monotonic() + SHORT_S
    answers = []
    while time.monotonic() < until:
        answers.append(_probe(stage))
        time.sleep(0.25)
    wrong = [answer.status for answer in answers if not _is_polite(answer)]
    report.must_be_empty(f"{title}: answers that are not 503 with Retry-After", wrong)
    reads = stage.gateway.call("GET", f"/api/v1/app/{stage.app}/msg?limit=10").status
    report.must(reads == 200, f"{title}: reading answers {reads} while the disk is full")
    ballast.unlink()
    back_s = _wait_for(stage, accepted=True, limit_s=BACK_S)
    report.figure(f"{title}: seconds until accepting again", f"{back_s or BACK_S:.1f}")
    report.must(back_s is not None, f"{title}: not accepting {BACK_S} s after there was room")


def fill(ballast: Path, left_mb: int) -> None:
    """Write a file that leaves so many megabytes."""
    with ballast.open("wb", buffering=0) as file:
        while True:
            space = os.statvfs(ballast.parent)
            free = space.f_bavail * space.f_frsize - left_mb * 2**20
            if free <= 0:
                return
            file.write(bytes(min(free, 2**20)))


def _probe(stage: Stage) -> Answer:
    """Publish one event without an id of its own; it may be accepted or refused."""
    body = {"eventType": "order.paid", "payload": {"probe": True}}
    return stage.gateway.call("POST", f"/api/v1/app/{stage.app}/msg", body)


def _is_polite(answer: Answer) -> bool:
    names = {name.lower() for name in answer.headers}
    return answer.status == 503 and "retry-after" in names


def _wait_for(stage: Stage, *, accepted: bool, limit_s: float) -> float | None:
    """Return the seconds until publishing is (not) accepted; None if it took too long."""
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        if (_probe(stage).status == 202) is accepted:
            return time.monotonic() - began
        time.sleep(_POLL_S)
    return None
