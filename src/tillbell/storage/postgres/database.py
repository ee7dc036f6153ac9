"""The PostgreSQL store: one server, any number of processes.

Every process commits its writes in groups, on one link; the works are the same as for SQLite.
What SQLite's one writer gives for nothing is here done by locks: on rows that are claimed, and
on what a decision rests on. Nothing is held from one commit to the next, so a pooler that
hands out connections for a transaction may stand between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tillbell.clock import Clock, Micros
from tillbell.errors import Misconfigured, StoreUnavailable
from tillbell.model.messages import Claim
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.move.marks import refuse_unfinished_move
from tillbell.storage.operations import claims, membership
from tillbell.storage.operations.claim_window import FULL_SCAN_EVERY, ClaimWindow
from tillbell.storage.ports.database import HistoryReads
from tillbell.storage.ports.outbound import LaneKey
from tillbell.storage.postgres.connection import (
    PostgresConnection,
    check_address,
    connect_postgres,
    translated,
)
from tillbell.storage.postgres.listener import Listener
from tillbell.storage.postgres.partitions import WIDTH_DAYS
from tillbell.storage.postgres.replica import ReplicaLists, ReplicaReadPool
from tillbell.storage.postgres.rotation import RotationMethods
from tillbell.storage.session.migrate import migrate
from tillbell.storage.session.transaction import DbSession, Fault

READERS = 2
MIGRATION_S = 3_600.0  # for one step, or for another process that is at it
READ_TIMEOUT_S = 1.8  # with a server that says nothing: whoever publishes is refused within 2 s


class PostgresDatabase(RotationMethods):
    """A `Database` on a PostgreSQL server. Lives on the event loop that opened it."""

    is_shared = True

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        has_pooler: bool = False,
        fault: Fault = lambda _: None,
        partition_days: int = WIDTH_DAYS,
    ) -> None:
        super().__init__()
        self.partition_days = partition_days
        self._url = url
        self._has_pooler = has_pooler
        self._clock = clock
        self._fault = fault
        self.on_commit: Callable[[int], object] = lambda _: None  # how many writes each held
        self.on_notification: Callable[[str], object] = lambda _: (
            None
        )  # what other processes stored
        self.replica_url = ""  # lists are read there; set before it is opened
        self._replica: ReplicaReadPool | None = None
        self._is_open = False

    @property
    def history(self) -> HistoryReads:
        """The lists of the replica, if there is one."""
        return self if self._replica is None else ReplicaLists(self._replica)

    async def open(self) -> None:
        """Connect and migrate. `Misconfigured` when the server is not there or is not ours."""
        if self.replica_url:
            check_address(self.replica_url)
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._migrate)
            self.readers = ReadPool(self._connect, READERS)
        except StoreUnavailable as error:
            raise Misconfigured(f"Cannot use the PostgreSQL database. {error}") from error
        if self.replica_url:
            self._replica = ReplicaReadPool(self._connect_replica, self.readers, self._clock)
        session = DbSession(self._connect_writer, self._pass)
        self.writer = Writer(session)
        self._claim_window = ClaimWindow(FULL_SCAN_EVERY, session.ordered_lanes)
        self.writer.on_commit = self.on_commit
        self.writer.commit_timeout_s = self.readers.patience_s = READ_TIMEOUT_S
        self._listener = Listener(self._url, self.on_notification, is_deaf=self._has_pooler)
        self._is_open = True

    def _migrate(self) -> None:
        link = self._connect()
        link.connection.patience_s = MIGRATION_S
        try:
            migrate(link, "postgres", self._clock.now())
            refuse_unfinished_move(link)
            self.make_partitions(link, self._clock.now())
        finally:
            link.close()

    def _connect(self) -> PostgresConnection:
        link = connect_postgres(self._url, has_pooler=self._has_pooler)
        if not self._has_pooler:
            link.enable_pipeline()
        return link

    def _connect_writer(self) -> PostgresConnection:
        link = self._connect()
        if not self._has_pooler:
            link.configure_writer()
        return link

    def _connect_replica(self) -> PostgresConnection:
        return connect_postgres(self.replica_url, has_pooler=self._has_pooler)

    def _pass(self, point: str) -> None:
        """Go through a named point: what is planted there is an error of the database."""
        with translated():
            self._fault(point)

    # ── the cluster ──────────────────────────────────────────────────────────────────────────────

    heartbeat = membership.heartbeat
    leave = membership.leave
    oldest_transaction_age = membership.oldest_transaction_age
    record_changes = membership.record_changes

    async def use_fresh_totals(self, *, is_on: bool) -> None:
        """Do nothing with a pooler, where no connection is ours."""
        if not self._has_pooler:
            await membership.use_fresh_totals(self, is_on=is_on)

    # ── claims ───────────────────────────────────────────────────────────────────────────────────

    async def claim(
        self, wanted: Mapping[LaneKey, int], now: Micros, lease_until: Micros
    ) -> list[Claim]:
        """Lease due deliveries, from where the last claim ended."""
        bounds = self._claim_window.bounds(wanted, now)
        request = claims.ClaimRequest(wanted, now, lease_until, bounds)
        result = await claims.claim(self, request)
        self._claim_window.advance(bounds, result.claimed_until, result.leases_until, now)
        return result.claims

    async def next_due(self, lanes: Sequence[LaneKey]) -> dict[str, Micros]:
        """Read when each lane's first open delivery is due, from where the last claim ended."""
        bounds = self._claim_window.bounds(lanes, self._clock.now())
        return await claims.next_due(self, lanes, bounds)

    # ── its life ─────────────────────────────────────────────────────────────────────────────────

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        if not self._is_open:
            return
        self._is_open = False
        self._listener.close()
        await self.writer.close()
        if self._replica is not None:
            await self._replica.close()
        await self.readers.close()

    async def backup(self, target: str) -> None:
        """Refuse: the server's own tools do it, and restore it too."""
        raise Misconfigured(
            f"A PostgreSQL database is not copied to {target} by Tillbell: use pg_dump or "
            "pg_basebackup, or your server's own backups."
        )
