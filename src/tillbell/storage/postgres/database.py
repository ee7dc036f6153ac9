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
from tillbell.storage.engine.batching import BATCH_POLICY
from tillbell.storage.engine.book_methods import InboundReadsMethods
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.methods import OutboundReadsMethods, RegistryMethods
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.move.marks import refuse_unfinished_move
from tillbell.storage.operations import claims, membership, retention
from tillbell.storage.operations.claim_window import FULL_SCAN_EVERY, ClaimBounds, ClaimWindow
from tillbell.storage.operations.membership import HeartbeatRequest
from tillbell.storage.operations.message_reads import Reader
from tillbell.storage.ports.cluster import ClusterState, Member, RecordChange
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
CHECK_TIMEOUT_S = 5.0
MIGRATION_S = 3_600.0  # for one step, or for another process that is at it
READ_TIMEOUT_S = 1.8  # with a server that says nothing: whoever publishes is refused within 2 s


class PostgresDatabase(RotationMethods, RegistryMethods, OutboundReadsMethods, InboundReadsMethods):
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
        """See `Database.history`: of the replica, if there is one."""
        return self if self._replica is None else ReplicaLists(self._replica)

    async def open(self) -> None:
        """Connect and migrate. `Misconfigured` when the server is not there or is not ours."""
        if self.replica_url:
            check_address(self.replica_url)
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._migrate)
            self._readers = ReadPool(self._connect, READERS)
        except StoreUnavailable as error:
            raise Misconfigured(f"Cannot use the PostgreSQL database. {error}") from error
        if self.replica_url:
            self._replica = ReplicaReadPool(self._connect_replica, self._readers, self._clock)
        session = DbSession(self._connect_writer, self._pass)
        self._writer = Writer(session, BATCH_POLICY)
        self._claim_window = ClaimWindow(FULL_SCAN_EVERY, session.ordered_lanes)
        self._writer.on_commit = self.on_commit
        self._writer.commit_timeout_s = self._readers.patience_s = READ_TIMEOUT_S
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

    # ── the fleet ────────────────────────────────────────────────────────────────────────────────

    async def heartbeat(self, member: Member, life: Micros) -> ClusterState:
        """See `ClusterStore.heartbeat`."""
        roll: ClusterState = await self._writer.submit(
            membership.heartbeat, HeartbeatRequest(member, life)
        )
        return roll

    async def leave(self, member_id: str) -> None:
        """See `ClusterStore.leave`."""
        await self._writer.submit(membership.leave, member_id)

    async def oldest_transaction_age(self) -> Micros:
        """See `ClusterStore.oldest_transaction_age`."""
        return await self._readers.read_batched(_oldest_transaction_age)

    async def use_fresh_totals(self, *, is_on: bool) -> None:
        """See `ClusterStore.use_fresh_totals`; not with a pooler, where no connection is ours."""
        if not self._has_pooler:
            await self._writer.submit(retention.use_fresh_totals, is_on)

    async def record_changes(self, after: int) -> list[RecordChange]:
        """See `ClusterStore.record_changes`."""
        return await self._readers.read_batched(_record_changes, after)

    # ── claims ───────────────────────────────────────────────────────────────────────────────────

    async def claim(
        self, wanted: Mapping[LaneKey, int], now: Micros, lease_until: Micros
    ) -> list[Claim]:
        """See `OutboundStore.claim`; begins where the last claim has taken everything."""
        view = self._claim_window.bounds(wanted, now)
        request = claims.ClaimRequest(wanted, now, lease_until, view)
        taken: claims.ClaimResult = await self._writer.submit(claims.claim, request)
        self._claim_window.advance(view, taken.claimed_until, taken.leases_until, now)
        return taken.claims

    def _claim_bounds(self, lanes: Sequence[LaneKey]) -> ClaimBounds:
        return self._claim_window.bounds(lanes, self._clock.now())

    # ── its life ─────────────────────────────────────────────────────────────────────────────────

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        if not self._is_open:
            return
        self._is_open = False
        self._listener.close()
        await self._writer.close()
        if self._replica is not None:
            await self._replica.close()
        await self._readers.close()

    async def check(self) -> None:
        """Commit something that changes nothing; `StoreUnavailable` if that takes too long."""
        write = self._writer.submit(retention.probe, None)
        try:
            await asyncio.wait_for(write, CHECK_TIMEOUT_S)
        except TimeoutError:
            raise StoreUnavailable(
                f"The database has not finished a write for {CHECK_TIMEOUT_S:g} s."
            ) from None

    async def backup(self, target: str) -> None:
        """Refuse: the server's own tools do it, and restore it too."""
        raise Misconfigured(
            f"A PostgreSQL database is not copied to {target} by Tillbell: use pg_dump or "
            "pg_basebackup, or your server's own backups."
        )


def _oldest_transaction_age(reader: Reader) -> Micros:
    ((age,),) = reader("oldest_transaction_age")
    return int(age)


def _record_changes(reader: Reader, after: int) -> list[RecordChange]:
    return [RecordChange._make(row) for row in reader("record_changes", (after,))]
