"""`python -m bench flames`: flame graphs of the gateway under load, as SVG in docs/flames.

py-spy samples the gateway while it takes messages, or callbacks, as fast as it can, on both stores.
The program is found on the PATH, or named by `--spy`; `pip install py-spy` brings it. A frame is a
function and its module. A frame from outside the packages has the name of its file alone, so no
folder of the machine is in a graph.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple, Self
from xml.sax.saxutils import escape

from bench import postgres
from bench.callbacks import CallbackScene
from bench.gateway import GatewayProcess
from bench.postgres import Databases
from bench.scene import BenchRun, CaseRun, Effort, GatewayFailed
from bench.sustained import one_load

FOLDER = Path(__file__).parents[1] / "docs" / "flames"
STORES = ("sqlite", "postgres")
RATE_HZ = 250
WIDTH, ROW, LETTER = 1200, 17, 6.6  # pixels
NARROWEST = 0.6  # pixels: what is narrower is left out
# Threads that wait for work; py-spy takes them for busy ones.
WAITING = ("_worker (concurrent/futures/thread.py", "Writer._serve (")
CALLBACKS_A_SECOND = 400  # how many are sent for each second of a load


@dataclass
class Frame:
    """A function in one stack: its samples, and the functions that it called."""

    count: int = 0
    called: dict[str, Frame] = field(default_factory=dict)

    @classmethod
    def of_stacks(cls, stacks: Mapping[str, int]) -> Self:
        """Return the root of all stacks; a stack is names joined by `;`, the outermost first."""
        root = cls()
        for stack, count in stacks.items():
            root.count += count
            frame: Frame = root
            for name in stack.split(";"):
                frame = frame.called.setdefault(name, Frame())
                frame.count += count
        return root

    def depth(self) -> int:
        """Return how many rows it needs."""
        return 1 + max((frame.depth() for frame in self.called.values()), default=0)


def main(arguments: Sequence[str]) -> int:
    """Write a graph for each case and store; return 1 if it cannot be done."""
    options = _options(arguments)
    if options.spy is None:
        print("py-spy is not on the PATH: pip install py-spy", file=sys.stderr)
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    effort = Effort(seconds=options.seconds)
    has_postgres = "postgres" in options.stores
    with postgres.databases() if has_postgres else nullcontext() as server:
        for store, name in product(options.stores, CASES):
            databases = server if store == "postgres" else None
            stacks = _stacks_under_load(options.spy, name, effort, databases)
            target = options.folder / f"{name}-{store}.svg"
            target.write_text(svg(f"{name}, {store}", stacks))
            print(f"written: {target.name}, {sum(stacks.values())} samples", flush=True)
    return 0


def _stacks_under_load(
    spy: str, name: str, effort: Effort, databases: Databases | None
) -> dict[str, int]:
    """Load a gateway on an empty store, and return the stacks that were met."""
    with (
        tempfile.TemporaryDirectory(prefix="tillbell-bench-") as folder,
        databases.empty() if databases else nullcontext() as database,
        CASES[name](CaseRun(effort, Path(folder) / name, database)) as (gateway, load),
    ):
        load()  # the first one warms up
        return sampled(spy, gateway.pid, load, Path(folder) / "stacks")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench flames", description=__doc__)
    parser.add_argument("--spy", default=shutil.which("py-spy"), help="the program py-spy")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one load (5)")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    return parser.parse_args(arguments)


_Scene = tuple[GatewayProcess, Callable[[], object]]


@contextmanager
def _publish(place: CaseRun) -> Iterator[_Scene]:
    """Messages whose headers differ, each delivered to one endpoint."""
    with BenchRun(place) as scene:
        subscribed = scene.subscribe()
        sent = 0

        def load() -> None:
            nonlocal sent
            sent += len(one_load(scene, subscribed, 1, {"first": sent, "varied": True})[1].due)

        yield scene.gateway, load


@contextmanager
def _callbacks(place: CaseRun) -> Iterator[_Scene]:
    """Callbacks, each of which approves a payment and is delivered."""
    count = int(place.effort.seconds * CALLBACKS_A_SECOND)
    with CallbackScene(place) as scene:
        uids = scene.transactions(2 * count)
        yield scene.gateway, lambda: scene.sustained([uids.pop() for _ in range(count)])


CASES = {"publish": _publish, "callbacks": _callbacks}


def sampled(spy: str, pid: int, load: Callable[[], object], path: Path) -> dict[str, int]:
    """Sample a process while the load runs; return its stacks and how often each was met."""
    options = ["--rate", str(RATE_HZ), "--duration", "600", "--format", "raw", "--function"]
    record = [spy, "record", "--pid", str(pid), *options, "--output", str(path)]
    with subprocess.Popen(record, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as sampler:
        load()
        sampler.send_signal(signal.SIGINT)
        text, _ = sampler.communicate()
    if not path.is_file():
        raise GatewayFailed(f"py-spy wrote nothing: {text.decode(errors='replace')}")
    return stacks_of(path.read_text())


def stacks_of(text: str) -> dict[str, int]:
    """Read lines of a stack and its count; without threads that wait, and without folders."""
    stacks: dict[str, int] = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack.rpartition(";")[2].startswith(WAITING):
            continue
        name = ";".join(_portable(frame) for frame in stack.split(";"))
        stacks[name] = stacks.get(name, 0) + int(count)
    return stacks


def _portable(frame: str) -> str:
    """Return a frame, `function (file)`, without a folder that only this machine has."""
    function, bracket, file = frame.partition(" (")
    if not file.startswith("/"):
        return frame
    return f"{function}{bracket}{file.rpartition('/')[2]}"


def svg(title: str, stacks: Mapping[str, int]) -> str:
    """Draw stacks, the outermost function at the bottom; a tooltip tells a frame's share."""
    root = Frame.of_stacks(stacks)
    height = (root.depth() + 2) * ROW
    shapes = list(_shapes("all", root, Place(0.0, height - ROW), root.count))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
            "<style>text { font: 11px monospace }</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            f'<text x="6" y="13">{escape(title)}: {root.count} samples</text>',
            *shapes,
            "</svg>\n",
        ]
    )


class Place(NamedTuple):
    """Where a frame is drawn, in pixels: its left and upper edge."""

    x: float
    y: float


def _shapes(name: str, frame: Frame, place: Place, samples: int) -> Iterator[str]:
    """Draw a frame and what it called above it; the width is its share of all samples."""
    x, y = place
    width = WIDTH * frame.count / max(1, samples)
    if width < NARROWEST:
        return
    share = f"{escape(name)}: {frame.count / max(1, samples):.1%}"
    fill = "#f2a65a" if "tillbell/" in name else "#cfd8dc"
    shown = escape(name[: int((width - 4) / LETTER)]) if width > 3 * LETTER else ""
    yield (
        f'<g><title>{share}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}"'
        f' height="{ROW - 1}" fill="{fill}" stroke="#fff" stroke-width=".4"/>'
        f'<text x="{x + 2:.1f}" y="{y + 12}">{shown}</text></g>'
    )
    for called, child in sorted(frame.called.items()):
        yield from _shapes(called, child, Place(x, y - ROW), samples)
        x += WIDTH * child.count / max(1, samples)
