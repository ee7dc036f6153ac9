"""A check that the database accepts a write now."""

from __future__ import annotations

import asyncio

from tillbell.errors import StoreUnavailable
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.methods import read, write
from tillbell.storage.session.connection import DbReader
from tillbell.storage.session.transaction import DbTransaction

CHECK_TIMEOUT_S = 5.0


class ProbeMethods:
    """`Database.check`."""

    writer: Writer

    async def check(self) -> None:
        """Commit something that changes nothing; `StoreUnavailable` if that takes too long."""
        try:
            await asyncio.wait_for(probe(self), CHECK_TIMEOUT_S)
        except TimeoutError:
            raise StoreUnavailable(
                f"The database has not finished a write for {CHECK_TIMEOUT_S:g} s."
            ) from None


@read
def size(db: DbReader) -> int:
    """Ask how large the database is."""
    return int(db.query("database_size")[0][0])


@write()
def probe(db: DbTransaction) -> None:
    """Write something that changes nothing."""
    db.query("probe")
