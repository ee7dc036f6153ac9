"""One measurement's cast: a receiver, a gateway on an empty store, endpoints, and loads.

`Scene.load` drives one load and `Scene.recorded` waits until all of it has arrived
and the gateway's API counts it as succeeded. Whatever is lost, repeated, altered or
badly signed raises `Wrong`: a fast wrong answer is not a figure.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench import processes
from bench.gateway import Endpoint, GatewayProcess
from bench.load import LoadPlan
from bench.postgres import BenchDatabase
from bench.processes import Child
from bench.receiver import ReceiverPlan

DRAIN_S = 120.0
_POLL_S = 0.05


class GatewayFailed(Exception):
    """The gateway did something that it must not do, however fast."""


@dataclass(frozen=True)
class Effort:
    """How much work a run puts in."""

    rounds: int = 5
    seconds: float = 8.0
    warm_s: float = 1.0  # left out of latencies
    pending: int = 1_000_000
    isolation_s: float = 12.0
    connections: int = 128
    verify_every: int = 16
    pin: bool = False  # gateway on core 0, load generator on core 1


QUICK = Effort(rounds=1, seconds=1.0, warm_s=0.2, pending=5_000, isolation_s=2.0, verify_every=1)


@dataclass(frozen=True)
class CaseRun:
    """Where a case runs, and with how much work: the folder and the store are empty."""

    effort: Effort
    folder: Path
    database: BenchDatabase | None = None  # none: SQLite, in the folder
    program: Path | None = None  # the `tillbell` to start; none: that of this interpreter
    http_processes: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What tells the gateway its store and its HTTP processes."""
        store = {"DATABASE_URL": self.database.url} if self.database else {}
        count = str(self.http_processes)
        return store | ({"TILLBELL_HTTP_PROCESSES": count} if self.http_processes else {})

    def within(self, name: str) -> CaseRun:
        """Return a place in a folder of its own; with SQLite so is the store."""
        return replace(self, folder=self.folder / name)


class Spent(NamedTuple):
    """CPU seconds, of each of the cast and of everything on the machine."""

    gateway: float
    database: float
    receiver: float
    bench: float  # the orchestrator, and loads that have ended
    machine: float

    def since(self, before: Spent) -> Spent:
        """Return the difference."""
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def others(self) -> float:
        """What was used by whoever has no part in the measurement."""
        return max(0.0, self.machine - sum(self[:-1]))


@dataclass(frozen=True)
class Loaded:
    """What a load did: per sequence number, when it was due and when it was accepted."""

    due: array[int]
    accepted: array[int]
    summary: dict[str, Any]

    @property
    def count(self) -> int:
        """How many messages were accepted."""
        return int(self.summary["accepted"])

    def of_lane(self, lane: int, lanes: int) -> int:
        """How many were accepted of every `lanes`-th message, from number `lane` on."""
        return sum(1 for at in self.accepted[lane::lanes] if at)


@dataclass
class BenchRun:
    """A running cast; use as a context manager. Ends every process it started."""

    place: CaseRun
    endpoints: int = 1
    messages: int = 1_000_000
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        place, effort = self.place, self.place.effort
        place.folder.mkdir(parents=True, exist_ok=True)
        plan = ReceiverPlan(self.messages, self.endpoints, effort.verify_every)
        self.receiver = Child("bench.receiver", plan.dumped())
        core = processes.pinned(0 if effort.pin else None)
        environment = place.environment | self.environment
        self.gateway = GatewayProcess(
            place.folder / "data", environment=environment, wrapper=core, program=place.program
        )
        self._accepted = [0] * self.endpoints  # by earlier loads
        try:
            self.receiver_port = self.receiver.heard()["port"]
            self.start_s = self.gateway.start()
            self.app = self.gateway.application()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.gateway.process is not None:
            self.gateway.stop()
        self.receiver.end()

    def subscribe(self, behaviour: str = "ok", **fields: Any) -> list[Endpoint]:
        """Make all endpoints alike, each with a path of its own."""
        return self.subscribe_each([behaviour] * self.endpoints, [fields] * self.endpoints)

    def subscribe_each(self, behaviours: list[str], fields: list[dict[str, Any]]) -> list[Endpoint]:
        """Make endpoint *n* with behaviour *n* and fields *n*; tell the receiver their keys."""
        base = f"http://127.0.0.1:{self.receiver_port}"
        made = [
            self.gateway.endpoint(self.app, f"{base}/{behaviour}/{number}", **extra)
            for number, (behaviour, extra) in enumerate(zip(behaviours, fields, strict=True))
        ]
        self.receiver.ask(keys=[endpoint.key for endpoint in made])
        return made

    def load(self, **plan: Any) -> Loaded:
        """Run one load to its end and read what it left."""
        chosen: dict[str, Any] = {"connections": self.place.effort.connections, **plan}
        whole = LoadPlan(
            port=self.gateway.port,
            path=f"/api/v1/app/{self.app}/msg",
            key=self.gateway.admin_key,
            out=str(self.place.folder),
            **{"messages": self.messages, **chosen},
        )
        child = Child("bench.load", whole.dumped(), core=1 if self.place.effort.pin else None)
        summary = child.heard()
        child.end()
        if summary["sent"] == 0 or summary["accepted"] == 0:
            raise GatewayFailed(f"nothing was accepted: {summary}\n{self.gateway.log_tail()}")
        due, accepted = (self._instants(name, summary["sent"]) for name in ("due", "accepted"))
        return Loaded(due, accepted, summary)

    def _instants(self, name: str, count: int) -> array[int]:
        return read_instants(self.place.folder / f"{name}.bin", count)

    def arrivals(self) -> array[int]:
        """Return the instant of each arrival; message m at endpoint e is [m * endpoints + e]."""
        path = self.place.folder / "arrived.bin"
        self.receiver.ask(save=str(path))
        return read_instants(path, self.messages * self.endpoints)

    def recorded(self, loaded: Loaded, endpoints: Sequence[Endpoint], *, lanes: int = 1) -> int:
        """Wait until the load is delivered and recorded; return that instant (ns).

        With lanes, endpoint *n* gets every `lanes`-th message from number *n* on; else all.
        """
        wanted = [
            earlier + loaded.of_lane(n % lanes, lanes) for n, earlier in enumerate(self._accepted)
        ]
        deadline = time.monotonic() + DRAIN_S
        while self.receiver.ask()["distinct"] < sum(wanted):
            self._patience(deadline, "messages are missing at the receiver")
        for endpoint, count in zip(endpoints, wanted, strict=True):
            while self._succeeded(endpoint) < count:
                self._patience(deadline, "deliveries are not recorded as succeeded")
        instant = time.monotonic_ns()
        self._accepted = wanted
        self.check(loaded)
        return instant

    def _succeeded(self, endpoint: Endpoint) -> int:
        return self.gateway.stats(self.app, endpoint.id)["success"]

    def spent(self) -> Spent:
        """Read how much CPU each used up to now."""
        database = self.place.database
        return Spent(
            processes.cpu_s(self.gateway.pid),
            database.cpu_s() if database else 0.0,
            processes.cpu_s(self.receiver.process.pid),
            sum(os.times()[:4]),
            processes.machine_cpu_s(),
        )

    def _patience(self, deadline: float, complaint: str) -> None:
        if time.monotonic() > deadline:
            counts = self.receiver.ask()
            raise GatewayFailed(
                f"{complaint} after {DRAIN_S:.0f} s: {counts}\n{self.gateway.log_tail()}"
            )
        time.sleep(_POLL_S)

    def check(self, loaded: Loaded) -> None:
        """Compare what arrived with what was sent."""
        counts, summary = self.receiver.ask(), loaded.summary
        if counts["again"] or counts["altered"] or counts["forged"]:
            raise GatewayFailed(f"repeated, altered or badly signed deliveries: {counts}")
        if counts["distinct"] > max(sum(self._accepted), summary["sent"] * self.endpoints):
            raise GatewayFailed(f"more arrived than was sent: {counts}, {summary}")
        if summary["broken"]:
            raise GatewayFailed(f"the gateway broke connections: {summary}")


def read_instants(path: Path, count: int) -> array[int]:
    """Read an array that a child process left."""
    values = array("q")
    with path.open("rb") as file:
        values.fromfile(file, count)
    return values
