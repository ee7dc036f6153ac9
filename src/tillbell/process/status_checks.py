"""The janitor looks at transactions whose time has come, and asks before it decides.

| why it looks | what it does |
| --- | --- |
| news that proves nothing, and a look-up | asks the provider, and believes its answer |
| the payer cancelled, then silence | once the grace time is over it becomes what was said |
| open for long | asks at 5 min, 1 h and each day for five; then a person is asked |

A pay-out never fails by silence: money may have left.
"""

from __future__ import annotations

import asyncio

from tillbell.clock import DAY, HOUR, MINUTE, Micros
from tillbell.errors import StoreUnavailable
from tillbell.logs import observe
from tillbell.model.callbacks import Outcome
from tillbell.model.sources import Trust
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    Conflict,
    Direction,
    Kind,
    Status,
    Transaction,
)
from tillbell.process.decision import By, Desk
from tillbell.process.decisions import Office
from tillbell.process.provider_lookup import Confirmer, Standing
from tillbell.receive.source_cache import LiveSource
from tillbell.rules.payments.amounts import difference
from tillbell.rules.payments.booking import Told
from tillbell.rules.payments.conflicts import conflict, contradiction, is_among, mismatch
from tillbell.rules.payments.transitions import News, compare
from tillbell.rules.payments.trust import accepts_late
from tillbell.storage.ports.outbound import Page

SCHEDULE: tuple[Micros, ...] = (5 * MINUTE, HOUR, DAY, DAY, DAY, DAY, DAY)  # before look 1, 2, …
STEP = 100
AT_ONCE = 16  # look-ups under way
CONFIRMED = "confirmed"  # the trust of what the provider itself answered


class Janitor:
    """See the module."""

    def __init__(self, office: Office, confirmer: Confirmer) -> None:
        self._office = office
        self._confirmer = confirmer
        self._looking = asyncio.Lock()

    async def look(self) -> None:
        """Look at those whose time has come: a chore. Each is asked for once at a time."""
        async with self._looking:
            now, room = self._office.clock.now(), asyncio.Semaphore(AT_ONCE)
            due = await self._office.database.due_checks(now, STEP)
            await asyncio.gather(*(self._in_turn(room, found) for found in due))

    async def _in_turn(self, room: asyncio.Semaphore, found: Transaction) -> None:
        async with room:
            try:
                await self._look_at(found)
            except StoreUnavailable as error:
                observe("check.postponed", transaction=found.id, error=str(error))
            except Exception as error:  # noqa: BLE001 - supervised: the others must be looked at
                observe("check.broken", transaction=found.id, exc_info=error)

    async def _look_at(self, found: Transaction) -> None:
        live = self._office.sources.live(found.source_id or "")
        is_asked = live is not None and "lookupUrl" in live.config and found.kind is Kind.PAYMENT
        standing = await self._confirmer.ask(live, found) if live is not None and is_asked else None
        desk = await self._office.desk(found.app_id, By(actor="janitor"))
        if desk is None:
            return
        found = desk.current(found)
        if isinstance(standing, Standing):
            found = await self._believe(desk, live, found, standing)
        elif found.if_silent is not None and not is_asked and _may_fall_silent(found):
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
        if judged.outcome is Outcome.CONFLICT:
            is_sure = standing.status is Status.APPROVED and differs is None
            return await self._contradict(desk, live if is_sure else None, found, standing)
        if judged.outcome is not Outcome.APPLIED:
            return found
        if standing.status is Status.APPROVED and differs is not None:
            await self._disagree(desk, found, mismatch(standing.status, differs))
            if not differs.is_more:
                return found
        return desk.advance(found, standing.status, told, CONFIRMED)

    async def _contradict(
        self, desk: Desk, sure: LiveSource | None, found: Transaction, standing: Standing
    ) -> Transaction:
        """Ask a person; or approve after all, where its owner chose so and it is proven twice."""
        proven = await self._proven(found) if sure is not None else None
        if sure is None or proven is None or not accepts_late(sure.config, found):
            why = f"The provider says {standing.status.value} when it is asked."
            await self._disagree(desk, found, contradiction(found, standing.status, why))
            return found
        desk.resolve(
            proven._replace(
                resolved_at=desk.now,
                resolution="accept",
                resolved_by="janitor",
                resolution_reason="The provider confirmed it (accept_verified).",
            )
        )
        told = Told(raw_status=standing.raw_status, supersedes=found.sequence)
        return desk.advance(found, Status.APPROVED, told, CONFIRMED)

    async def _proven(self, found: Transaction) -> Conflict | None:
        """Return the disagreement by which a signed callback told of the late success."""
        database = self._office.database
        for waiting in await self._waiting(found):
            is_late = (waiting.kind, waiting.status) == ("contradiction", Status.APPROVED)
            if not is_late or waiting.amount not in (None, found.amount):
                continue
            callback = await database.callback(found.app_id, waiting.callback_id or "")
            if callback is not None and callback.trust is Trust.SIGNED:
                return waiting
        return None

    async def _disagree(self, desk: Desk, found: Transaction, made: Conflict) -> None:
        if not is_among(made, await self._waiting(found)):
            desk.disagree(found, made)

    async def _waiting(self, found: Transaction) -> list[Conflict]:
        page = Page(limit=100)
        return await self._office.database.conflicts(found.app_id, page, found.id, open_only=True)

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
        desk.disagree(found, conflict(found.status, "stuck", "It is open for days."))
        desk.keep(found, found._replace(check_at=None, checks=checks))


def _may_fall_silent(found: Transaction) -> bool:
    return found.status not in TERMINAL and not (
        found.direction is Direction.PAY_OUT and found.if_silent in NEGATIVE
    )
