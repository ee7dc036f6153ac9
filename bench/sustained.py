"""As many messages as go through: a second, and what each of the cast spends on one.

The figure counts from the first message's start until the last is recorded. Everything runs on
one machine, so beside the rate stands the CPU of every part: it tells what the cores went to.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from bench import processes
from bench.figures import Measures
from bench.gateway import Endpoint
from bench.scene import BenchRun, CaseRun, GatewayFailed, Loaded, Spent

FAN_OUT = 5
SPREAD = 32  # endpoints, so that each process owns some
SPREAD_MESSAGES = 200_000  # at most: the receiver remembers that many for each endpoint
JOINED_S = 120.0  # they start one after the other, each with a second of CPU
HEARD_S = 3.0  # a beat and a half: each process has learnt of all others
NANOS = 1e9
_POLL_S = 0.05


def throughput(place: CaseRun) -> Measures:
    """Measure messages accepted, delivered once and recorded, a second; one endpoint."""
    with BenchRun(place) as scene:
        return _sustained(scene)


def fan_out(place: CaseRun) -> Measures:
    """Measure deliveries a second when each message goes to five endpoints."""
    with BenchRun(place, FAN_OUT) as scene:
        return _sustained(scene)


def of_processes(place: CaseRun, count: int) -> Measures:
    """Measure messages a second, spread over endpoints, with so many gateway processes."""
    crew = {"TILLBELL_PROCESSES": str(count)}
    with BenchRun(place, SPREAD, SPREAD_MESSAGES, crew) as scene:
        _await_joined(place, count)
        before = _each_cpu_s(scene)
        measures = _sustained(scene, lanes=SPREAD)
        each = [after - then for after, then in zip(_each_cpu_s(scene), before, strict=True)]
        return {**measures, "busiest": max(each) / sum(each)}


def _await_joined(place: CaseRun, count: int) -> None:
    """Wait until all processes have signed in, and know of each other."""
    assert place.database is not None
    deadline = time.monotonic() + JOINED_S
    while place.database.ask("SELECT count(*) FROM members WHERE sends = 1") != (count,):
        if time.monotonic() > deadline:
            raise GatewayFailed(f"{count} processes did not sign in")
        time.sleep(_POLL_S)
    time.sleep(HEARD_S)


def _each_cpu_s(scene: BenchRun) -> list[float]:
    """Return the CPU of each process that serves: the gateway's, or its children's."""
    first, *children = processes.family(scene.gateway.pid)
    return [processes.cpu_s(pid) for pid in children or [first]]


def _sustained(scene: BenchRun, lanes: int = 1) -> Measures:
    """Load as fast as it takes it. With lanes each message goes to one endpoint, in turn."""
    channels = [f"c{n:02}" for n in range(lanes)] if lanes > 1 else []
    fields = [{"channels": [name]} for name in channels] or [{}] * scene.endpoints
    subscribed = scene.subscribe_each(["ok"] * scene.endpoints, fields)
    return one_load(scene, subscribed, lanes, {"lanes": channels})[0]


def one_load(
    scene: BenchRun, subscribed: Sequence[Endpoint], lanes: int, plan: dict[str, Any]
) -> tuple[Measures, Loaded]:
    """Load as fast as the gateway takes it, with this plan, until all is recorded."""
    database = scene.place.database
    wal = database.wal_bytes() if database else 0
    before, began = scene.spent(), time.monotonic_ns()
    loaded = scene.load(seconds=scene.place.effort.seconds, **plan)
    recorded_at = scene.recorded(loaded, subscribed, lanes=lanes)
    spent = scene.spent().since(before)
    deliveries = loaded.count * scene.endpoints // lanes
    written = {"wal_kb": (database.wal_bytes() - wal) / deliveries / 1e3} if database else {}
    measures = {
        "per_s": deliveries / ((recorded_at - loaded.due[0]) / NANOS),
        "accepted_per_s": loaded.count / ((max(loaded.accepted) - loaded.due[0]) / NANOS),
        "refused": float(sum(loaded.summary["refused"].values())),
        "rss_mb": processes.rss_mb(scene.gateway.pid),
        "others": spent.others / ((recorded_at - began) / NANOS),
        **_cpu_us(spent, loaded, deliveries),
        **written,
    }
    return measures, loaded


def _cpu_us(spent: Spent, loaded: Loaded, deliveries: int) -> Measures:
    """Return the CPU for each delivery, part by part."""
    seconds = {
        "cpu_us": spent.gateway,
        "database_us": spent.database,
        "receiver_us": spent.receiver,
        "load_us": float(loaded.summary["cpu_s"]),
    }
    return {name: value / deliveries * 1e6 for name, value in seconds.items()}
