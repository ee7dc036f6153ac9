"""`python -m bench [case …]`: measure, print the table, and with `--write` write the page."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

from bench import page, processes, rivals, table
from bench.cases import CASES, Measures
from bench.rivals import PEERS
from bench.scale import run
from bench.scene import QUICK, Effort, Wrong

ONCE = frozenset({"memory"})  # long and steady: one round is enough


def main() -> int:
    """Run the chosen cases; return 1 if the gateway did something wrong or a peer is missing."""
    if sys.argv[1:2] == ["scale"]:
        return run.main(sys.argv[2:])
    processes.end_tidily_on_sigterm()
    options = _options()
    effort = _effort(options)
    names, missing = _chosen(options.cases)
    rounds: list[dict[str, Measures]] = []
    try:
        for number in range(effort.rounds):
            rounds.append({})
            for name in names:
                if number == 0 or name not in ONCE:
                    rounds[-1][name] = _measured(name, effort, number)
    except Wrong as wrong:
        print(f"WRONG: {wrong}", file=sys.stderr)
        return 1
    found = table.figures(rounds)
    print(f"\n{table.machine()}\n{table.versions()}\n\n{table.as_text(found)}")
    if options.write:
        print(f"\nwritten: {page.write(found, effort)}")
    return 1 if missing and os.environ.get("CI") == "true" else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    known = [*CASES, *PEERS, "gateway", "peers"]
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


def _chosen(cases: list[str]) -> tuple[list[str], str]:
    """Return the cases to run, and why peers among them cannot be."""
    groups = {"gateway": list(CASES), "peers": list(PEERS)}
    wanted = [name for case in cases or groups for name in groups.get(case, [case])]
    missing = rivals.why_not() if set(wanted) & set(PEERS) else ""
    if missing:
        print(missing, file=sys.stderr)
        wanted = [name for name in wanted if name not in PEERS]
    elif set(wanted) & set(PEERS):
        rivals.prepare()
    return wanted, missing


def _measured(name: str, effort: Effort, number: int) -> Measures:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tillbell-bench-") as folder:
        place = Path(folder) / name
        case = CASES.get(name)
        found = case(effort, place) if case else rivals.measure(name, effort, place)
    shown = "  ".join(f"{key} {table.number(value)}" for key, value in found.items())
    print(f"round {number + 1}  {name:<18} {time.monotonic() - began:5.1f} s  {shown}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
