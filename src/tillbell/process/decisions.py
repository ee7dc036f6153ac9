"""The office: where desks stand, and where what was decided on them is filed.

A decision is made on a desk from what was read, and filed in one commit. If what it rests on
has changed meanwhile nothing is stored (`PreconditionFailed`), and it is made again on a new desk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tillbell.clock import Clock
from tillbell.counters import Meters
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.publish import Publisher
from tillbell.ids import IdMaker
from tillbell.process.decision import DecidedBy, Decision
from tillbell.receive.source_cache import SourceCache
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import PreconditionFailed


def _ignore(desk: Decision) -> None:
    del desk


@dataclass
class Decisions:
    """What it takes to decide. `on_filed` is told of each desk that was stored."""

    database: Database
    config_cache: ConfigCache
    source_cache: SourceCache
    publisher: Publisher
    clock: Clock
    ids: IdMaker
    meters: Meters
    on_committed: Callable[[Decision], object] = field(default=_ignore)

    async def begin(self, app_id: str, by: DecidedBy) -> Decision | None:
        """Begin a decision about an application; None if there is no such application."""
        view = await self.config_cache.view(app_id)
        if view is None:
            return None
        return Decision(view, self.ids, self.clock.now(), by)

    async def commit(self, desk: Decision) -> PreconditionFailed | None:
        """Store a decision; what crossed it, if it must be made again.

        `StoreUnavailable` if it is not known whether it was stored.
        """
        with self.publisher.prepared(desk.view, desk.drafts) as messages:
            change_set = desk.change_set(messages.publications)
            outcome = await self.database.commit_changes(change_set)
            if isinstance(outcome, PreconditionFailed):
                return outcome
            messages.start_deliveries()
        if change_set.conclusion is not None:
            self.meters.concluded(change_set.conclusion.outcome)
        self.on_committed(desk)
        return None
