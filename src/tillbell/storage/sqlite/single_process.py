"""The fleet of a store that one process has to itself: always there, always leading."""

from __future__ import annotations

from tillbell.clock import Micros
from tillbell.storage.ports.cluster import ClusterState, Member, RecordChange


class SingleProcessCluster:
    """A `ClusterStore` that needs to keep nothing."""

    is_shared = False

    async def heartbeat(self, member: Member, life: Micros) -> ClusterState:
        """See `ClusterStore.heartbeat`."""
        del life
        return ClusterState(None, (member.id,), term=1, changes=0)

    async def leave(self, member_id: str) -> None:
        """See `ClusterStore.leave`."""

    async def use_fresh_totals(self, *, is_on: bool) -> None:
        """See `ClusterStore.use_fresh_totals`: nothing is left here."""

    async def oldest_transaction_age(self) -> Micros:
        """See `ClusterStore.oldest_transaction_age`: nobody else has any."""
        return 0

    async def record_changes(self, after: int) -> list[RecordChange]:
        """See `ClusterStore.record_changes`: nobody else changes anything."""
        del after
        return []
