"""The port of a store that processes share: who is there, who leads, what was configured elsewhere.

Times are the database's, so that processes whose clocks differ agree.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tillbell.clock import Micros

NOTIFY_ALL = "*"  # something happened; nobody knows what
NOTIFY_RECORDS = "records"  # a record that processes keep in memory was changed


class Member(NamedTuple):
    """A process as it signs in."""

    id: str
    role: str
    is_worker: bool  # makes deliveries: owns lanes


class ClusterState(NamedTuple):
    """What a process learns when it signs in."""

    now: Micros | None  # by the database's clock; None: by our own
    workers: tuple[str, ...]  # ids of the processes that own lanes, sorted
    term: int  # of our leadership; 0: another one leads
    changes: int  # number of the latest change of a record


class RecordChange(NamedTuple):
    """A record that was stored or removed."""

    number: int
    kind: str
    scope: str
    id: str


class ClusterStore(Protocol):
    """See the module. A store with one process is a fleet of one."""

    is_shared: bool  # other processes may use it too

    async def heartbeat(self, member: Member, life: Micros) -> ClusterState:
        """Say that a process is alive, now and for `life`; strike off those that are not.

        Sooner than that those whose connection has ended: with a pooler between, nobody's has.

        Leadership is held for `life` too. Whoever has it keeps it while it signs in in time; each
        new holder gets a higher term.
        """
        ...

    async def leave(self, member_id: str) -> None:
        """Leave at once: lanes and leadership are free."""
        ...

    async def oldest_transaction_age(self) -> Micros:
        """Return for how long somebody's transaction has kept dead rows from being removed."""
        ...

    async def use_fresh_totals(self, *, is_on: bool) -> None:
        """Count in fresh rows every few seconds, or no longer.

        As long as somebody's transaction is open, each change of a row costs what all of its
        changes since then have left.
        """
        ...

    async def record_changes(self, after: int) -> list[RecordChange]:
        """Return the changes with a higher number, in order.

        A number may appear after a higher one did: commits end in any order.
        """
        ...
