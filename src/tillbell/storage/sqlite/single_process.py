"""The cluster of a store that one process has to itself: it is always there and always leads."""

from __future__ import annotations

from tillbell.clock import Micros
from tillbell.storage.ports.cluster import ClusterState, Member, RecordChange


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

    async def record_changes(self, after: int) -> list[RecordChange]:
        del after
        return []  # nobody else changes anything
