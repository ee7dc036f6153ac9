"""The power goes at a random moment; whatever was acknowledged before is still there.

The product runs once under strace while a producer publishes. From the record, its files
are rebuilt as of many moments, with writes after the last completed sync kept, lost or
torn. Each rebuilt folder must pass SQLite's check, and a product started on it must
show every event that was acknowledged before the cut.
"""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from bench.gateway import GatewayProcess

from tests.crash import trace
from tests.crash.accounts import ApiRecords
from tests.crash.checker import check_readable
from tests.crash.producer import Acknowledged, Producer
from tests.crash.report import Report
from tests.crash.stage import Stage, integrity
from tests.crash.trace import Call, Disk

RUN_S = 12.0
RATE = 150.0


def run(folder: Path, cuts: int, seed: int) -> Report:
    """Run the battery."""
    report = Report(f"power cut, {cuts} cuts, seed {seed}")
    prefix, data_dir = folder / "trace", folder / "data"
    app, acknowledged = _record(folder, prefix)
    calls = trace.read(prefix, data_dir)
    report.figure("events acknowledged", len(acknowledged))
    report.figure("writes and syncs recorded", len(calls))
    report.figure("syncs", sum(call.name == "sync" for call in calls))
    report.must(bool(calls), "nothing was recorded")
    moments = _moments(calls, acknowledged, cuts, random.Random(seed))
    _cut_each(folder, calls, moments, (app, acknowledged), report)
    return report


def _record(folder: Path, prefix: Path) -> tuple[str, list[Acknowledged]]:
    """Let the product work under strace; it is killed at the end, like everything else here."""
    with Stage(folder, wrapper=trace.wrapper(prefix)) as stage:
        stage.gateway.start()
        app = stage.furnish()
        producer = Producer(stage.gateway, app)
        producer.start(RATE)
        time.sleep(RUN_S)
        producer.stop()
        stage.gateway.kill()
        return app, sorted(producer.acknowledged, key=lambda event: event.at)


def _moments(
    calls: list[Call], acknowledged: list[Acknowledged], cuts: int, chance: random.Random
) -> list[float]:
    """Choose when the power goes: half at any time, half just after an acknowledgement."""
    first, last = acknowledged[0].at, calls[-1].ended
    after = [chance.choice(acknowledged).at for _ in range(cuts // 2)]
    return sorted([*after, *(chance.uniform(first, last) for _ in range(cuts - len(after)))])


def _cut_each(
    folder: Path,
    calls: list[Call],
    moments: list[float],
    published: tuple[str, list[Acknowledged]],
    report: Report,
) -> None:
    app, acknowledged = published
    disk, done, doubtful, chance = Disk(), 0, [], random.Random(len(calls))
    damaged, lost = [], Report("")
    for number, moment in enumerate(moments):
        while done < len(calls) and calls[done].ended <= moment:
            disk.take(calls[done])
            done += 1
        rebuilt = folder / f"cut-{number}"
        doubtful.append(disk.cut(folder / "data", rebuilt, chance))
        before = [event for event in acknowledged if event.at <= moment]
        verdict = _restarted(rebuilt, app, before, lost)
        if verdict != "ok":
            damaged.append(f"cut {number}: {verdict}")
        shutil.rmtree(rebuilt)
    report.figure("writes in doubt at a cut, most", max(doubtful))
    report.figure("cuts with writes in doubt", sum(map(bool, doubtful)))
    report.must_be_empty("databases damaged", damaged)
    report.must_be_empty("acknowledged and lost or altered, in cuts", lost.violations)


def _restarted(rebuilt: Path, app: str, before: list[Acknowledged], lost: Report) -> str:
    """Start a product on the rebuilt files and ask it for every event; then check the file."""
    gateway = GatewayProcess(rebuilt)
    try:
        gateway.start()
        check_readable(before, ApiRecords().read(gateway, app, []), lost)
    except RuntimeError as error:
        return str(error)
    finally:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.kill()
    return integrity(rebuilt)
