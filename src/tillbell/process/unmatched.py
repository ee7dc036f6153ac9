"""Unmatched callbacks: those that came before their transaction are decided again.

At once when a transaction appears under a reference that they wait for or learns one (the id of a
new attempt), is approved (a refund may come before its capture, a reversal before its chargeback),
or is kept as it is by a person; and from time to time for 72 hours. Only their notices about
transactions are decided again: the others were when the callback was first decided.

A refund or the like about which a person is asked is decided again too, when there is more of its
payment to give back: then it may be booked, and the question is answered.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine

from tillbell.clock import Clock
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.transactions import Transaction, TransactionKind, TransactionStatus
from tillbell.process.decision import Decision
from tillbell.receive.reprocess import Reprocessor
from tillbell.rules.payments.conflicts import is_about_linked
from tillbell.rules.payments.linked import amount_left_of_all
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Page

BATCH_SIZE = 100
_CONFLICTS = Page(limit=BATCH_SIZE, ascending=True)


class UnmatchedCallbacks:
    """Reprocesses unmatched callbacks when their transaction may be there."""

    def __init__(self, database: Database, reprocessor: Reprocessor, clock: Clock) -> None:
        self._database = database
        self._reprocessor = reprocessor
        self._clock = clock
        self._in_order = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        # By application, what transactions appeared under: looked up together.
        self._appeared: dict[str, list[list[str]]] = {}

    def decision_committed(self, decision: Decision) -> None:
        """Start to look for callbacks that wait for what a decision did. Returns at once.

        Decisions of one commit are told of one after another, and are looked up in one step.
        """
        for before, after in decision.changed_transactions:
            if references := _references_to_try(before, after):
                self._try(after.app_id, references)
            if _has_more_left(before, after):
                self._spawn(self._decide_asked(after))
        for transaction_id in decision.kept_transactions:  # what waits for it to be paid
            self._try(decision.app_id, [transaction_id])
        if decision.awaited_references:
            self._spawn(self._transaction_missed(decision))

    def _try(self, app_id: str, references: list[str]) -> None:
        """Start to decide again what waits under references of one transaction."""
        if not self._appeared:
            self._spawn(self._decide_waiting())
        self._appeared.setdefault(app_id, []).append(references)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(_unless_store_unavailable(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def retry_due(self) -> None:
        """Reprocess those whose time has come (a chore)."""
        for callback in await self._database.callbacks_to_retry(self._clock.now(), BATCH_SIZE):
            await self._reprocessor.wait_for_capacity()
            await self._reprocessor.reprocess(callback, money_only=True)

    async def wait_idle(self) -> None:
        """Wait until no callbacks are being looked for."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def _decide_waiting(self) -> None:
        appeared, self._appeared = self._appeared, {}
        for app_id, references_of_each in appeared.items():
            references = list(dict.fromkeys(itertools.chain.from_iterable(references_of_each)))
            if await self._database.callbacks_awaiting(app_id, references):
                for references in references_of_each:
                    await self._decide_awaiting(app_id, references)

    async def _decide_awaiting(self, app_id: str, references: list[str]) -> None:
        """Decide one after another, as they came. When one is applied, earlier ones go first.

        So a refund that came before its payment is booked before what came after both.
        """
        async with self._in_order:  # else two that find the same callbacks would mix their order
            waiting: list[Callback] = []
            for callback in await self._database.callbacks_awaiting(app_id, references):
                outcome = await self._decide(callback)
                if outcome is Outcome.UNMATCHED:
                    waiting.append(callback)
                elif outcome is Outcome.APPLIED:
                    waiting = [
                        earlier
                        for earlier in waiting
                        if await self._decide(earlier) is Outcome.UNMATCHED
                    ]

    async def _decide(self, callback: Callback) -> Outcome | None:
        """Decide a callback again; return its outcome."""
        result = await self._reprocessor.reprocess(callback, money_only=True)
        if result.decided is not None:
            await asyncio.wait({result.decided})
        after = await self._database.callback(callback.app_id, callback.id)
        return None if after is None else after.outcome

    async def _decide_asked(self, payment: Transaction) -> None:
        async with self._in_order:
            for conflict in await self._database.conflicts(
                payment.app_id, _CONFLICTS, payment.id, open_only=True
            ):
                if not is_about_linked(conflict) or conflict.callback_id is None:
                    continue
                callback = await self._database.callback(payment.app_id, conflict.callback_id)
                if callback is not None:
                    await self._decide(callback)

    async def _transaction_missed(self, decision: Decision) -> None:
        """Reprocess a callback if its transaction appeared while it was being decided.

        So it is if the one that it waits behind has been decided meanwhile.
        """
        callback = decision.callback
        assert callback is not None, "only a callback waits"
        if decision.waits_behind is not None:
            awaiting = await self._database.callbacks_awaiting(
                callback.app_id, [decision.waits_behind]
            )
            if all(other.id >= callback.id for other in awaiting):
                await self._reprocessor.reprocess(callback, money_only=True)
                return
        for references in decision.searched_references:
            candidates = await self._database.candidate_transactions(
                callback.app_id, callback.source_id, references
            )
            if not all(decision.is_as_read(transaction) for transaction in candidates):
                await self._reprocessor.reprocess(callback, money_only=True)
                return


async def _unless_store_unavailable(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except StoreUnavailable as error:  # the chore retries it
        log_event("unmatched.retry_postponed", error=str(error))


def _references_to_try(before: Transaction | None, after: Transaction) -> list[str]:
    """Return the references under which a callback may wait for what has changed."""
    is_approved = after.status is TransactionStatus.APPROVED
    if before is None or (is_approved and before.status is not after.status):
        return references_of(after)
    known = references_of(before)
    return [reference for reference in references_of(after) if reference not in known]


def _has_more_left(before: Transaction | None, after: Transaction) -> bool:
    """Tell whether more of a payment may go back than before, and somebody may have been asked."""
    if before is None or after.kind is not TransactionKind.PAYMENT or before.version == 1:
        return False
    return amount_left_of_all(after) > amount_left_of_all(before)


def references_of(transaction: Transaction) -> list[str]:
    """Return every reference by which a notice may name a transaction, or what belongs to it."""
    references = (
        transaction.id,
        transaction.parent_id,
        transaction.uid,
        transaction.order_id,
        transaction.merchant_reference,
        transaction.psp_transaction_id,
        *[id_ for attempt in transaction.attempts for id_ in attempt.ids],
    )
    return list(dict.fromkeys([reference for reference in references if reference]))
