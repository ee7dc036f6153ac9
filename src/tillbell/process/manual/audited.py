"""What manual actions have in common: actor, reason, audit entry, and with four eyes a second key.

With four eyes the actions in `SECOND_KEY_ACTIONS` are only proposed at first. The same action by
another key does it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.records import Record
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.storage.ports.outbound import Page

T = TypeVar("T")

SECOND_KEY_ACTIONS = ("transaction.approve", "transaction.reject", "conflict.accept")
RESEND = "transaction.resend"  # changes nothing: an earlier proposal stays valid
_PROPOSED = ".proposed"


class ActionReason(NamedTuple):
    """Who acts, an API key's id, and why."""

    actor: str
    reason: str


class AwaitingSecondKey(NamedTuple):
    """The action is proposed. Another key must do the same."""

    proposed_by: str


class AuditedDecisions:
    """Commits the decisions of people, each with its entry in the audit log."""

    def __init__(self, decisions: Decisions, *, four_eyes: bool) -> None:
        self._decisions = decisions
        self._four_eyes = four_eyes
        self._database = decisions.database

    async def commit(
        self, app_id: str, act: ActionReason, decide: Callable[[Decision], Awaitable[T]]
    ) -> T:
        """Commit a decision as `Decisions.commit` does. `Invalid` if no reason is given."""
        if not act.reason.strip():
            problem = Problem(("body", "reason"), "say why; it goes into the audit log", "missing")
            raise Invalid(problem)
        return await self._decisions.commit(app_id, DecidedBy(actor=act.actor), decide)

    async def audit(self, app_id: str, action: str, target: str, act: ActionReason) -> None:
        """Write into the audit log what is done elsewhere."""

        async def decide(decision: Decision) -> None:
            self.write(decision, action, target, act)

        await self.commit(app_id, act, decide)

    async def remove(self, record: Record, action: str, act: ActionReason) -> None:
        """Delete a record and write that into the audit log. `NotFound` if it is gone already."""

        async def decide(decision: Decision) -> None:
            stored = await self._database.get(type(record), record.id, record.scope)
            if stored is None:
                raise NotFound
            self.write(decision, action, record.id, act)
            decision.remove_record(stored)

        await self.commit(record.scope, act, decide)

    def write(
        self,
        decision: Decision,
        action: str,
        target: str,
        act: ActionReason,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Write the audit entry of a decision. `Unavailable` while nothing may be stored."""
        self._decisions.check_accepting()
        decision.write_audit_entry(action, target, act.reason, details)

    async def write_or_propose(
        self,
        decision: Decision,
        action: str,
        target: str,
        act: ActionReason,
        details: dict[str, Any] | None = None,
    ) -> AwaitingSecondKey | None:
        """Write the audit entry; or propose the action, if it needs a second key that is not here.

        `details` say what exactly is done: a second key must say the same. If it returns
        `AwaitingSecondKey`, the decision must record nothing else.
        """
        proposed = await self._proposed_by_another(decision.app_id, action, target, act)
        if not self._four_eyes or action not in SECOND_KEY_ACTIONS or proposed == (details or {}):
            self.write(decision, action, target, act, details)
            return None
        self.write(decision, action + _PROPOSED, target, act, details)
        return AwaitingSecondKey(act.actor)

    async def _proposed_by_another(
        self, app_id: str, action: str, target: str, act: ActionReason
    ) -> dict[str, Any] | None:
        """Return the details of this action, if another key has proposed it just before."""
        if not self._four_eyes or action not in SECOND_KEY_ACTIONS:
            return None
        entries = await self._database.audit(app_id, Page(limit=50), target)  # newest first
        latest = next((entry for entry in entries if entry.action != RESEND), None)
        if latest is None or latest.action != action + _PROPOSED or latest.actor == act.actor:
            return None
        return latest.details
