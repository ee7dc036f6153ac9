"""The port of a database that processes share: its members, its leader, and changes of records.

Times are by the database's clock, so that processes whose clocks differ agree.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tillbell.clock import Micros

NOTIFY_ALL = "*"  # something changed, and it is not known what
NOTIFY_RECORDS = "records"  # a record that processes keep in memory was changed
NOTIFY_ROUND = "round"  # a member has done a round of the record feed


class Member(NamedTuple):
    """A process of the cluster."""

    id: str
    role: str
    is_worker: bool  # it makes deliveries and owns lanes


class ClusterState(NamedTuple):
    """What a process reads with each heartbeat."""

    now: Micros | None  # by the database's clock; None: there is no other clock than ours
    workers: tuple[str, ...]  # ids of the workers, sorted
    term: int  # of our leadership; 0: another process leads
    changes: int  # number of the latest change of a record


class RecordChange(NamedTuple):
    """A record that was stored or removed."""

    number: int
    kind: str
    scope: str
    id: str


class FeedReading(NamedTuple):
    """What was read of the record feed."""

    changes: list[RecordChange]
    # The latest round that had begun before they were read; None: there are more changes.
    round: int | None


class ClusterStore(Protocol):
    """The cluster. A store with one process is a cluster of one."""

    is_shared: bool  # other processes may use the database too

    async def heartbeat(self, member: Member, life: Micros) -> ClusterState:
        """Note that a process is alive, now and for `life`, and remove those that are not.

        A process whose connection has ended is removed sooner; through a pooler this is not seen.

        Leadership is held for `life` too. The leader keeps it as long as its heartbeats come in
        time; each new leader has a higher term.
        """
        ...

    async def leave(self, member_id: str) -> None:
        """Remove a process at once: its lanes and its leadership are free."""
        ...

    async def oldest_transaction_age(self) -> Micros:
        """Return for how long the oldest open transaction has kept dead rows from being removed."""
        ...

    async def use_fresh_totals(self, *, is_on: bool) -> None:
        """Count totals in new rows every few seconds, or no longer.

        It helps while somebody holds a transaction open: until that ends, each change of a row has
        to pass by all dead versions of it.
        """
        ...

    async def record_changes(self, after: int) -> FeedReading:
        """Return the changes with a higher number, in order.

        Commits end in any order, so a number may appear after a higher one.
        """
        ...

    async def begin_feed_round(self) -> int:
        """Ask all members to read the changes; return the number of this round.

        Whoever reads changes with a round that is not lower reads all that are committed now.
        """
        ...

    async def end_feed_round(self, member_id: str, number: int) -> None:
        """Note that a member has read the changes, as of a round."""
        ...

    async def members_behind(self, member_id: str, number: int) -> list[str]:
        """Return the ids of the other members that have not done a round yet."""
        ...
