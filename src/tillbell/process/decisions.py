"""The office: where desks stand, and where what was decided on them is filed.

A decision is made on a desk from what was read, and filed in one commit. If what it rests on
has changed meanwhile nothing is stored (`Crossed`), and it is made again on a new desk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tillbell.clock import Clock
from tillbell.counters import Meters
from tillbell.deliver.config_cache import Directory
from tillbell.deliver.publish import Publisher
from tillbell.ids import IdMaker
from tillbell.process.decision import By, Desk
from tillbell.receive.source_cache import Sources
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import Crossed


def _nobody(desk: Desk) -> None:
    del desk


@dataclass
class Office:
    """What it takes to decide. `on_filed` is told of each desk that was stored."""

    database: Database
    directory: Directory
    sources: Sources
    publisher: Publisher
    clock: Clock
    ids: IdMaker
    meters: Meters
    on_filed: Callable[[Desk], object] = field(default=_nobody)

    async def desk(self, app_id: str, by: By) -> Desk | None:
        """Begin a decision about an application; None if there is no such application."""
        view = await self.directory.view(app_id)
        if view is None:
            return None
        return Desk(view, self.publisher, self.ids, self.clock.now(), by)

    async def file(self, desk: Desk) -> Crossed | None:
        """Store a decision; what crossed it, if it must be made again.

        `StoreUnavailable` if it is not known whether it was stored.
        """
        change = desk.change()
        is_stored = False
        try:
            outcome = await self.database.change(change)
            is_stored = not isinstance(outcome, Crossed)
        finally:
            if not is_stored:
                desk.give_back()
        if isinstance(outcome, Crossed):
            return outcome
        desk.let_go()
        if change.conclusion is not None:
            self.meters.concluded(change.conclusion.outcome)
        self.on_filed(desk)
        return None
