"""How many pages a claim touches: the store's own statement, explained while it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg

from tillbell.storage.ports.outbound import LaneKey
from tillbell.storage.session.statements import load

sql = load("postgres")


class Touched(NamedTuple):
    """What one statement touched."""

    rows: int
    pages: int  # of tables and indexes, each time it was looked at; found in memory or not
    index_pages: int  # of those, pages of the index that the lanes are found by


def touched(url: str, now: int, wanted: Sequence[tuple[LaneKey, int]]) -> Touched:
    """Explain the claim's reading statement, with the plan that is kept; nothing stays claimed."""
    lanes, most = zip(*wanted, strict=True)
    text = re.sub(r"\?(\d+)", r"$\1", sql("due_deliveries")).rstrip(";")
    with psycopg.connect(url) as connection:
        cursor = psycopg.RawCursor(connection)
        cursor.execute(sql("begin").partition(";")[2].encode())
        cursor.execute(f"PREPARE claim AS {text}".encode())
        apps, endpoints = zip(*lanes, strict=True)
        nows, since = [now] * len(lanes), [0] * len(lanes)  # a look at everything: the dearest
        bound = ", ".join(map(_list, (apps, endpoints, nows, most, since)))
        for _ in range(2):  # the first run marks dead entries and fills caches
            cursor.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE claim({bound})".encode()
            )
            found = cursor.fetchall()
        connection.rollback()
    return _summed(found[0][0][0]["Plan"])


def _list(values: Sequence[object]) -> str:
    if isinstance(values[0], str):
        return "ARRAY[" + ",".join(f"'{value}'" for value in values) + "]::text[]"
    return "ARRAY[" + ",".join(map(str, values)) + "]::bigint[]"


def _summed(plan: dict[str, Any]) -> Touched:
    index = [node for node in _nodes(plan) if "held_due_at" in node.get("Index Name", "")]
    return Touched(
        int(plan["Actual Rows"]),
        plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        sum(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in index),
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
