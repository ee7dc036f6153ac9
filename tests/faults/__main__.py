"""`python -m tests.faults [scenario …]`: hurt a fleet from outside, check that it keeps its word.

Prints each figure; exits with 1 on any violation.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.postgres_server import programs

from bench import processes
from tests.crash.report import Report
from tests.faults import clocks, cuts, full, held, many, network, server, upgrade, workers

SCENARIOS: dict[str, Callable[[Path, argparse.Namespace], Report]] = {
    "workers": lambda folder, options: workers.run(
        folder, options.seconds, options.every, options.seed
    ),
    "away": lambda folder, options: cuts.run_away(folder, options.away),
    "cut": lambda folder, options: cuts.run_one(folder, options.cut),
    "clocks": lambda folder, options: clocks.run(folder, options.skewed),
    "held": lambda folder, options: held.run(folder, options.held),
    "full": lambda folder, _: full.run(folder),
    "server": lambda folder, options: server.run(folder, options.restarts, options.seed),
    "many": lambda folder, options: many.run(folder, options.deliveries),
    "upgrade": lambda folder, options: upgrade.run(folder, options.pending, options.stored),
}
NEEDS: dict[str, Callable[[], bool]] = {
    "away": network.is_possible,
    "cut": network.is_possible,
    "full": full.is_possible,
}


def main() -> int:
    """Run the chosen scenarios; return 1 if any found a violation or could not run."""
    processes.end_tidily_on_sigterm()
    options = _options()
    if programs() is None:
        print("no PostgreSQL: install the dev dependencies", file=sys.stderr)
        return 1
    failed = False
    for name in options.scenarios or SCENARIOS:
        if name in NEEDS and not NEEDS[name]():
            print(f"{name} needs root, and {', '.join(network.NEEDED)}", file=sys.stderr)
            failed = True
            continue
        with tempfile.TemporaryDirectory(prefix="tillbell-faults-") as folder:
            report = SCENARIOS[name](Path(folder), options)
        report.show()
        failed = failed or bool(report.violations)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    names = ", ".join(SCENARIOS)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"of {names}")
    parser.add_argument("--restarts", type=int, default=50, help="of the server (50)")
    parser.add_argument("--seconds", type=float, default=300.0, help="of killing workers (300)")
    parser.add_argument("--every", type=float, default=2.0, help="seconds from kill to kill (2)")
    parser.add_argument("--away", type=float, default=600.0, help="seconds without database (600)")
    parser.add_argument("--cut", type=float, default=60.0, help="seconds of one worker's (60)")
    parser.add_argument(
        "--skewed", type=float, default=30.0, help="seconds of each wrong time (30)"
    )
    parser.add_argument("--held", type=float, default=180.0, help="seconds of a transaction (180)")
    parser.add_argument(
        "--deliveries", type=int, default=200_000, help="with nothing hurt (200,000)"
    )
    parser.add_argument("--pending", type=int, default=50_000, help="at an upgrade (50,000)")
    parser.add_argument("--stored", type=int, default=1_000_000, help="at an upgrade (1,000,000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of all chance")
    options = parser.parse_args()
    if wrong := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no scenario {', '.join(wrong)}; there are {names}")
    return options


if __name__ == "__main__":
    sys.exit(main())
