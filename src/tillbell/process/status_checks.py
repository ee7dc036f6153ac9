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
from tillbell.logs import log_event
from tillbell.model.callbacks import Outcome
from tillbell.model.sources import Trust
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    Direction,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.provider_lookup import LookupResult, ProviderLookup
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.payments.amounts import check_amount
from tillbell.rules.payments.booking import NoticeDetails
from tillbell.rules.payments.conflicts import contradiction, is_already_open, mismatch, new_conflict
from tillbell.rules.payments.transitions import ReportedStatus, judge_status
from tillbell.rules.payments.trust import accepts_late_success
from tillbell.storage.ports.outbound import Page

SCHEDULE: tuple[Micros, ...] = (5 * MINUTE, HOUR, DAY, DAY, DAY, DAY, DAY)  # before look 1, 2, …
BATCH_SIZE = 100
CONCURRENCY = 16  # look-ups under way
CONFIRMED = "confirmed"  # the trust of what the provider itself answered


class StatusChecker:
    """See the module."""

    def __init__(self, office: Decisions, confirmer: ProviderLookup) -> None:
        self._decisions = office
        self._provider_lookup = confirmer
        self._looking = asyncio.Lock()

    async def check_due(self) -> None:
        """Look at those whose time has come: a chore. Each is asked for once at a time."""
        async with self._looking:
            now, room = self._decisions.clock.now(), asyncio.Semaphore(CONCURRENCY)
            due = await self._decisions.database.transactions_to_check(now, BATCH_SIZE)
            await asyncio.gather(*(self._check_in_turn(room, found) for found in due))

    async def _check_in_turn(self, room: asyncio.Semaphore, found: Transaction) -> None:
        async with room:
            try:
                await self._check(found)
            except StoreUnavailable as error:
                log_event("status_check.postponed", transaction=found.id, error=str(error))
            except Exception as error:  # noqa: BLE001 - supervised: the others must be looked at
                log_event("status_check.error", transaction=found.id, exc_info=error)

    async def _check(self, found: Transaction) -> None:
        live = self._decisions.source_cache.compiled(found.source_id or "")
        is_asked = (
            live is not None
            and "lookupUrl" in live.config
            and found.kind is TransactionKind.PAYMENT
        )
        standing = (
            await self._provider_lookup.look_up(live, found)
            if live is not None and is_asked
            else None
        )
        desk = await self._decisions.begin(found.app_id, DecidedBy(actor="janitor"))
        if desk is None:
            return
        found = desk.current(found)
        if isinstance(standing, LookupResult):
            found = await self._apply_lookup(desk, live, found, standing)
        elif found.if_silent is not None and not is_asked and _may_expire_silently(found):
            told = NoticeDetails(
                reason="no_news", message="Nothing more was heard in the grace time."
            )
            found = desk.advance(found, found.if_silent, told)
        await self._schedule_next(desk, found)
        await self._decisions.commit(desk)  # what crosses it is looked at the next time

    async def _apply_lookup(
        self,
        desk: Decision,
        live: CompiledSource | None,
        found: Transaction,
        standing: LookupResult,
    ) -> Transaction:
        judged = judge_status(ReportedStatus(standing.status), found)
        told = NoticeDetails(raw_status=standing.raw_status)
        differs = check_amount(standing.amount, found.amount, found.currency)
        if judged.outcome is Outcome.CONFLICT:
            is_sure = standing.status is TransactionStatus.APPROVED and differs is None
            return await self._handle_contradiction(
                desk, live if is_sure else None, found, standing
            )
        if judged.outcome is not Outcome.APPLIED:
            return found
        if standing.status is TransactionStatus.APPROVED and differs is not None:
            await self._open_conflict(desk, found, mismatch(standing.status, differs))
            if not differs.is_more:
                return found
        return desk.advance(found, standing.status, told, CONFIRMED)

    async def _handle_contradiction(
        self,
        desk: Decision,
        sure: CompiledSource | None,
        found: Transaction,
        standing: LookupResult,
    ) -> Transaction:
        """Ask a person; or approve after all, where its owner chose so and it is proven twice."""
        proven = await self._has_proof(found) if sure is not None else None
        if sure is None or proven is None or not accepts_late_success(sure.config, found):
            why = f"The provider says {standing.status.value} when it is asked."
            await self._open_conflict(desk, found, contradiction(found, standing.status, why))
            return found
        desk.resolve_conflict(
            proven._replace(
                resolved_at=desk.now,
                resolution="accept",
                resolved_by="janitor",
                resolution_reason="The provider confirmed it (accept_verified).",
            )
        )
        told = NoticeDetails(raw_status=standing.raw_status, supersedes=found.sequence)
        return desk.advance(found, TransactionStatus.APPROVED, told, CONFIRMED)

    async def _has_proof(self, found: Transaction) -> MoneyConflict | None:
        """Return the disagreement by which a signed callback told of the late success."""
        database = self._decisions.database
        for waiting in await self._open_conflicts(found):
            is_late = (waiting.kind, waiting.status) == (
                "contradiction",
                TransactionStatus.APPROVED,
            )
            if not is_late or waiting.amount not in (None, found.amount):
                continue
            callback = await database.callback(found.app_id, waiting.callback_id or "")
            if callback is not None and callback.trust is Trust.SIGNED:
                return waiting
        return None

    async def _open_conflict(self, desk: Decision, found: Transaction, made: MoneyConflict) -> None:
        if not is_already_open(made, await self._open_conflicts(found)):
            desk.open_conflict(found, made)

    async def _open_conflicts(self, found: Transaction) -> list[MoneyConflict]:
        page = Page(limit=100)
        return await self._decisions.database.conflicts(
            found.app_id, page, found.id, open_only=True
        )

    async def _schedule_next(self, desk: Decision, found: Transaction) -> None:
        """Say when to look again; at the end of the schedule ask a person."""
        if found.status in TERMINAL:
            if found.check_at is not None:
                desk.update_transaction(found, found._replace(check_at=None, if_silent=None))
            return
        checks = found.checks + 1
        if checks < len(SCHEDULE):
            at = desk.now + SCHEDULE[checks]
            desk.update_transaction(found, found._replace(check_at=at, checks=checks))
            return
        desk.open_conflict(found, new_conflict(found.status, "stuck", "It is open for days."))
        desk.update_transaction(found, found._replace(check_at=None, checks=checks))


def _may_expire_silently(found: Transaction) -> bool:
    return found.status not in TERMINAL and not (
        found.direction is Direction.PAY_OUT and found.if_silent in NEGATIVE
    )
