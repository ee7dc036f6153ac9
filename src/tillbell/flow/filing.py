"""Filing: make a decision true, and let go what follows from it."""

from __future__ import annotations

from collections.abc import Callable

from tillbell.flow.desk import Desk
from tillbell.flow.meters import Meters
from tillbell.storage.books import Crossed
from tillbell.storage.database import Database


class Filer:
    """Commits desks. `on_moved` is told of each that was stored."""

    def __init__(self, database: Database, meters: Meters) -> None:
        self._database = database
        self._meters = meters
        self.on_moved: Callable[[Desk], object] = lambda _: None

    async def file(self, desk: Desk) -> Crossed | None:
        """Store a decision; what crossed it, if it must be made again.

        `StoreUnavailable` if it is not known whether it was stored.
        """
        change = desk.change()
        is_stored = False
        try:
            outcome = await self._database.change(change)
            is_stored = not isinstance(outcome, Crossed)
        finally:
            if not is_stored:
                desk.give_back()
        if isinstance(outcome, Crossed):
            return outcome
        desk.let_go()
        if change.conclusion is not None:
            self._meters.concluded(change.conclusion.outcome)
        self.on_moved(desk)
        return None
