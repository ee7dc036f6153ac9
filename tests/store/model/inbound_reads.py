"""What the model keeps of callbacks and money, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence

from tests.store.model.outbound_reads import in_order
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

FOREVER: Micros = 2**62


class ModelInboundReads:
    """Callbacks, money and what belongs to them."""

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

    async def callback_request(self, app_id: str, callback_id: str) -> bytes | None:
        """See `InboundReads.callback_request`."""
        callback = self.known_callbacks.get(callback_id)
        is_theirs = callback is not None and callback.app_id == app_id
        return self.requests[callback_id][0] if is_theirs and callback_id in self.requests else None

    async def callbacks(self, app_id: str, filter_: CallbackFilter, page: Page) -> list[Callback]:
        """See `InboundLists.callbacks`."""
        assert filter_ == CallbackFilter()
        return in_order([c for c in self.known_callbacks.values() if c.app_id == app_id], page)

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

    def _transactions_of(self, app_id: str) -> list[Transaction]:
        return [t for t in self.known_transactions.values() if t.app_id == app_id]

    async def candidate_transactions(
        self, app_id: str, source_id: str | None, references: References
    ) -> list[Transaction]:
        """See `InboundReads.candidate_transactions`."""
        candidates = [
            t
            for t in self._transactions_of(app_id)
            if {t.id, t.uid, t.order_id, t.merchant_reference} & set(references.ours)
            or (t.psp_transaction_id in references.psp and t.source_id in (None, source_id))
            or any(
                set(attempt.ids) & set(references.psp)
                and source_id is not None
                and (attempt.source_id or "") == source_id
                for attempt in t.attempts
            )
        ]
        return sorted(candidates, key=lambda t: t.id, reverse=True)[:50]

    async def linked_transactions(self, app_id: str, transaction_id: str) -> list[Transaction]:
        """See `InboundReads.linked_transactions`."""
        linked = [t for t in self._transactions_of(app_id) if t.parent_id == transaction_id]
        return sorted(linked, key=lambda t: t.id)

    async def transactions(
        self, app_id: str, filter_: TransactionFilter, page: Page
    ) -> list[Transaction]:
        """See `InboundLists.transactions`."""
        assert filter_._replace(reference=None) == TransactionFilter()
        of_reference = [
            t
            for t in self._transactions_of(app_id)
            if filter_.reference
            in (None, t.uid, t.order_id, t.merchant_reference, t.psp_transaction_id)
        ]
        return in_order(of_reference, page)

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

    async def conflicts(self, app_id: str, page: Page) -> list[MoneyConflict]:
        """See `InboundLists.conflicts`."""
        return in_order([c for c in self.known_conflicts.values() if c.app_id == app_id], page)

    async def audit(self, app_id: str, page: Page) -> list[AuditEntry]:
        """See `InboundLists.audit`."""
        return in_order([a for a in self.audits if a.app_id == app_id], page)
