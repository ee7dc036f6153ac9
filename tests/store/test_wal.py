"""The write-ahead log of SQLite stays short, however much is read, and nobody hears of BUSY."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.store.outbound_harness import OutboundHarness
from tillbell.storage.ports.outbound import MessageFilter, Page
from tillbell.storage.sqlite.connection import LONG_PAGES, SqliteConnection, open_reader
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

pytestmark = pytest.mark.sqlite

BODY = b"x" * 512 * 1024
TOGETHER = 8  # in one commit
COMMITS = 30  # seven times what the log is to hold
PAGE_BYTES = 4_096
LONG_BYTES = LONG_PAGES * PAGE_BYTES
KEPT_BYTES = 64 * 1024 * 1024  # journal_size_limit: a log that was longer is cut to that
MARGIN_BYTES = 2 * TOGETHER * len(BODY)  # it is looked at after each commit
BOUND_BYTES = 4 * LONG_BYTES + MARGIN_BYTES  # to begin it anew may fail a few times in a row


class WalHarness(OutboundHarness):
    """A shop on a file that is looked at."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.path = folder / "tillbell.db"
        self.database = SqliteDatabase(self.path, clock)
        super().__init__(self.database, clock)

    def log_bytes(self) -> int:
        return self.path.with_name(self.path.name + "-wal").stat().st_size

    async def commit(self) -> None:
        """Publish some large messages together."""
        messages = [self.message() for _ in range(TOGETHER)]
        await asyncio.gather(*(self.add(message, large=BODY) for message in messages))

    async def longest_log(self) -> int:
        """Write all; return how long the log was at most."""
        longest = 0
        for _ in range(COMMITS):
            await self.commit()
            longest = max(longest, self.log_bytes())
        return longest


@pytest.fixture
async def shop(tmp_path: Path, clock: ManualClock) -> AsyncIterator[WalHarness]:
    made = WalHarness(tmp_path, clock)
    await made.database.open()
    yield made
    await made.database.close()


@contextlib.asynccontextmanager
async def reading(look: Callable[[], Awaitable[object]], at_once: int) -> AsyncIterator[None]:
    """Read again and again; what one of them hears is heard at the end."""
    is_over = False

    async def read() -> int:
        count = 0
        while not is_over:
            await look()
            count += 1
        return count

    tasks = [asyncio.ensure_future(read()) for _ in range(at_once)]
    yield
    is_over = True
    assert all(await asyncio.gather(*tasks))


class Relay:
    """Readers of which one begins before the other ends, so that somebody always reads."""

    def __init__(self, path: Path) -> None:
        self._links = [open_reader(path), open_reader(path)]

    async def look(self) -> None:
        self._links.reverse()
        await asyncio.to_thread(self._take_over, *self._links)

    @staticmethod
    def _take_over(fresh: SqliteConnection, old: SqliteConnection) -> None:
        fresh.query("begin_reading")
        fresh.query("applied_migrations")  # only now it reads
        if old.in_transaction:
            old.query("rollback")

    def close(self) -> None:
        for link in self._links:
            link.close()


async def test_lists_that_are_read_all_the_time_do_not_let_the_log_grow(shop: WalHarness) -> None:
    await shop.commit()
    page = Page(limit=200)

    async with reading(lambda: shop.store.messages(shop.app, MessageFilter(), page), 4):
        longest = await shop.longest_log()

    assert longest <= BOUND_BYTES


async def test_reads_that_overlap_without_an_end_do_not_let_the_log_grow(shop: WalHarness) -> None:
    with contextlib.closing(Relay(shop.path)) as relay:
        async with reading(relay.look, 1):
            longest = await shop.longest_log()

    assert longest <= BOUND_BYTES


async def test_a_backup_that_reads_for_long_keeps_nobody_from_writing_and_the_log_comes_back(
    shop: WalHarness, tmp_path: Path
) -> None:
    with contextlib.closing(open_reader(shop.path)) as long:
        long.query("begin_reading")
        long.query("applied_migrations")
        written = await shop.longest_log()
    assert written >= COMMITS * TOGETHER * len(BODY), "nothing of it may be left out meanwhile"

    async with reading(lambda: shop.database.backup(str(tmp_path / "copy.db")), 1):
        for _ in range(COMMITS // 2):
            await shop.commit()

    await shop.commit()
    await shop.commit()
    assert shop.log_bytes() <= KEPT_BYTES + MARGIN_BYTES
