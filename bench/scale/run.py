"""`python -m bench scale [--sizes 10000,100000,1000000]`: fill, measure, print the table."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Sequence

from bench import processes, table
from bench.postgres import BenchDatabase, databases, version
from bench.scale import plans, report
from bench.scale.counted import CountedDatabase
from bench.scale.fill import DEEP, EQUAL, Filling, lane
from bench.scale.probe import BATCH, Probe
from bench.scale.report import SizeResult
from tillbell.storage.ports.outbound import LaneKey

BYTES_EACH = 1_600  # at most, of tables and indexes
SETTINGS = ("max_wal_size=1GB", "full_page_writes=off")  # little disk, and a log without copies
SIZES = "10000,100000,1000000"


def main(arguments: Sequence[str]) -> int:
    """Run; return 1 if the disk is too small."""
    processes.end_tidily_on_sigterm()
    parser = argparse.ArgumentParser(prog="python -m bench scale", description=__doc__)
    parser.add_argument("--sizes", default=SIZES, help="deliveries that wait, ascending")
    parser.add_argument("--calls", type=int, default=30, help="of each operation at each size")
    parser.add_argument("--markdown", action="store_true", help="write the table for a page")
    options = parser.parse_args(arguments)
    wanted = [int(size) for size in options.sizes.split(",")]
    free = shutil.disk_usage("/tmp").free
    if wanted[-1] * BYTES_EACH > free:
        print(f"{wanted[-1]:,} deliveries need {wanted[-1] * BYTES_EACH:,} bytes", file=sys.stderr)
        return 1
    sizes = asyncio.run(_measured(wanted, options.calls))
    write = report.as_markdown if options.markdown else report.as_text
    print(f"\n{table.machine()}\n\n{write(sizes)}")
    print(f"\nround trips: {report.round_trips(sizes[-1])}")
    return 0


async def _measured(wanted: Sequence[int], calls: int) -> list[SizeResult]:
    with databases(*SETTINGS) as server, server.empty() as database:
        filling = Filling(database)
        print(f"{version()}; partitions for a quarter of a year", flush=True)
        await filling.prepare()
        found = []
        for count in wanted:
            found.append(await _size(filling, count, calls))
            print(f"{count:>12,} filled in {found[-1].fill_s:.0f} s, measured", flush=True)
        return found


async def _size(filling: Filling, count: int, calls: int) -> SizeResult:
    fill_s = filling.fill_to(count)
    pages, bytes_ = _pages_and_bytes(filling.database)
    touched = {
        f"claim of {name}": plans.touched(filling.database.url, filling.clock.now(), wanted)
        for name, wanted in _claims(filling).items()
    }
    store = CountedDatabase(filling.database.url, filling.clock)
    await store.open()
    timings = await Probe(filling, store, calls).measure()
    await store.close()
    return SizeResult(count, filling.endpoints, fill_s, bytes_ / count, pages, timings, touched)


def _claims(filling: Filling) -> dict[str, list[tuple[LaneKey, int]]]:
    step = max(1, (filling.endpoints - 2) // BATCH)
    lanes = [(lane(n), 1) for n in range(2, filling.endpoints, step)][:BATCH]
    return {
        "500 lanes × 1": lanes,
        "1 deep lane × 500": [(lane(DEEP), BATCH)],
        "1 lane × 500, all due at once": [(lane(EQUAL), BATCH)],
    }


def _pages_and_bytes(database: BenchDatabase) -> tuple[int, int]:
    pages, bytes_ = database.ask(
        "SELECT (SELECT sum(relpages) FROM pg_class WHERE relkind = 'i'"
        "        AND relname LIKE 'deliveries%held_due_at%')::bigint,"
        " pg_database_size(current_database())::bigint"
    )
    return int(str(pages)), int(str(bytes_))
