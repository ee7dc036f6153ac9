"""The peers' side of the bench: their environment, their Redis, and one case each.

A peer gets an easier case than the gateway's: its queue is filled beforehand, then workers
start, sign and post to the same receiver. The rate counts from the first arrival to the
last, so neither enqueuing nor starting costs it anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.figures import Measures
from bench.gateway import free_port
from bench.processes import ROOT, Child
from bench.receiver import ReceiverPlan
from bench.scene import DRAIN_S, Effort, GatewayFailed, read_instants

VENV = ROOT / ".venv-bench"
LOCK = ROOT / "requirements" / "bench.txt"
KEY = "whsec_c2VjcmV0LW9mLXRoZS1iZW5jaC1wZWVycw=="
_POLL_S = 0.05


@dataclass(frozen=True)
class Peer:
    """One task queue in one configuration."""

    module: str
    messages_a_second: int  # to enqueue for each second of the run; near what it can deliver
    worker: tuple[str, ...]  # command line after `.venv-bench/bin/`


_CELERY = ("celery", "-A", "bench.peers.celery_peer:app", "worker", "--loglevel", "ERROR")
_LEAN = ("--without-gossip", "--without-mingle", "--without-heartbeat")
PEERS = {
    "celery-prefork-2": Peer("celery_peer", 600, (*_CELERY, *_LEAN, "--concurrency", "2")),
    "celery-prefork-8": Peer("celery_peer", 600, (*_CELERY, *_LEAN, "--concurrency", "8")),
    "celery-threads-16": Peer(
        "celery_peer", 600, (*_CELERY, *_LEAN, "--pool", "threads", "--concurrency", "16")
    ),
    "dramatiq": Peer(
        "dramatiq_peer",
        1_200,
        ("dramatiq", "bench.peers.dramatiq_peer", "--processes", "2", "--threads", "8"),
    ),
    "taskiq": Peer(
        "taskiq_peer",
        2_400,
        (
            *("taskiq", "worker", "bench.peers.taskiq_peer:broker"),
            *("--workers", "2", "--log-level", "ERROR"),
        ),
    ),
}


def why_not() -> str:
    """Say what is missing to run the peers; "" if nothing is."""
    if shutil.which("redis-server") is None:
        return "the peers need Redis: apt-get install redis-server"
    return ""


def prepare() -> None:
    """Make `.venv-bench` with the locked packages if it is not there or older than the lock."""
    ready = VENV / ".ready"
    if ready.exists() and ready.stat().st_mtime >= LOCK.stat().st_mtime:
        return
    print(f"installing the peers into {VENV.name} …", file=sys.stderr)
    python, options = str(VENV / "bin" / "python"), ["--require-hashes", "--only-binary", ":all:"]
    if uv := shutil.which("uv"):
        _run(uv, "venv", "--quiet", "--clear", str(VENV))
        _run(uv, "pip", "install", "--quiet", "--python", python, *options, "-r", str(LOCK))
    else:
        _run(sys.executable, "-m", "venv", "--clear", str(VENV))
        _run(python, "-m", "pip", "install", "--quiet", *options, "-r", str(LOCK))
    (VENV / ".gitignore").write_text("*\n")
    ready.touch()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


@dataclass(frozen=True)
class _Stage:
    """The cast of one run."""

    peer: Peer
    receiver: Child
    environment: dict[str, str]
    folder: Path

    @contextmanager
    def workers(self) -> Iterator[int]:
        """Run the workers as their documentation says; yields the parent's process id."""
        program, *arguments = self.peer.worker
        with (self.folder / "worker.log").open("wb") as log:
            process = subprocess.Popen(
                [str(VENV / "bin" / program), *arguments],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process.pid
        finally:
            processes.end(process)

    def enqueue(self, until: int) -> None:
        """Fill the queue with messages 0 to `until`."""
        subprocess.run(
            [
                str(VENV / "bin" / "python"),
                "-m",
                "bench.peers.publish",
                self.peer.module,
                "0",
                str(until),
            ],
            cwd=ROOT,
            env=self.environment,
            check=True,
        )

    def await_arrivals(self, wanted: int) -> dict[str, int]:
        """Wait until so many messages arrived; each once and as sent."""
        deadline = time.monotonic() + DRAIN_S
        while (counts := self.receiver.ask())["distinct"] < wanted:
            if time.monotonic() > deadline:
                log = (self.folder / "worker.log").read_text(errors="replace")
                raise GatewayFailed(f"{self.peer.module} lost messages: {counts}\n{log[-2000:]}")
            time.sleep(_POLL_S)
        if counts["altered"] or counts["forged"] or counts["again"]:
            raise GatewayFailed(f"{self.peer.module} repeated, altered or badly signed: {counts}")
        return counts


def measure(name: str, effort: Effort, folder: Path) -> Measures:
    """Let one peer drain a queue that was filled before."""
    folder.mkdir(parents=True)
    messages = int(PEERS[name].messages_a_second * effort.seconds)
    receiver = Child("bench.receiver", ReceiverPlan(messages, 1, effort.verify_every).dumped())
    try:
        url = f"http://127.0.0.1:{receiver.heard()['port']}/ok/0"
        receiver.ask(keys=[KEY])
        with _redis(folder) as redis_url:
            places = {"PEER_URL": url, "PEER_REDIS": redis_url, "PEER_KEY": KEY}
            stage = _Stage(PEERS[name], receiver, {**os.environ, **places}, folder)
            stage.enqueue(messages)
            with stage.workers() as pid:
                return _drained(stage, pid, messages)
    finally:
        receiver.end()


def _drained(stage: _Stage, workers: int, messages: int) -> Measures:
    stage.await_arrivals(1)
    cpu_before = processes.cpu_s(workers)
    already = stage.receiver.ask()["distinct"]
    stage.await_arrivals(messages)
    cpu_s = processes.cpu_s(workers) - cpu_before
    stage.receiver.ask(save=str(stage.folder / "arrived.bin"))
    arrived = read_instants(stage.folder / "arrived.bin", messages)
    return {
        "per_s": (messages - 1) / ((max(arrived) - min(arrived)) / 1e9),
        "cpu_us": cpu_s / (messages - already) * 1e6,
        "rss_mb": processes.rss_mb(workers),
    }


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """Run a Redis that keeps nothing on disk."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(
        ["redis-server", *options, "--dir", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        processes.end(process)
