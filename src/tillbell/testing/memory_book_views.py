"""Lists and look-ups of the books, by looking at everything."""

from __future__ import annotations

from collections.abc import Sequence

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback, References
from tillbell.model.transactions import (
    AuditEntry,
    Effect,
    EffectKind,
    MoneyConflict,
    Transaction,
    Transition,
)
from tillbell.storage.ports.inbound import CallbackFilter, TransactionFilter
from tillbell.storage.ports.outbound import Page
from tillbell.testing.memory_views import made_within, page_of

FOREVER: Micros = 2**62


class MemoryInboundReads:
    """`InboundReads` over dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.known_callbacks: dict[str, Callback] = {}
        self.requests: dict[str, tuple[bytes, bool]] = {}  # bytes, and whether they are bulk
        self.waits: dict[str, frozenset[str]] = {}
        self.seen: dict[tuple[str, str], tuple[str, Micros]] = {}  # application, when
        self.known_transactions: dict[str, Transaction] = {}
        self.known_transitions: dict[tuple[str, int], Transition] = {}
        self.known_effects: dict[tuple[str, EffectKind], Effect] = {}
        self.known_conflicts: dict[str, MoneyConflict] = {}
        self.audits: list[AuditEntry] = []

    # ── callbacks ────────────────────────────────────────────────────────────────────────────────

    async def callback(self, app_id: str, callback_id: str) -> Callback | None:
        """See `InboundReads.callback`."""
        found = self.known_callbacks.get(callback_id)
        return found if found is not None and found.app_id == app_id else None

    async def callback_request(self, app_id: str, callback_id: str) -> bytes | None:
        """See `InboundReads.callback_request`."""
        is_theirs = await self.callback(app_id, callback_id) is not None
        return self.requests[callback_id][0] if is_theirs and callback_id in self.requests else None

    async def callbacks(self, app_id: str, filter_: CallbackFilter, page: Page) -> list[Callback]:
        """See `InboundLists.callbacks`."""
        is_in_time = made_within("cbk", filter_.after, filter_.before)
        found = [
            c
            for c in self.known_callbacks.values()
            if c.app_id == app_id
            and is_in_time(c.id)
            and filter_.source_id in (None, c.source_id)
            and filter_.provider in (None, c.provider)
            and (filter_.outcomes is None or c.outcome in filter_.outcomes)
            and filter_.is_refused in (None, c.trust is None)
            and filter_.transaction_id in (None, c.transaction_id)
        ]
        return page_of(found, page)

    async def unprocessed_callbacks(self, after: str, limit: int) -> list[Callback]:
        """See `InboundReads.unprocessed_callbacks`."""
        found = [c for c in self.known_callbacks.values() if c.outcome is None and c.id > after]
        return sorted(found)[:limit]

    async def callbacks_awaiting(self, app_id: str, references: Sequence[str]) -> list[Callback]:
        """See `InboundReads.callbacks_awaiting`."""
        found = [
            c
            for c in self.known_callbacks.values()
            if c.app_id == app_id and not self.waits.get(c.id, frozenset()).isdisjoint(references)
        ]
        return sorted(found)

    async def callbacks_to_retry(self, now: Micros, limit: int) -> list[Callback]:
        """See `InboundReads.callbacks_to_retry`."""
        due = [c for c in self.known_callbacks.values() if (c.retry_at or FOREVER) <= now]
        return sorted(due, key=lambda c: (c.retry_at, c.id))[:limit]

    async def new_item_keys(
        self, app_id: str, source_id: str, item_keys: Sequence[str]
    ) -> set[str]:
        """See `InboundReads.new_item_keys`."""
        theirs = {item for item, (owner, _) in self.seen.items() if owner == app_id}
        return {key for key in item_keys if (source_id, key) not in theirs}

    # ── transactions ─────────────────────────────────────────────────────────────────────────────

    async def transaction(self, app_id: str, id_or_uid: str) -> Transaction | None:
        """See `InboundReads.transaction`."""
        found = [t for t in self._transactions_of(app_id) if id_or_uid in (t.id, t.uid)]
        return min(found, key=lambda t: t.id != id_or_uid, default=None)

    def _transactions_of(self, app_id: str) -> list[Transaction]:
        return [t for t in self.known_transactions.values() if t.app_id == app_id]

    async def candidate_transactions(
        self, app_id: str, source_id: str | None, references: References
    ) -> list[Transaction]:
        """See `InboundReads.candidate_transactions`."""
        found = [
            t
            for t in self._transactions_of(app_id)
            if {t.id, t.uid, t.order_id, t.merchant_reference} & set(references.ours)
            or (t.psp_transaction_id in references.psp and t.source_id in (None, source_id))
        ]
        return page_of(found, Page(50))

    async def linked_transactions(self, app_id: str, transaction_id: str) -> list[Transaction]:
        """See `InboundReads.linked_transactions`."""
        owned = app_id, transaction_id
        known = self.known_transactions.values()
        found = [t for t in known if (t.app_id, t.parent_id) == owned]
        return page_of(found, Page(len(found), ascending=True))

    async def transactions(
        self, app_id: str, filter_: TransactionFilter, page: Page
    ) -> list[Transaction]:
        """See `InboundLists.transactions`."""
        is_in_time = made_within("trx", filter_.after, filter_.before)
        found = [
            t
            for t in self._transactions_of(app_id)
            if is_in_time(t.id)
            and filter_.status in (None, t.status)
            and filter_.direction in (None, t.direction)
            and filter_.kind in (None, t.kind)
            and filter_.user_id in (None, t.user_id)
            and filter_.parent_id in (None, t.parent_id)
            and filter_.reference
            in (None, t.uid, t.order_id, t.merchant_reference, t.psp_transaction_id)
        ]
        return page_of(found, page)

    async def transactions_to_check(self, now: Micros, limit: int) -> list[Transaction]:
        """See `InboundReads.transactions_to_check`."""
        due = [t for t in self.known_transactions.values() if (t.check_at or FOREVER) <= now]
        return sorted(due, key=lambda t: (t.check_at, t.id))[:limit]

    async def transitions(self, app_id: str, transaction_id: str) -> list[Transition]:
        """See `InboundReads.transitions`."""
        if await self._is_of_another(app_id, transaction_id):
            return []
        found = [t for t in self.known_transitions.values() if t.transaction_id == transaction_id]
        return sorted(found, key=lambda t: t.sequence)

    async def effects(self, app_id: str, transaction_id: str) -> list[Effect]:
        """See `InboundReads.effects`."""
        if await self._is_of_another(app_id, transaction_id):
            return []
        found = [e for e in self.known_effects.values() if e.transaction_id == transaction_id]
        return sorted(found, key=lambda e: (e.sequence, e.kind))

    async def _is_of_another(self, app_id: str, transaction_id: str) -> bool:
        known = self.known_transactions.get(transaction_id)
        return known is not None and known.app_id != app_id

    # ── conflicts and audit ──────────────────────────────────────────────────────────────────────

    async def conflict(self, app_id: str, conflict_id: str) -> MoneyConflict | None:
        """See `InboundReads.conflict`."""
        found = self.known_conflicts.get(conflict_id)
        return found if found is not None and found.app_id == app_id else None

    async def conflicts(
        self, app_id: str, page: Page, transaction_id: str | None = None, *, open_only: bool = False
    ) -> list[MoneyConflict]:
        """See `InboundLists.conflicts`."""
        found = [
            c
            for c in self.known_conflicts.values()
            if c.app_id == app_id
            and transaction_id in (None, c.transaction_id)
            and not (open_only and c.resolved_at is not None)
        ]
        return page_of(found, page)

    async def audit(self, app_id: str, page: Page, target: str | None = None) -> list[AuditEntry]:
        """See `InboundLists.audit`."""
        found = [a for a in self.audits if a.app_id == app_id and target in (None, a.target)]
        return page_of(found, page)
