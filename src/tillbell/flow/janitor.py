"""The janitor looks at transactions whose time has come, and asks before it decides.

| why it looks | what it does |
| --- | --- |
| news that proves nothing, and a look-up | asks the provider, and believes its answer |
| the payer cancelled, then silence | once the grace time is over it becomes what was said |
| open for long | asks at 5 min, 1 h and each day for five; then a person is asked |

A pay-out never fails by silence: money may have left.
"""

from __future__ import annotations

from tillbell.callbacks import Outcome
from tillbell.clock import DAY, HOUR, MINUTE, Micros
from tillbell.errors import StoreUnavailable
from tillbell.flow.confirm import Confirmer, Standing
from tillbell.flow.desk import By, Desk
from tillbell.flow.office import Office
from tillbell.flow.settling import blank_conflict, mismatch_conflict
from tillbell.flow.sources import LiveSource
from tillbell.logs import observe
from tillbell.rules.amounts import difference
from tillbell.rules.booking import Told
from tillbell.rules.transitions import News, compare
from tillbell.storage.base import Page
from tillbell.transactions import NEGATIVE, TERMINAL, Direction, Status, Transaction

SCHEDULE: tuple[Micros, ...] = (5 * MINUTE, HOUR, DAY, DAY, DAY, DAY, DAY)  # before look 1, 2, …
STEP = 100
CONFIRMED = "confirmed"  # the trust of what the provider itself answered


class Janitor:
    """See the module."""

    def __init__(self, office: Office, confirmer: Confirmer) -> None:
        self._office = office
        self._confirmer = confirmer

    async def look(self) -> None:
        """Look at those whose time has come: a chore."""
        for found in await self._office.database.due_checks(self._office.clock.now(), STEP):
            try:
                await self._look_at(found)
            except StoreUnavailable as error:
                observe("check.postponed", transaction=found.id, error=str(error))

    async def _look_at(self, found: Transaction) -> None:
        live = self._office.sources.live(found.source_id or "")
        standing = await self._confirmer.ask(live, found) if live is not None else None
        desk = await self._office.desk(found.app_id, By(actor="janitor"))
        if desk is None:
            return
        found = desk.current(found)
        if isinstance(standing, Standing):
            found = await self._believe(desk, live, found, standing)
        elif found.if_silent is not None and _may_fall_silent(found):
            told = Told(reason="no_news", message="Nothing more was heard in the grace time.")
            found = desk.advance(found, found.if_silent, told)
        await self._plan(desk, found)
        await self._office.file(desk)  # what crosses it is looked at the next time

    async def _believe(
        self, desk: Desk, live: LiveSource | None, found: Transaction, standing: Standing
    ) -> Transaction:
        judged = compare(News(standing.status), found)
        told = Told(raw_status=standing.raw_status)
        differs = difference(standing.amount, found.amount, found.currency)
        is_paid = standing.status is Status.APPROVED
        if judged.outcome is Outcome.APPLIED:
            if is_paid and differs is not None:
                desk.disagree(found, mismatch_conflict(standing.status, differs))
                if not differs.is_more:
                    return found
            return desk.advance(found, standing.status, told, CONFIRMED)
        if judged.outcome is Outcome.CONFLICT and is_paid and differs is None:
            return await self._accept_late(desk, live, found, told)
        return found

    async def _accept_late(
        self, desk: Desk, live: LiveSource | None, found: Transaction, told: Told
    ) -> Transaction:
        """Approve a pay-in after all, where its owner chose so and a signed callback said so."""
        policy = live.config.get("lateSuccess") if live is not None else None
        if policy != "accept_verified" or found.direction is not Direction.PAY_IN:
            return found
        waiting = await self._office.database.conflicts(
            found.app_id, Page(limit=10), found.id, open_only=True
        )
        for conflict in waiting:
            if conflict.status is Status.APPROVED and conflict.kind == "contradiction":
                desk.resolve(
                    conflict._replace(
                        resolved_at=desk.now,
                        resolution="accept",
                        resolved_by="janitor",
                        resolution_reason="The provider confirmed it (accept_verified).",
                    )
                )
                return desk.advance(
                    found, Status.APPROVED, told._replace(supersedes=found.sequence), CONFIRMED
                )
        return found

    async def _plan(self, desk: Desk, found: Transaction) -> None:
        """Say when to look again; at the end of the schedule ask a person."""
        if found.status in TERMINAL:
            if found.check_at is not None:
                desk.keep(found, found._replace(check_at=None, if_silent=None))
            return
        checks = found.checks + 1
        if checks < len(SCHEDULE):
            at = desk.now + SCHEDULE[checks]
            desk.keep(found, found._replace(check_at=at, checks=checks))
            return
        desk.disagree(found, blank_conflict(found.status, "stuck", "It is open for days."))
        desk.keep(found, found._replace(check_at=None, checks=checks))


def _may_fall_silent(found: Transaction) -> bool:
    return found.status not in TERMINAL and not (
        found.direction is Direction.PAY_OUT and found.if_silent in NEGATIVE
    )
