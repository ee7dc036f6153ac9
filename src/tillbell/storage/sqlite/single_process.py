"""The cluster of a store that one process has to itself: it is always there and always leads."""

from __future__ import annotations

from tillbell.clock import Micros
from tillbell.storage.ports.cluster import ClusterState, FeedReading, Member


class SingleProcessCluster:
    """A `ClusterStore` without data."""

    is_shared = False

    async def heartbeat(self, member: Member, life: Micros) -> ClusterState:
        del life
        return ClusterState(now=None, workers=(member.id,), term=1, changes=0)

    async def leave(self, member_id: str) -> None:
        """Do nothing: there is no other process."""

    async def use_fresh_totals(self, *, is_on: bool) -> None:
        """Do nothing: SQLite keeps no old versions of rows."""

    async def oldest_transaction_age(self) -> Micros:
        return 0

    async def record_changes(self, after: int) -> FeedReading:
        del after
        return FeedReading([], 0)  # nobody else changes anything

    async def begin_feed_round(self) -> int:
        return 0

    async def end_feed_round(self, member_id: str, number: int) -> None:
        """Do nothing: nobody waits for this process but itself."""

    async def members_behind(self, member_id: str, number: int) -> list[str]:
        del member_id, number
        return []
