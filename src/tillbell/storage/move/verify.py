"""The proof of a move: every table by the number of its rows and by a hash over them.

A row is written in one way (MessagePack) whichever database it comes from and hashed; a table's
hash is the sum of its rows' hashes. It is a sum and not a chain, because the order of rows may
differ: PostgreSQL keeps NUL as U+FFFD, and such a text sorts elsewhere there.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from tillbell.storage.move.tables import ALL, Table
from tillbell.storage.session.connection import DbConnection, Row

_BITS = 128
_encode = msgspec.msgpack.Encoder().encode


class TableDigest(NamedTuple):
    """What a table holds."""

    rows: int
    hash: str  # 32 hexadecimal digits


class TableProof(NamedTuple):
    """A table on both sides."""

    table: str
    source: TableDigest
    target: TableDigest

    @property
    def is_equal(self) -> bool:
        """Whether every row of either side is on the other."""
        return self.source == self.target


def prove_tables(
    source: DbConnection, target: DbConnection, watch: Callable[[str], object]
) -> list[TableProof]:
    """Read both stores from end to end; `watch` gets each table's name before."""
    proofs = []
    for table in ALL:
        watch(table.name)
        proofs.append(
            TableProof(table.name, table_digest(source, table), table_digest(target, table))
        )
    return proofs


def table_digest(connection: DbConnection, table: Table) -> TableDigest:
    """Add up a table."""
    count = total = 0
    for page in table.pages(connection):
        count += len(page)
        total += sum(_hash(row) for row in page)
    return TableDigest(count, f"{total % 2**_BITS:0{_BITS // 4}x}")


def _hash(row: Row) -> int:
    digest = blake2b(_encode([_as_kept(value) for value in row]), digest_size=_BITS // 8)
    return int.from_bytes(digest.digest(), "big")


def _as_kept(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
