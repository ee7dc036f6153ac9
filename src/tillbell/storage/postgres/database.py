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
from tillbell.storage.engine.batching import KINDS
from tillbell.storage.engine.book_methods import BookViewsMethods
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.methods import RegistryMethods, ViewsMethods
from tillbell.storage.engine.readers import Readers
from tillbell.storage.move.marks import refuse_unfinished
from tillbell.storage.operations import claims, membership, retention
from tillbell.storage.operations.claim_window import EVERY, Horizon, View
from tillbell.storage.operations.membership import SignIn
from tillbell.storage.operations.message_reads import Reader
from tillbell.storage.ports.cluster import Member, RecordChange, Roll
from tillbell.storage.ports.database import History
from tillbell.storage.ports.outbound import LaneKey
from tillbell.storage.postgres.connection import PostgresLink, check_address, open_link, translated
from tillbell.storage.postgres.listener import Listener
from tillbell.storage.postgres.partitions import WIDTH_DAYS
from tillbell.storage.postgres.replica import ReplicaFirst, ReplicaLists
from tillbell.storage.postgres.rotation import RotationMethods
from tillbell.storage.session.migrate import migrate
from tillbell.storage.session.transaction import Fault, Session

READERS = 2
CHECK_TIMEOUT_S = 5.0
MIGRATION_S = 3_600.0  # for one step, or for another process that is at it
PATIENCE_S = 1.8  # with a server that says nothing: whoever publishes is refused within 2 s


class PostgresDatabase(RotationMethods, RegistryMethods, ViewsMethods, BookViewsMethods):
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
        self.on_wake: Callable[[str], object] = lambda _: None  # what other processes stored
        self.replica_url = ""  # lists are read there; set before it is opened
        self._replica: ReplicaFirst | None = None
        self._is_open = False

    @property
    def history(self) -> History:
        """See `Database.history`: of the replica, if there is one."""
        return self if self._replica is None else ReplicaLists(self._replica)

    async def open(self) -> None:
        """Connect and migrate. `Misconfigured` when the server is not there or is not ours."""
        if self.replica_url:
            check_address(self.replica_url)
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._migrate)
            self._readers = Readers(self._connect, READERS)
        except StoreUnavailable as error:
            raise Misconfigured(f"Cannot use the PostgreSQL database. {error}") from error
        if self.replica_url:
            self._replica = ReplicaFirst(self._connect_replica, self._readers, self._clock)
        session = Session(self._connect_writer, self._pass)
        self._writer = Writer(session, KINDS)
        self._horizon = Horizon(EVERY, session.ordered)
        self._writer.on_commit = self.on_commit
        self._writer.patience_s = self._readers.patience_s = PATIENCE_S
        self._listener = Listener(self._url, self.on_wake, is_deaf=self._has_pooler)
        self._is_open = True

    def _migrate(self) -> None:
        link = self._connect()
        link.connection.patience_s = MIGRATION_S
        try:
            migrate(link, "postgres", self._clock.now())
            refuse_unfinished(link)
            self.make_partitions(link, self._clock.now())
        finally:
            link.close()

    def _connect(self) -> PostgresLink:
        link = open_link(self._url, has_pooler=self._has_pooler)
        if not self._has_pooler:
            link.own()
        return link

    def _connect_writer(self) -> PostgresLink:
        link = self._connect()
        if not self._has_pooler:
            link.configure_writer()
        return link

    def _connect_replica(self) -> PostgresLink:
        return open_link(self.replica_url, has_pooler=self._has_pooler)

    def _pass(self, point: str) -> None:
        """Go through a named point: what is planted there is an error of the database."""
        with translated():
            self._fault(point)

    # ── the fleet ────────────────────────────────────────────────────────────────────────────────

    async def sign_in(self, member: Member, life: Micros) -> Roll:
        """See `FleetStore.sign_in`."""
        roll: Roll = await self._writer.submit(membership.sign_in, SignIn(member, life))
        return roll

    async def sign_out(self, member_id: str) -> None:
        """See `FleetStore.sign_out`."""
        await self._writer.submit(membership.sign_out, member_id)

    async def oldest_snapshot(self) -> Micros:
        """See `FleetStore.oldest_snapshot`."""
        return await self._readers.look_up(_oldest_snapshot)

    async def turn_totals(self, *, is_on: bool) -> None:
        """See `FleetStore.turn_totals`; not with a pooler, where no connection is ours."""
        if not self._has_pooler:
            await self._writer.submit(retention.turn_totals, is_on)

    async def record_changes(self, after: int) -> list[RecordChange]:
        """See `FleetStore.record_changes`."""
        return await self._readers.look_up(_record_changes, after)

    # ── claims ───────────────────────────────────────────────────────────────────────────────────

    async def claim(
        self, wanted: Mapping[LaneKey, int], now: Micros, lease_until: Micros
    ) -> list[Claim]:
        """See `Store.claim`; begins where the last claim has taken everything."""
        view = self._horizon.view(wanted, now)
        request = claims.Wanted(wanted, now, lease_until, view)
        taken: claims.Taken = await self._writer.submit(claims.claim, request)
        self._horizon.looked(view, taken.reached, taken.leases_left, now)
        return taken.claims

    def _view(self, lanes: Sequence[LaneKey]) -> View:
        return self._horizon.view(lanes, self._clock.now())

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


def _oldest_snapshot(reader: Reader) -> Micros:
    ((age,),) = reader("oldest_snapshot")
    return int(age)


def _record_changes(reader: Reader, after: int) -> list[RecordChange]:
    return [RecordChange._make(row) for row in reader("record_changes", (after,))]
