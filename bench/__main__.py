"""`python -m bench [case …]`: measure, print the table, and with `--write` write the page."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from bench import against, flames, page, postgres, processes, rivals, shop, start, table
from bench.cases import ON_POSTGRES, ON_SQLITE, PROCESSES
from bench.dashboard import open_pages
from bench.dashboard import run as pages
from bench.figures import Measures
from bench.lines import PARTS
from bench.postgres import Databases
from bench.rivals import PEERS
from bench.scale import run
from bench.scene import QUICK, CaseRun, Effort, GatewayFailed

NEED_POSTGRES = {**ON_POSTGRES, **PROCESSES}
CASES = {**ON_SQLITE, **NEED_POSTGRES}
GROUPS = {
    "gateway": list(ON_SQLITE),
    "postgres": list(ON_POSTGRES),
    "processes": list(PROCESSES),
    "peers": list(PEERS),
}
# With options and tables of their own.
OWN = {
    "against": against.main,
    "dashboards": open_pages.main,
    "flames": flames.main,
    "pages": pages.main,
    "scale": run.main,
    "shop": shop.main,
    "start": start.main,
}
ONCE = frozenset({"memory", "postgres-callbacks"})  # long: one round is enough


def main() -> int:
    """Run the chosen cases; return 1 if the gateway did something wrong or a peer is missing."""
    processes.end_tidily_on_sigterm()
    if (own := OWN.get(" ".join(sys.argv[1:2]))) is not None:
        return own(sys.argv[2:])
    options = _options()
    effort = _effort(options)
    names, missing = _chosen(options.cases)
    try:
        rounds = _rounds(names, effort)
    except GatewayFailed as wrong:
        print(f"WRONG: {wrong}", file=sys.stderr)
        return 1
    print(f"\n{table.machine()}\n{table.versions()}")
    for part, lines in PARTS.items():
        if figures := table.figures(lines, rounds):
            print(f"\n{part}\n\n{table.as_text(figures)}")
    if options.write:
        print(f"\nwritten: {page.write(rounds, effort)}")
    return 1 if missing and os.environ.get("CI") == "true" else 0


def _rounds(names: list[str], effort: Effort) -> list[dict[str, Measures]]:
    """Run every case once a round, one after the other."""
    is_needed = not NEED_POSTGRES.keys().isdisjoint(names)
    with postgres.databases() if is_needed else nullcontext() as server:
        return [
            {
                name: _measured(name, effort, number, server)
                for name in names
                if number == 0 or name not in ONCE
            }
            for number in range(effort.rounds)
        ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    known = [*CASES, *PEERS, *GROUPS]
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    parser.add_argument("--rounds", type=int, help="interleaved runs of every case (5)")
    parser.add_argument("--seconds", type=float, help="length of one load (8)")
    parser.add_argument("--pending", type=int, help="messages of the memory case (1,000,000)")
    parser.add_argument("--pin", action="store_true", help="gateway and load on a core each")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    for case in options.cases:
        if case not in known:
            parser.error(f"no case {case!r}; there are {', '.join(known)}")
    return options


def _effort(options: argparse.Namespace) -> Effort:
    chosen = {
        name: value
        for name in ("rounds", "seconds", "pending")
        if (value := getattr(options, name)) is not None
    }
    return dataclasses.replace(QUICK if options.quick else Effort(), pin=options.pin, **chosen)


def _chosen(cases: list[str]) -> tuple[list[str], list[str]]:
    """Return the cases to run, and why others of those that are wanted cannot be."""
    wanted = [name for case in cases or GROUPS for name in GROUPS.get(case, [case])]
    missing = []
    for group, why_not in ((PEERS, rivals.why_not), (NEED_POSTGRES, postgres.why_not)):
        if not group.keys().isdisjoint(wanted) and (why := why_not()):
            print(why, file=sys.stderr)
            missing.append(why)
            wanted = [name for name in wanted if name not in group]
    if not PEERS.keys().isdisjoint(wanted):
        rivals.prepare()
    return wanted, missing


def _measured(name: str, effort: Effort, number: int, server: Databases | None) -> Measures:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tillbell-bench-") as folder:
        measures = _run_case(name, CaseRun(effort, Path(folder) / name), server)
    shown = "  ".join(f"{key} {table.number(value)}" for key, value in measures.items())
    print(f"round {number + 1}  {name:<21} {time.monotonic() - began:5.1f} s  {shown}", flush=True)
    return measures


def _run_case(name: str, place: CaseRun, server: Databases | None) -> Measures:
    if name in PEERS:
        return rivals.measure(name, place.effort, place.folder)
    if name not in NEED_POSTGRES:
        return ON_SQLITE[name](place)
    assert server is not None
    with server.empty() as database:
        return NEED_POSTGRES[name](dataclasses.replace(place, database=database))


if __name__ == "__main__":
    sys.exit(main())
