"""docs/benchmarks.md: the figures with date, machine and how to repeat them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from bench import table
from bench.processes import ROOT
from bench.rivals import LOCK
from bench.scene import Effort
from bench.table import Figure

PAGE = ROOT / "docs" / "benchmarks.md"

_TEXT = """\
# Benchmarks

Written by `make bench ARGS=--write` on {date}.

Machine: {machine}. {versions}. Load generator, gateway, receiver and peers shared it.

{rounds} rounds; within a round every case ran once, one after the other, on an empty store, for
{seconds:g} s. Medians, with the lowest and highest round beside them. Ratios are taken within a
round. A shared machine moves throughput by tens of percent between runs; CPU per delivery
moves least.

{table}

## What is measured

- **Accepted → delivered → recorded.** A load generator publishes 1 KiB messages over
  {connections} kept-alive connections (`POST /api/v1/app/{{id}}/msg`, one message a request). Each
  is on disk with fsync before its 202. The clock stops when every accepted message has arrived
  at the receiver and the API counts it as succeeded. The receiver compares every byte and
  checks one signature in {verify_every}; a delivery that is lost, repeated, altered or badly signed
  ends the run without figures.
- **Latency.** Open loop: message *i* is due at *start + i / rate* whatever the gateway does, and
  its latency counts from then until the receiver has answered the first attempt, so a stall is
  charged to every message that it delayed. The first {warm_s:g} s are left out.
- **Isolation.** 50 endpoints, 2,000 messages a second, half of them for one endpoint, for
  {isolation_s:g} s: once all answer, once that one takes 30 s to. The p99 is that of the other 49.
- **Memory.** {pending:,} messages for a receiver that refuses connections; then the gateway is
  stopped and started again.
- **Peers.** The same messages, receiver and signature. Their queue is filled beforehand with no
  HTTP in front, and only the draining is timed; Redis writes nothing to disk; no attempt is
  recorded. {peers}.

## Repeat it

```
make bench                                  # all of it, {rounds} rounds
make bench ARGS="throughput latency-5000"   # some cases
make bench ARGS="--quick"                   # does it run? (no figures worth keeping)
make bench ARGS="--pin"                     # gateway on core 0, load generator on core 1
make bench ARGS="--write"                   # write this page
```

The peers need `redis-server`; their packages are locked in `requirements/bench.txt`
and go to `.venv-bench` on first use.
"""


def write(found: Sequence[Figure], effort: Effort) -> Path:
    """Write the page; return where."""
    PAGE.write_text(
        _TEXT.format(
            date=time.strftime("%Y-%m-%d", time.gmtime()),
            machine=table.machine(),
            versions=table.versions(),
            table=table.as_markdown(found),
            peers=_peers(),
            **{name: getattr(effort, name) for name in effort.__dataclass_fields__},
        )
    )
    return PAGE


def _peers() -> str:
    pattern = re.compile(r"^(celery|dramatiq|taskiq|requests|aiohttp|redis)==(\S+)", re.MULTILINE)
    return ", ".join(" ".join(pair) for pair in pattern.findall(LOCK.read_text()))
