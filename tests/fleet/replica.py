"""A second PostgreSQL server that follows a first one, and can be made to lag."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.postgres_server import PostgresServer

from tests.patience import PATIENCE_S


class Replica(PostgresServer):
    """A streaming replica, made by a base backup instead of `initdb`."""

    def __init__(self, of: PostgresServer, bin_: Path) -> None:
        self._of = of
        super().__init__(bin_)

    def _run(self, program: str, *arguments: str) -> None:
        if program == "initdb":
            program, arguments = "pg_basebackup", ("-d", self._of.url(), "-R", "-c", "fast")
        super()._run(program, *arguments)

    def catch_up(self) -> None:
        """Wait until it has all that is on the primary now."""
        ((written,),) = self._of.execute("SELECT pg_current_wal_insert_lsn()")
        is_there = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        until(lambda: self.execute(is_there) == [(True,)])

    @contextmanager
    def lagging(self) -> Iterator[None]:
        """Let it stay as it is, from now on."""
        self.catch_up()
        self.execute("SELECT pg_wal_replay_pause()")
        until(lambda: self.execute("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])
        try:
            yield
        finally:
            self.execute("SELECT pg_wal_replay_resume()")


def until(look: Callable[[], object]) -> None:
    """Look until it is so, which another program decides when."""
    end_s = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.02)
