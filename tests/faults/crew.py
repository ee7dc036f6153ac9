"""The fleet that is hurt: one process for the API, several workers, all on one database."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Self

from bench.gateway import READY_S, GatewayProcess
from bench.postgres_server import HOME, Home, PostgresServer, programs

from tests.crash.checker import Evidence, Hurt, check
from tests.crash.producer import Producer
from tests.crash.report import Report
from tests.crash.stage import SCHEDULE, Stage

MASTER_KEY = "9f3c5b1e7a2d48f6b0c1d2e3f4a5968778695a4b3c2d1e0f1a2b3c4d5e6f7081"
BEHAVIOURS = ("ok",) * 8 + ("flaky",) * 2
RATE = 20.0  # events a second, each for all of these
FLOWS_S = 60.0  # for the first message to be accepted and delivered again
SILENCE_S = 3.0
_POLL_S = 0.1
Wrappers = Mapping[int, Sequence[str]]  # by line: 0 the API, then the workers


@contextmanager
def serving(*settings: str, home: Home = HOME) -> Iterator[PostgresServer]:
    """Run a server meanwhile that may lose its power and nothing else."""
    found = programs()
    assert found is not None
    server = PostgresServer(found, *settings, is_durable=True, home=home)
    try:
        yield server
    finally:
        server.remove()


class Crew(Stage):
    """An API process on the first URL, a worker on each of the others."""

    def __init__(
        self,
        folder: Path,
        urls: Sequence[str],
        wrappers: Wrappers = MappingProxyType({}),
        behaviours: Sequence[str] = BEHAVIOURS,
        *,
        works: bool = True,
    ) -> None:
        """`works`: its workers are started."""
        super().__init__(
            folder, environment=environment_of("api", urls[0], 0), wrapper=wrappers.get(0, ())
        )
        self.workers = [
            GatewayProcess(
                folder / f"worker{number}",
                environment=environment_of("worker", url, number),
                wrapper=wrappers.get(number, ()),
            )
            for number, url in enumerate(urls[1:], 1)
        ]
        self._behaviours = behaviours
        self._works = works
        self.hurts: list[Hurt] = []

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.gateway.start()
            self.producer = Producer(self.gateway, self.furnish(self._behaviours))
            if self._works:
                self._start_workers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start_workers(self) -> None:
        for worker in self.workers:
            worker.launch()
        for worker in self.workers:
            worker.wait_ready(time.monotonic() + READY_S)

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.process is not None and worker.process.poll() is None:
                worker.kill()
        super().__exit__()

    @property
    def processes(self) -> list[GatewayProcess]:
        """Return all of them, the API first."""
        return [self.gateway, *self.workers]

    @contextmanager
    def load(self, rate: float = RATE) -> Iterator[Producer]:
        """Publish meanwhile; the end waits until the last event is acknowledged."""
        self.producer.start(rate)
        try:
            yield self.producer
        finally:
            self.producer.stop()

    def flows_again_s(self, since_ns: int) -> tuple[float, float]:
        """Wait; return after how many seconds an event was accepted, and one of those delivered."""
        accepted: float | None = None
        fresh: set[str] = set()
        while time.monotonic_ns() - since_ns < FLOWS_S * 1e9:
            for answer in reversed(self.producer.answered[:]):
                if answer.asked_ns < since_ns:
                    break
                if answer.message_id:
                    fresh.add(answer.message_id)
                    accepted = (answer.answered_ns - since_ns) / 1e9
            for line in self.lines():
                if line.message_id in fresh and accepted is not None:
                    return accepted, (line.at_ns - since_ns) / 1e9
            time.sleep(_POLL_S)
        raise RuntimeError(f"nothing flows after {FLOWS_S} s\n{self.gateway.log_tail()}")

    def conclude(self, report: Report) -> Evidence:
        """Wait until all is settled; check every invariant, and that no process has ended."""
        report.figure("seconds until nothing was pending", f"{self.quiesce():.1f}")
        before = len(self.lines())
        time.sleep(SILENCE_S)
        lines = self.lines()
        report.must(len(lines) == before, f"I3 {len(lines) - before} requests after the end")
        evidence = Evidence(
            self.producer.acknowledged, lines, self.account(), self.endpoints, self.hurts
        )
        check(evidence, report)
        report.figure("answers to the producer (0: none)", dict(self.producer.answers))
        ended = [
            process.data_dir.name
            for process in self.processes
            if process.process is None or process.process.poll() is not None
        ]
        report.must_be_empty("processes that ended by themselves", ended)
        said = self.said()
        report.figure("late results refused (attempt.result_stale)", said["attempt.result_stale"])
        broken = [event for event in said if event.endswith(".broken")]
        report.must_be_empty("faults of the program in the logs", broken)
        return evidence

    def said(self) -> Counter[str]:
        """Count what all processes logged, by event."""
        found: Counter[str] = Counter()
        for process in self.processes:
            for line in process.log.read_text(errors="replace").splitlines():
                if line.startswith("{"):
                    found[json.loads(line)["event"]] += 1
        return found


def environment_of(role: str, url: str, number: int) -> dict[str, str]:
    """Return the settings of one process; its User-Agent says which."""
    return {
        "TILLBELL_USER_AGENT": f"{role}{number}",
        "DATABASE_URL": url,
        "TILLBELL_ROLE": role,
        "TILLBELL_MASTER_KEY": MASTER_KEY,
        "TILLBELL_LOG_FORMAT": "json",
        "TILLBELL_RETRY_SCHEDULE": SCHEDULE,
    }
