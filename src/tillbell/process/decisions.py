"""Decisions: let a function decide, and store what it decided in one commit.

A decision rests on what was read for it: versions, free uids, amounts left. If any of that has
changed at the commit, nothing is stored (`PreconditionFailed`) and it is decided again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tillbell.clock import Clock
from tillbell.counters import Meters
from tillbell.deliver.application_views import ApplicationView
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.publish import Publisher
from tillbell.errors import ConflictError, NotFound
from tillbell.ids import IdMaker
from tillbell.model.callbacks import Callback
from tillbell.process.answered_questions import close_answered
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.order_payments import pay_orders
from tillbell.process.order_products import add_products
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import ChangeSet, PreconditionFailed
from tillbell.storage.session.request_act import fill_request_act, take_request_act

T = TypeVar("T")

TRIES_MAX = 50
NO_CHANGES = ChangeSet()
# Why a decision is given up: the precondition that failed every time.
_FAILURES = {
    "version": "What it changes was changed at the same time; try again.",
    "order": "An order came at the same time; try again.",
    "concluded": "The callback got another outcome at the same time; try again.",
    "uid": "Another record has this uid.",
    "psp_transaction_id": "The provider's id is that of another refund or the like.",
    "event_id": "A message with this event id is published already.",
    "refunds": "More would be refunded than was credited.",
    "resolved": "The conflict is resolved already.",
    "seen": "An item of the batch was published already.",
}


class AlreadyConcluded(Exception):
    """The callback got its conclusion elsewhere meanwhile. Nothing was stored."""


def _ignore(decision: Decision) -> None:
    del decision


@dataclass
class Decisions:
    """Commits decisions. `on_committed` is called with each one that was stored."""

    database: Database
    config_cache: ConfigCache
    publisher: Publisher
    clock: Clock
    ids: IdMaker
    meters: Meters
    on_committed: Callable[[Decision], object] = field(default=_ignore)
    _apps_with_orders: set[str] = field(default_factory=set)  # ids, as far as commits have met them

    async def commit(
        self, app_id: str, by: DecidedBy, decide: Callable[[Decision], Awaitable[T]]
    ) -> T:
        """Let `decide` decide, commit its decision, start the deliveries; return its result.

        `decide` reads what it needs and records on the decision what follows. It is called again
        with a new decision when a precondition has failed. What it raises is raised here, and
        nothing is stored; nor is anything if it records nothing.

        `NotFound` if there is no such application, `AlreadyConcluded` if the callback has a
        conclusion, `ConflictError` with the cause after `TRIES_MAX` tries, `StoreUnavailable` if it
        is not known whether the decision was stored.
        """
        failed = None
        for _ in range(TRIES_MAX):
            view = await self.config_cache.view(app_id)
            if view is None:
                raise NotFound("There is no such application.")
            reference = view.application.order_reference
            decision = Decision(app_id, self.ids, self.clock.now(), by, reference)
            decision.is_first_try = failed is None
            result = await decide(decision)
            await pay_orders(self.database, decision, has_orders=app_id in self._apps_with_orders)
            await close_answered(self.database, decision)
            await add_products(self.database, decision, view)
            failed = await self._store(view, decision, by.callback)
            if failed is None:
                return result
            if failed.why == "order":
                self._apps_with_orders.add(app_id)
            if failed.why == "concluded" and by.callback is not None:
                raise AlreadyConcluded
        assert failed is not None, "it was tried"
        raise ConflictError(_FAILURES[failed.why])

    async def preview(self, app_id: str, decide: Callable[[Decision], Awaitable[T]]) -> T:
        """Let `decide` decide and return its result, but store nothing."""
        view = await self.config_cache.view(app_id)
        if view is None:
            raise NotFound("There is no such application.")
        reference = view.application.order_reference
        by = DecidedBy(actor="")
        return await decide(Decision(app_id, self.ids, self.clock.now(), by, reference))

    def check_accepting(self) -> None:
        """Raise `Unavailable` while nothing may be stored, as when the disk is full."""
        if self.publisher.refusal is not None:
            raise self.publisher.refusal

    async def _store(
        self, view: ApplicationView, decision: Decision, callback: Callback | None
    ) -> PreconditionFailed | None:
        with self.publisher.prepared(view, decision.drafts) as messages:
            change_set = decision.change_set(messages.publications)
            if change_set == NO_CHANGES:
                return None
            # As a part of the change set, it does not keep others out of the same statements.
            act = take_request_act()
            if act is not None and not change_set.acts:
                change_set = change_set._replace(acts=(act,))
            outcome = await self.database.commit_changes(change_set)
            if isinstance(outcome, PreconditionFailed):
                if act is not None:
                    fill_request_act(act)
                return outcome
            messages.start_deliveries()
        if change_set.conclusion is not None and callback is not None:
            self.meters.concluded(change_set.conclusion.outcome, callback.provider)
        self.on_committed(decision)
        return None
