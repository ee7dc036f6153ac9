"""The fleet of a store that one process has to itself: always there, always leading."""

from __future__ import annotations

from tillbell.clock import Micros
from tillbell.storage.ports.cluster import Member, RecordChange, Roll


class LoneFleet:
    """A `FleetStore` that needs to keep nothing."""

    is_shared = False

    async def sign_in(self, member: Member, life: Micros) -> Roll:
        """See `FleetStore.sign_in`."""
        del life
        return Roll(None, (member.id,), term=1, changes=0)

    async def sign_out(self, member_id: str) -> None:
        """See `FleetStore.sign_out`."""

    async def turn_totals(self, *, is_on: bool) -> None:
        """See `FleetStore.turn_totals`: nothing is left here."""

    async def oldest_snapshot(self) -> Micros:
        """See `FleetStore.oldest_snapshot`: nobody else has any."""
        return 0

    async def record_changes(self, after: int) -> list[RecordChange]:
        """See `FleetStore.record_changes`: nobody else changes anything."""
        del after
        return []
