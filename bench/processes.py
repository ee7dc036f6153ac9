"""Child processes: started, asked, measured by /proc, and ended by id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
END_S = 20.0
ROOT = Path(__file__).resolve().parent.parent


class Child:
    """One of our own programs, `python -m <module> <plan>`, that answers in JSON lines."""

    def __init__(self, module: str, plan: str, *, core: int | None = None) -> None:
        command = [*pinned(core), sys.executable, "-m", module, plan]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def heard(self) -> dict[str, Any]:
        """Wait for the next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self.heard()

    def end(self) -> None:
        """Close its input, which ends it."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        end(self.process)


def end_tidily_on_sigterm() -> None:
    """Leave through every `finally` when told to end, so that no child is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def pinned(core: int | None) -> list[str]:
    """Return the start of a command line that keeps the program on one core."""
    return [] if core is None else ["taskset", "-c", str(core)]


def end(process: subprocess.Popen[Any]) -> int:
    """Ask a process to end, insist after `END_S`; return its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(END_S)


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    try:
        lists = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return []
    children = [int(child) for line in lists for child in line.split()]
    return [pid, *(member for child in children for member in family(child))]


def cpu_s(pid: int) -> float:
    """Return the CPU seconds, user and system, that a process and its descendants used."""
    return sum(_own_cpu_s(member) for member in family(pid))


def _own_cpu_s(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0.0
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold spaces
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def machine_cpu_s() -> float:
    """Return the CPU seconds that everything on the machine used, interrupts included."""
    line = Path("/proc/stat").read_text().split("\n", 1)[0]
    user, nice, system, _, _, irq, softirq, *_ = map(int, line.split()[1:])
    return (user + nice + system + irq + softirq) / TICKS_A_SECOND


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process and its descendants, in MiB."""
    return sum(_own_rss_mb(member) for member in family(pid))


def _own_rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def pss_mb(pid: int) -> float:
    """Return the memory of a process and its descendants, in MiB: what they share counts once."""
    return sum(_own_pss_mb(member) for member in family(pid))


def _own_pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 2**10
