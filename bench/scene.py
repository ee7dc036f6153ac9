"""One measurement's cast: a receiver, a gateway on an empty store, endpoints, and loads.

`Scene.load` drives one load and `Scene.recorded` waits until all of it has arrived
and the gateway's API counts it as succeeded. Whatever is lost, repeated, altered or
badly signed raises `Wrong`: a fast wrong answer is not a figure.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from bench import processes
from bench.gateway import Endpoint, Gateway
from bench.load import LoadPlan
from bench.processes import Child
from bench.receiver import ReceiverPlan

DRAIN_S = 120.0
_POLL_S = 0.05


class Wrong(Exception):
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
class Loaded:
    """What a load did: per sequence number, when it was due and when it was accepted."""

    due: array[int]
    accepted: array[int]
    summary: dict[str, Any]

    @property
    def count(self) -> int:
        """How many messages were accepted."""
        return int(self.summary["accepted"])


@dataclass
class Scene:
    """A running cast; use as a context manager. Ends every process it started."""

    folder: Path
    effort: Effort
    endpoints: int = 1
    messages: int = 1_000_000
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = ReceiverPlan(self.messages, self.endpoints, self.effort.verify_every)
        self.receiver = Child("bench.receiver", plan.dumped())
        core = processes.pinned(0 if self.effort.pin else None)
        self.gateway = Gateway(self.folder / "data", environment=self.environment, wrapper=core)
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
        chosen: dict[str, Any] = {"connections": self.effort.connections, **plan}
        whole = LoadPlan(
            port=self.gateway.port,
            path=f"/api/v1/app/{self.app}/msg",
            key=self.gateway.admin_key,
            out=str(self.folder),
            **{"messages": self.messages, **chosen},
        )
        child = Child("bench.load", whole.dumped(), core=1 if self.effort.pin else None)
        summary = child.heard()
        child.end()
        if summary["sent"] == 0 or summary["accepted"] == 0:
            raise Wrong(f"nothing was accepted: {summary}\n{self.gateway.log_tail()}")
        due, accepted = (self._instants(name, summary["sent"]) for name in ("due", "accepted"))
        return Loaded(due, accepted, summary)

    def _instants(self, name: str, count: int) -> array[int]:
        return read_instants(self.folder / f"{name}.bin", count)

    def arrivals(self) -> array[int]:
        """Return the instant of each arrival; message m at endpoint e is [m * endpoints + e]."""
        path = self.folder / "arrived.bin"
        self.receiver.ask(save=str(path))
        return read_instants(path, self.messages * self.endpoints)

    def recorded(self, loaded: Loaded, endpoints: list[Endpoint]) -> int:
        """Wait until the load is delivered and recorded; return that instant (ns)."""
        wanted = loaded.count * self.endpoints
        deadline = time.monotonic() + DRAIN_S
        while self.receiver.ask()["distinct"] < wanted:
            self._patience(deadline, "messages are missing at the receiver")
        while any(self._succeeded(endpoint) < loaded.count for endpoint in endpoints):
            self._patience(deadline, "deliveries are not recorded as succeeded")
        instant = time.monotonic_ns()
        self.check(loaded)
        return instant

    def _succeeded(self, endpoint: Endpoint) -> int:
        return self.gateway.stats(self.app, endpoint.id)["success"]

    def _patience(self, deadline: float, complaint: str) -> None:
        if time.monotonic() > deadline:
            counts = self.receiver.ask()
            raise Wrong(f"{complaint} after {DRAIN_S:.0f} s: {counts}\n{self.gateway.log_tail()}")
        time.sleep(_POLL_S)

    def check(self, loaded: Loaded) -> None:
        """Compare what arrived with what was sent."""
        counts, summary = self.receiver.ask(), loaded.summary
        if counts["again"] or counts["altered"] or counts["forged"]:
            raise Wrong(f"repeated, altered or badly signed deliveries: {counts}")
        if counts["distinct"] > summary["sent"] * self.endpoints:
            raise Wrong(f"more arrived than was sent: {counts}, {summary}")
        if summary["broken"]:
            raise Wrong(f"the gateway broke connections: {summary}")


def read_instants(path: Path, count: int) -> array[int]:
    """Read an array that a child process left."""
    values = array("q")
    with path.open("rb") as file:
        values.fromfile(file, count)
    return values
