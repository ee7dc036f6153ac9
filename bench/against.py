"""`python -m bench against --reference DIR`: is this checkout faster or slower than another one?

Both gateways run at the same time, each on an empty store, and loads go to one after the other. In
the next round the other one begins. So both meet the same machine, and a ratio within a round says
what a rate of one run on a shared machine cannot say. Compare CPU first: it is what a gateway uses,
whatever else runs.

The reference is a checkout with an environment of its own (`git worktree add`, `make setup`), or a
`tillbell` program. Every request has headers that no other one has, as a traced client sends them:
what a gateway remembers of earlier requests must not flatter it.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from bench import postgres, processes, table
from bench.callbacks import CallbackScene
from bench.figures import Measures, spread
from bench.postgres import Databases
from bench.scene import BenchRun, CaseRun, Effort, GatewayFailed
from bench.sustained import FAN_OUT, one_load

CALLBACKS_A_SECOND = 400  # how many are sent for each second of a load
STORES = ("sqlite", "postgres")

_Cells = tuple[str, str, str, str]
Load = Callable[[], Measures]  # one load, until all is delivered and recorded


@contextmanager
def _publishing(place: CaseRun, endpoints: int = 1) -> Iterator[Load]:
    """Messages as fast as they are taken; each goes to all endpoints."""
    with BenchRun(place, endpoints) as scene:
        subscribed = scene.subscribe()
        sent = 0

        def load() -> Measures:
            nonlocal sent
            measures, loaded = one_load(scene, subscribed, 1, {"first": sent, "varied": True})
            sent += len(loaded.due)
            return measures

        yield load


def _fan_out(place: CaseRun) -> AbstractContextManager[Load]:
    return _publishing(place, FAN_OUT)


@contextmanager
def _callbacks(place: CaseRun) -> Iterator[Load]:
    """Callbacks, each of which approves a payment and is delivered.

    The payments of all rounds are made first, so that no time passes between the loads of a round.
    """
    count = int(place.effort.seconds * CALLBACKS_A_SECOND)
    with CallbackScene(place) as scene:
        uids = iter(scene.transactions(count * (place.effort.rounds + 1)))
        yield lambda: scene.sustained(list(itertools.islice(uids, count)))


CASES: dict[str, Callable[[CaseRun], AbstractContextManager[Load]]] = {
    "publish": _publishing,
    "fan-out": _fan_out,
    "callbacks": _callbacks,
}


class Turn(NamedTuple):
    """What the two gateways gave in one round."""

    reference: Measures
    present: Measures


def main(arguments: Sequence[str]) -> int:
    """Measure the cases and print a table; 1 if a gateway did something wrong or is slower."""
    options = _options(arguments)
    effort = Effort(rounds=options.rounds, seconds=options.seconds, verify_every=16)
    print(f"{table.machine()}\n{table.versions()}", flush=True)
    try:
        turns_of = _measured(options, effort)
    except GatewayFailed as wrong:
        print(f"WRONG: {wrong}", file=sys.stderr)
        return 1
    lines = [line for title, turns in turns_of.items() for line in lines_of(title, turns)]
    print("\n" + printed(lines, "reference", "present"))
    slower = [title for title, turns in turns_of.items() if best_ratio(turns) < options.least]
    for title in slower:
        ratio = best_ratio(turns_of[title])
        print(f"SLOWER: {title}: {ratio:.2f} of the reference", file=sys.stderr)
    return 1 if slower else 0


def _measured(options: argparse.Namespace, effort: Effort) -> dict[str, list[Turn]]:
    """Run every case on every store; return the turns of each."""
    has_postgres = "postgres" in options.stores
    with postgres.databases() if has_postgres else nullcontext() as server:
        return {
            f"{name}, {store}": _turns(
                name,
                effort,
                options.reference,
                server if store == "postgres" else None,
                options.http_processes,
            )
            for store in options.stores
            for name in options.cases
        }


def best_ratio(turns: Sequence[Turn]) -> float:
    """Return the median ratio of the rate or of the CPU, whichever is better.

    A version that is slower is so in both; a machine that others use disturbs one more often.
    """
    rates = [turn.present["per_s"] / turn.reference["per_s"] for turn in turns]
    costs = [turn.reference["cpu_us"] / turn.present["cpu_us"] for turn in turns]
    return max(spread(rates)[0], spread(costs)[0])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench against", description=__doc__)
    parser.add_argument(
        "--reference", type=program_at, required=True, help="a checkout, or a `tillbell` program"
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one load (2)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument(
        "--least", type=float, default=0.0, help="fail if a case is slower than so much of it"
    )
    parser.add_argument(
        "--http-processes", type=int, default=0, help="HTTP processes of the present gateway (0)"
    )
    return parser.parse_args(arguments)


def program_at(text: str) -> Path:
    """Return the `tillbell` of a checkout, or the program itself."""
    path = Path(text).resolve()
    program = path / ".venv" / "bin" / "tillbell" if path.is_dir() else path
    if not program.is_file():
        raise argparse.ArgumentTypeError(f"there is no {program}")
    return program


def _turns(
    name: str,
    effort: Effort,
    reference: Path,
    databases: Databases | None,
    http_processes: int,
) -> list[Turn]:
    """Start both gateways and load them in turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tillbell-bench-")))
        loads = []
        for program in (reference, None):
            database = stack.enter_context(databases.empty()) if databases else None
            place = CaseRun(effort, folder / ("present" if program is None else "reference"))
            place = dataclasses.replace(place, database=database, program=program)
            if program is None:
                place = dataclasses.replace(place, http_processes=http_processes)
            loads.append(stack.enter_context(CASES[name](place)))
        for load in loads:
            load()  # the first one warms up
        turns = []
        for number in range(effort.rounds):
            began_s, other_s = time.monotonic(), _other_cpu_s(databases)
            turns.append(_turn(*loads, reference_first=number % 2 == 0))
            others = (_other_cpu_s(databases) - other_s) / (time.monotonic() - began_s)
            print(f"{name} {number + 1}: {_as_text(turns[-1])}  others {others:.2f}", flush=True)
        return turns


def _other_cpu_s(databases: Databases | None) -> float:
    """Return the CPU seconds that were used by anything but this bench."""
    ours = processes.cpu_s(os.getpid()) + sum(os.times()[2:4])
    return processes.machine_cpu_s() - ours - (databases.cpu_s() if databases else 0.0)


def _turn(reference: Load, present: Load, *, reference_first: bool) -> Turn:
    if reference_first:
        of_reference, of_present = reference(), present()
    else:
        of_present, of_reference = present(), reference()
    return Turn(of_reference, of_present)


def _as_text(turn: Turn) -> str:
    names = ("per_s", "cpu_us", "database_us")
    return "  ".join(
        f"{name} {table.number(turn.reference[name])} → {table.number(turn.present[name])}"
        for name in names
        if name in turn.present
    )


# ── the table ────────────────────────────────────────────────────────────────────────────────────

_LINE = "| {} | {} | {} | {} |"
_RULE = ("---",) * 4


def printed(lines: Sequence[_Cells], reference: str, present: str) -> str:
    """Write the table of some lines; its columns have these names."""
    header = ("median, lowest – highest", reference, present, "ratio within a round")
    return "\n".join(_LINE.format(*line) for line in (header, _RULE, *lines))


def lines_of(title: str, turns: Sequence[Turn]) -> list[_Cells]:
    """Write the lines of a case. A ratio above 1 says that the present one is faster."""
    lines = [_line(f"{title}: a second", "per_s", turns, more_is_better=True)]
    lines.append(_line("· CPU of the gateway each, µs", "cpu_us", turns))
    if "database_us" in turns[0].present and any(t.present["database_us"] for t in turns):
        lines.append(_line("· CPU of PostgreSQL each, µs", "database_us", turns))
    return lines


def _line(
    title: str, measure: str, turns: Sequence[Turn], *, more_is_better: bool = False
) -> _Cells:
    reference = [turn.reference[measure] for turn in turns]
    present = [turn.present[measure] for turn in turns]
    pairs = zip(reference, present, strict=True)
    ratios = [(new / old if more_is_better else old / new) for old, new in pairs]
    return title, spread_text(reference), spread_text(present), spread_text(ratios)


def spread_text(values: Sequence[float]) -> str:
    """Write the median, the lowest and the highest."""
    median, low, high, _ = spread(values)
    return f"{table.number(median)}, {table.number(low)} – {table.number(high)}"
