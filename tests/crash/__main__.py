"""`python -m tests.crash [battery …]`: hurt the product from outside, check that it keeps its word.

Prints each figure; exits with 1 on any violation.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import processes
from tests.crash import disk_full, kill_loop, power_cut, write_errors
from tests.crash.report import Report

NEEDS = {"power-cut": "strace", "write-errors": "strace", "disk-full": "mount"}


def main() -> int:
    """Run the chosen batteries; return 1 if any found a violation or could not run."""
    processes.end_tidily_on_sigterm()
    options = _options()
    batteries: dict[str, Callable[[Path], Report]] = {
        "kill-loop": lambda folder: kill_loop.run(folder, options.cycles, options.seed),
        "power-cut": lambda folder: power_cut.run(folder, options.cuts, options.seed),
        "write-errors": lambda folder: write_errors.run(folder, options.errors),
        "disk-full": disk_full.run,
    }
    failed = False
    for name in options.batteries or batteries:
        tool = NEEDS.get(name)
        if tool and shutil.which(tool) is None:
            print(f"{name} needs {tool}: apt-get install {tool}", file=sys.stderr)
            failed = True
            continue
        with tempfile.TemporaryDirectory(prefix="tillbell-crash-") as folder:
            report = batteries[name](Path(folder))
        report.show()
        failed = failed or bool(report.violations)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    names = ("kill-loop", "power-cut", "write-errors", "disk-full")
    parser.add_argument("batteries", nargs="*", metavar="battery", help=f"of {', '.join(names)}")
    parser.add_argument("--cycles", type=int, default=100, help="kills in the kill loop (100)")
    parser.add_argument("--cuts", type=int, default=40, help="power cuts (40)")
    parser.add_argument("--errors", type=int, default=30, help="write errors of each kind (30)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of all chance")
    options = parser.parse_args()
    if wrong := set(options.batteries) - set(names):
        parser.error(f"no battery {', '.join(wrong)}; there are {', '.join(names)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
