"""The PostgreSQL store: one server, any number of processes.

Every process commits its writes in groups, on one connection, and what no request waits for
(heartbeats, the purge) on another; the operations are the same as for SQLite. Locks do here what
SQLite needs none for, because it has one writer: locks on claimed rows, and on what a decision
rests on. Nothing is held from one commit to the next, so a pooler that hands out connections for a
transaction may stand between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tillbell.clock import Clock, Micros
from tillbell.errors import Misconfigured, StoreUnavailable
from tillbell.model.messages import Claim
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.readers import ReadPool
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
from tillbell.storage.session.migrate import migrate, refuse_other_schema
from tillbell.storage.session.move_marks import refuse_unfinished_move
from tillbell.storage.session.transaction import DbSession, Fault

READERS = 2
MIGRATION_S = 3_600.0  # for one migration, or to wait for another process that migrates
READ_TIMEOUT_S = 1.8  # and for a commit: so a publisher is refused within 2 s


class PostgresDatabase(RotationMethods):
    """A `Database` on a PostgreSQL server."""

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
        self.on_commit: Callable[[int], object] = lambda _: None
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
        """Connect and migrate; `Misconfigured` if the server or the database cannot be used."""
        await self._open(self._migrate)

    async def open_beside(self) -> None:
        """Connect; `Misconfigured` if the database cannot be used or is of another schema."""
        await self._open(self._check)

    async def _open(self, prepare: Callable[[], None]) -> None:
        if self.replica_url:
            check_address(self.replica_url)
        try:
            await asyncio.get_running_loop().run_in_executor(None, prepare)
            self.readers = ReadPool(self._connect_reader, READERS)
        except StoreUnavailable as error:
            raise Misconfigured(f"Cannot use the PostgreSQL database. {error}") from error
        if self.replica_url:
            self._replica = ReplicaReadPool(self._connect_replica, self.readers, self._clock)
        session = DbSession(self._connect_writer, self._pass, self._clock.now)
        self.writer = Writer(session)
        self._claim_window = ClaimWindow(FULL_SCAN_EVERY, session.ordered_lanes)
        self.writer.on_commit = self.on_commit
        self.writer.commit_timeout_s = self.readers.timeout_s = READ_TIMEOUT_S
        housekeeping = DbSession(self._connect_writer, self._pass, self._clock.now)
        housekeeping.ordered_lanes = session.ordered_lanes
        self.housekeeper = Writer(housekeeping)
        self._listener = Listener(self._url, self.on_notification, has_pooler=self._has_pooler)
        self._is_open = True

    def _migrate(self) -> None:
        connection = self._connect()
        connection.connection.timeout_s = MIGRATION_S
        try:
            migrate(connection, "postgres", self._clock.now())
            refuse_unfinished_move(connection)
            self.make_partitions(connection, self._clock.now())
        finally:
            connection.close()

    def _check(self) -> None:
        connection = self._connect()
        try:
            refuse_other_schema(connection, "postgres")
            refuse_unfinished_move(connection)
        finally:
            connection.close()

    def _connect(self) -> PostgresConnection:
        connection = connect_postgres(self._url, has_pooler=self._has_pooler)
        if not self._has_pooler:
            connection.enable_pipeline()
        return connection

    def _connect_writer(self) -> PostgresConnection:
        connection = self._connect()
        if not self._has_pooler:
            connection.configure_writer()
        return connection

    def _connect_reader(self) -> PostgresConnection:
        connection = self._connect()
        if self._has_pooler:
            connection.read_in_transactions()
        return connection

    def _connect_replica(self) -> PostgresConnection:
        connection = connect_postgres(self.replica_url, has_pooler=self._has_pooler)
        if self._has_pooler:
            connection.read_in_transactions()
        return connection

    def _pass(self, point: str) -> None:
        """Pass a named point. What a test raises there counts as an error of the database."""
        with translated():
            self._fault(point)

    # ── the cluster ──────────────────────────────────────────────────────────────────────────────

    heartbeat = membership.heartbeat
    leave = membership.leave
    oldest_transaction_age = membership.oldest_transaction_age
    record_changes = membership.record_changes
    begin_feed_round = membership.begin_feed_round
    end_feed_round = membership.end_feed_round
    members_behind = membership.members_behind

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
        await asyncio.gather(self.writer.close(), self.housekeeper.close())
        if self._replica is not None:
            await self._replica.close()
        await self.readers.close()

    async def backup(self, target: str) -> None:
        """Refuse: the server's own tools do it, and restore it too."""
        raise Misconfigured(
            f"Tillbell cannot copy a PostgreSQL database to {target}: use pg_dump or "
            "pg_basebackup, or your server's own backups."
        )
