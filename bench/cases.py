"""What is measured of the gateway: one function a case, each on a fresh store.

A case returns its measures by name. Latencies count from the instant a message was
*due* to be sent until the receiver had written its answer: longer than from its
acceptance, and free of coordinated omission.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from bench import processes
from bench.callbacks import callbacks
from bench.figures import Measures, percentile
from bench.scene import BenchRun, CaseRun, GatewayFailed, Loaded
from bench.sustained import fan_out, of_processes, throughput

Case = Callable[[CaseRun], Measures]

ISOLATED_ENDPOINTS = 50
ISOLATION_RATE = 2_000
SETTLED_S = 2.0  # before memory is read


def latency_1000(place: CaseRun) -> Measures:
    """Measure message due → first attempt answered at 1,000 messages a second."""
    return _latency(place, rate=1_000)


def latency_5000(place: CaseRun) -> Measures:
    """Measure the same at 5,000 a second."""
    return _latency(place, rate=5_000)


def _latency(place: CaseRun, rate: int) -> Measures:
    effort = place.effort
    with BenchRun(place) as scene:
        subscribed = scene.subscribe()
        cpu_before = processes.cpu_s(scene.gateway.pid)
        loaded = scene.load(rate=rate, seconds=effort.seconds, connections=64)
        scene.recorded(loaded, subscribed)
        cpu_s = processes.cpu_s(scene.gateway.pid) - cpu_before
        arrived = scene.arrivals()
        warm = int(effort.warm_s * rate)
        whole = [arrived[n] - loaded.due[n] for n in range(warm, len(loaded.due))]
        answer = [loaded.accepted[n] - loaded.due[n] for n in range(warm, len(loaded.due))]
        return {
            "p50_ms": percentile(whole, 0.5) / 1e6,
            "p99_ms": percentile(whole, 0.99) / 1e6,
            "accept_p50_ms": percentile(answer, 0.5) / 1e6,
            "accept_p99_ms": percentile(answer, 0.99) / 1e6,
            "cpu_us": cpu_s / loaded.count * 1e6,
        }


def isolation(place: CaseRun) -> Measures:
    """Measure the p99 of 49 endpoints while the 50th, with half the traffic, hangs 30 s."""
    base = _others_p99_ms(place.within("base"), first="ok")
    hanging = _others_p99_ms(place.within("hanging"), first="hang")
    return {"base_p99_ms": base, "hanging_p99_ms": hanging, "ratio": hanging / base}


def _others_p99_ms(place: CaseRun, first: str) -> float:
    effort = place.effort
    messages = int(ISOLATION_RATE * effort.isolation_s) + 1
    behaviours = [first] + ["ok"] * (ISOLATED_ENDPOINTS - 1)
    channels = [f"c{n:02}" for n in range(ISOLATED_ENDPOINTS)]
    lanes = [name for other in channels[1:] for name in (channels[0], other)]
    with BenchRun(place, ISOLATED_ENDPOINTS, messages) as scene:
        scene.subscribe_each(behaviours, [{"channels": [name]} for name in channels])
        loaded = scene.load(
            rate=ISOLATION_RATE, seconds=effort.isolation_s, lanes=lanes, connections=64
        )
        places = [
            (n, n * ISOLATED_ENDPOINTS + channels.index(lanes[n % len(lanes)]))
            for n in range(int(effort.warm_s * ISOLATION_RATE), len(loaded.due))
            if lanes[n % len(lanes)] != channels[0]
        ]
        arrived = _awaited(scene, [place for _, place in places])
        scene.check(loaded)
        return percentile([arrived[place] - loaded.due[n] for n, place in places], 0.99) / 1e6


def _awaited(scene: BenchRun, places: list[int]) -> list[int]:
    """Wait until each of those has arrived; return all arrivals."""
    deadline = time.monotonic() + 60
    while True:
        arrived = scene.arrivals()
        if all(arrived[place] for place in places):
            return list(arrived)
        if time.monotonic() > deadline:
            raise GatewayFailed("messages of healthy endpoints are missing beside a hanging one")
        time.sleep(1)


def memory(place: CaseRun) -> Measures:
    """Measure memory and start-up with many deliveries pending for a receiver that is down."""
    with BenchRun(place, messages=place.effort.pending) as scene, _closed_port() as port:
        base_mb = processes.rss_mb(scene.gateway.pid)
        dead = scene.gateway.endpoint(scene.app, f"http://127.0.0.1:{port}/")
        loaded = scene.load(seconds=600)
        _expect_pending(scene, dead.id, loaded)
        time.sleep(SETTLED_S)
        full_mb = processes.rss_mb(scene.gateway.pid)
        scene.gateway.stop()
        start_s = scene.gateway.start()
        time.sleep(SETTLED_S)
        _expect_pending(scene, dead.id, loaded)
        restarted_mb = processes.rss_mb(scene.gateway.pid)
    return {
        "base_mb": base_mb,
        "rss_mb": full_mb,
        "restarted_mb": restarted_mb,
        "start_s": start_s,
        "pending": float(loaded.count),
    }


def _expect_pending(scene: BenchRun, endpoint: str, loaded: Loaded) -> None:
    stats = scene.gateway.stats(scene.app, endpoint)
    if stats["pending"] + stats["sending"] != loaded.count:
        raise GatewayFailed(f"{loaded.count} deliveries should be pending: {stats}")


@contextmanager
def _closed_port() -> Iterator[int]:
    """Hold a port on which nobody listens: connections to it are refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


ON_SQLITE: dict[str, Case] = {
    "throughput": throughput,
    "fan-out": fan_out,
    "latency-1000": latency_1000,
    "latency-5000": latency_5000,
    "isolation": isolation,
    "memory": memory,
    "callbacks": callbacks,
}
ON_POSTGRES: dict[str, Case] = {
    "postgres-throughput": throughput,
    "postgres-fan-out": fan_out,
    "postgres-latency-1000": latency_1000,
    "postgres-callbacks": callbacks,
}
PROCESSES: dict[str, Case] = {  # on PostgreSQL
    f"processes-{count}": partial(of_processes, count=count) for count in (1, 2, 4)
}
