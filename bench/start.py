"""`python -m bench start`: how soon a gateway is ready, and its memory when nothing happens.

Each start is of a store that an earlier start has made, as after a restart. `--reference` starts
another build in turns, on a store of its own: the machine is the same for both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

from bench import postgres, processes, table
from bench.against import STORES, program_at, spread_text
from bench.figures import Measures
from bench.gateway import GatewayProcess
from bench.postgres import Databases

REST_S = 5.0
LINES = {
    "ready_s": "ready after, s",
    "ready_cpu_s": "CPU until ready, s",
    "rss_mb": "at rest, resident, MiB",
    "pss_mb": "at rest, its share of what is resident (PSS), MiB",
    "rest_cpu_s": "CPU of the first 5 s after it, s",
    "first_s": "first request to the REST API, s",
}


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench start", description=__doc__)
    parser.add_argument("--reference", type=program_at, help="a checkout, or a `tillbell` program")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    options = parser.parse_args(arguments)
    print(f"{table.machine()}\n{table.versions()}", flush=True)
    programs = [options.reference, None] if options.reference else [None]
    with postgres.databases() if "postgres" in options.stores else nullcontext() as server:
        for store in options.stores:
            databases = server if store == "postgres" else None
            rounds = _rounds(programs, options.rounds, databases)
            _print(store, rounds)
    return 0


def _rounds(
    programs: Sequence[Path | None], count: int, databases: Databases | None
) -> list[list[Measures]]:
    """Start every program once a round; return the rounds of each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tillbell-bench-")))
        gateways = []
        for number, program in enumerate(programs):
            database = stack.enter_context(databases.empty()) if databases else None
            environment = {"DATABASE_URL": database.url} if database else {}
            gateway = GatewayProcess(folder / str(number), environment=environment, program=program)
            gateway.start()
            gateway.stop()
            gateways.append(gateway)
        results: list[list[Measures]] = [[] for _ in programs]
        for _ in range(count):
            for gateway, result in zip(gateways, results, strict=True):
                result.append(_one_start(gateway))
                shown = "  ".join(f"{key} {table.number(x)}" for key, x in result[-1].items())
                print(shown, flush=True)
        return results


def _one_start(gateway: GatewayProcess) -> Measures:
    """Start it, leave it alone for a while, ask the REST API once, and stop it."""
    ready_s = gateway.start()
    try:
        ready_cpu_s = processes.cpu_s(gateway.pid)
        time.sleep(REST_S)
        rest_cpu_s = processes.cpu_s(gateway.pid) - ready_cpu_s
        rss_mb, pss_mb = processes.rss_mb(gateway.pid), processes.pss_mb(gateway.pid)
        began = time.monotonic()
        gateway.call("GET", "/api/v1/app").json()
        first_s = time.monotonic() - began
    finally:
        gateway.stop()
    return {
        "ready_s": ready_s,
        "ready_cpu_s": ready_cpu_s,
        "rss_mb": rss_mb,
        "pss_mb": pss_mb,
        "rest_cpu_s": rest_cpu_s,
        "first_s": first_s,
    }


def _print(store: str, rounds: Sequence[Sequence[Measures]]) -> None:
    names = ["reference", "present"][-len(rounds) :]
    print(f"\n| {store}: median, lowest – highest | {' | '.join(names)} |")
    print(f"| --- |{' --- |' * len(names)}")
    for measure, title in LINES.items():
        cells = [spread_text([one[measure] for one in result]) for result in rounds]
        print(f"| {title} | {' | '.join(cells)} |")
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
