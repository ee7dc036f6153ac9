"""The desk: one decision in the making, from what was read to one `ChangeSet`.

Several notices of a callback may move the same transaction; each sees what the ones before it
did. Nothing is stored here: `change()` says what is to be, and the store takes all or nothing.

Messages get their ids, and their places in lanes, only when the decision is committed: ids must be
in the order of commits, or a poller would miss one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from tillbell.clock import Micros, iso
from tillbell.deliver.config_cache import ApplicationView
from tillbell.deliver.publish import MessageDraft
from tillbell.ids import IdMaker
from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.records import Record
from tillbell.model.transactions import (
    AuditEntry,
    MoneyConflict,
    Transaction,
    TransactionStatus,
    Transition,
)
from tillbell.rules.delivery.hops import hop_tags
from tillbell.rules.payments.booking import (
    REVERSING,
    BookedStep,
    NoticeDetails,
    StepCause,
    add_provider_ids,
    book,
    conflict_data,
    event_type,
    open_transaction,
    transaction_data,
)
from tillbell.storage.ports.inbound import (
    CallbackConclusion,
    ChangeSet,
    RecordWrite,
    TransactionWrite,
)
from tillbell.storage.ports.outbound import Publication

R = TypeVar("R", bound=Record)

_encode = msgspec.json.Encoder(decimal_format="number").encode

# Which outcome speaks for a callback that says several things: the first of these.
_OUTCOME_PRECEDENCE = (
    Outcome.APPLIED,
    Outcome.CONFLICT,
    Outcome.MISMATCH,
    Outcome.ILLEGAL,
    Outcome.UNMAPPED,
    Outcome.UNMATCHED,
    Outcome.STALE,
    Outcome.DUPLICATE,
    Outcome.NOTED,
    Outcome.IGNORED,
)


class DecidedBy(NamedTuple):
    """Who decides: a callback, or the API key (or janitor) of that name.

    Both: a person vouches for a callback that has ended, and it gets a new conclusion.
    """

    callback: Callback | None = None
    actor: str | None = None


class _StepWithMessage(NamedTuple):
    """A step, and which of the desk's messages tells of it."""

    step: BookedStep
    message: int


class Decision:
    """One decision. `now` is its moment."""

    def __init__(
        self,
        view: ApplicationView,
        ids: IdMaker,
        now: Micros,
        by: DecidedBy,
    ) -> None:
        self.view = view
        self._ids = ids
        callback, self._actor = by
        self._callback = callback
        self.now = now
        self.received_at = callback.received_at if callback is not None else now
        self._versions: dict[str, int] = {}  # as they are stored; 0: not yet
        self._current: dict[str, Transaction] = {}
        self._steps: dict[str, list[_StepWithMessage]] = {}
        self._conflicts: list[MoneyConflict] = []
        self._resolved: list[MoneyConflict] = []
        self._records: dict[tuple[type[Record], str], RecordWrite] = {}  # by kind and uid
        self.drafts: list[MessageDraft] = []  # the messages to publish with it
        self._audit: list[AuditEntry] = []
        self._outcomes: list[tuple[Outcome, str]] = []
        self.transaction_id: str | None = None
        self.new_item_keys: tuple[tuple[str, str], ...] = ()
        self.awaited_references: tuple[str, ...] = ()
        self.retry_at: Micros | None = None
        self.idempotency: tuple[str, str, bytes] | None = None

    @property
    def callback(self) -> Callback | None:
        """What caused it."""
        return self._callback

    @property
    def app_id(self) -> str:
        """The application it is about."""
        return self.view.application.id

    # ── transactions ─────────────────────────────────────────────────────────────────────────────

    def current(self, found: Transaction) -> Transaction:
        """Return a transaction as it is after what was decided so far."""
        self._versions.setdefault(found.id, found.version)
        return self._current.setdefault(found.id, found)

    def note_read(self, found: Iterable[Transaction]) -> None:
        """Take note of what was read for this decision."""
        for one in found:
            self._versions.setdefault(one.id, one.version)

    def is_as_read(self, found: Transaction) -> bool:
        """Tell whether a transaction is as it was read for this decision, or as it was left."""
        present = self._current.get(found.id)
        known = present.version if present is not None else self._versions.get(found.id)
        return known == found.version

    def children(self, parent_id: str, stored: Iterable[Transaction]) -> list[Transaction]:
        """Return what is linked to a transaction, with what was decided so far."""
        found = {one.id: one for one in stored}
        mine = {id_: t for id_, t in self._current.items() if t.parent_id == parent_id}
        return list((found | mine).values())

    def open_transaction(self, transaction: Transaction) -> Transaction:
        """Create a transaction; its first step is Pending."""
        self._versions[transaction.id] = 0
        return self._add_step(open_transaction(transaction, self._cause()))

    def advance(
        self,
        found: Transaction,
        status: TransactionStatus,
        told: NoticeDetails,
        trust: str | None = None,
    ) -> Transaction:
        """Take a step, with its effect and its message."""
        self.current(found)
        return self._add_step(book(found, status, told, self._cause(trust)))

    def update_transaction(self, found: Transaction, after: Transaction) -> Transaction:
        """Change something that is no step: an id learned, a look-up planned."""
        self.current(found)
        if after == found:
            return found
        raised = after._replace(version=found.version + 1)
        self._current[found.id] = raised
        self._steps.setdefault(found.id, [])
        return raised

    def add_provider_ids(self, found: Transaction, told: NoticeDetails) -> Transaction:
        """Keep the ids by which the provider knows it."""
        return self.update_transaction(found, add_provider_ids(found, told))

    def _add_step(self, booked: BookedStep) -> Transaction:
        after = booked.transaction
        self._current[after.id] = after
        number = self.publish_event(event_type(after.status), transaction_data(after), after)
        self._steps.setdefault(after.id, []).append(_StepWithMessage(booked, number))
        if after.kind in REVERSING and after.status is TransactionStatus.APPROVED:
            self.publish_event("transaction.reversed", transaction_data(after), after)
        return after

    def _cause(self, trust: str | None = None) -> StepCause:
        callback_id = self._callback.id if self._callback is not None else None
        return StepCause(self.now, callback_id, self._actor, trust)

    # ── conflicts, records, audit ────────────────────────────────────────────────────────────────

    def open_conflict(self, found: Transaction, conflict: MoneyConflict) -> None:
        """Put a disagreement on record, and tell those who listen for it."""
        made = conflict._replace(
            id=self._ids.new("cfl", self.now),
            app_id=found.app_id,
            transaction_id=found.id,
            current=found.status,
            at=self.now,
            callback_id=self._callback.id if self._callback is not None else None,
        )
        self._conflicts.append(made)
        self.publish_event("transaction.conflict", conflict_data(found, made), found)

    def resolve_conflict(self, conflict: MoneyConflict) -> None:
        """Give a conflict its resolution."""
        self._resolved.append(conflict)

    def write_record(self, record: Record, expected_version: int) -> None:
        """Store a record beside, by its uid."""
        key = type(record), record.uid or record.id
        earlier = self._records.get(key)
        expected = expected_version if earlier is None else earlier.expected_version
        self._records[key] = RecordWrite(record, expected)

    def written_record(self, kind: type[R], uid: str) -> R | None:
        """Return a record as this decision leaves it; None if it does not touch it."""
        found = self._records.get((kind, uid))
        return cast("R", found.record) if found is not None else None

    def write_audit_entry(self, entry: AuditEntry) -> None:
        """Write into the audit log."""
        self._audit.append(entry)

    # ── messages ─────────────────────────────────────────────────────────────────────────────────

    def publish_event(
        self, type_: str, data: dict[str, Any], about: Transaction | None = None
    ) -> int:
        """Publish a message of ours, `{"type", "timestamp", "data"}`; return which it is."""
        payload = _encode({"type": type_, "timestamp": iso(self.now), "data": data})
        source_id = about.source_id if about is not None else None
        return self.publish_payload(
            type_, payload, about.id if about is not None else None, source_id
        )

    def publish_payload(
        self,
        type_: str,
        payload: bytes,
        order_key: str | None = None,
        source_id: str | None = None,
    ) -> int:
        """Publish a payload as it is, in this decision's commit; return which message it is."""
        if source_id is None and self._callback is not None:
            source_id = self._callback.source_id
        channels = (f"source:{source_id}",) if source_id else ()
        tags = hop_tags(self._callback.hops) if self._callback is not None else ()
        self.drafts.append(
            MessageDraft(type_, payload, channels=channels, tags=tags, order_key=order_key)
        )
        return len(self.drafts) - 1

    # ── the end ──────────────────────────────────────────────────────────────────────────────────

    def add_outcome(self, outcome: Outcome, why: str, transaction_id: str | None = None) -> None:
        """Give the outcome of one notice."""
        self._outcomes.append((outcome, why))
        self.transaction_id = self.transaction_id or transaction_id

    def change_set(self, publications: Sequence[Publication]) -> ChangeSet:
        """Return all that the decision changes, with its messages: one for each of `drafts`."""
        message_ids = tuple(publication.message.id for publication in publications)
        return ChangeSet(
            transaction_writes=tuple(
                self._transaction_write(id_, steps, message_ids)
                for id_, steps in self._steps.items()
            ),
            conclusion=self._conclusion(message_ids),
            conflicts=tuple(self._conflicts),
            resolved=tuple(self._resolved),
            record_writes=tuple(self._records.values()),
            publications=tuple(publications),
            item_keys=self.new_item_keys,
            audit=tuple(self._audit),
            idempotency=self.idempotency,
        )

    def _transaction_write(
        self, id_: str, steps: list[_StepWithMessage], message_ids: Sequence[str]
    ) -> TransactionWrite:
        return TransactionWrite(
            self._current[id_],
            self._versions[id_],
            tuple(_with_message(step.transition, message_ids[number]) for step, number in steps),
            tuple(effect for step, _ in steps for effect in step.effects),
        )

    def _conclusion(self, message_ids: tuple[str, ...]) -> CallbackConclusion | None:
        if self._callback is None:
            return None
        said = self._outcomes or [(Outcome.NOTED, "It says nothing that concerns us.")]
        outcome = min((o for o, _ in said), key=_OUTCOME_PRECEDENCE.index)
        if self.awaited_references:
            outcome = Outcome.UNMATCHED  # looked at again as a whole: the rest is then known
        why = " ".join(dict.fromkeys(w for o, w in said if o is outcome))
        is_unmatched = outcome is Outcome.UNMATCHED
        return CallbackConclusion(
            self._callback.app_id,
            self._callback.id,
            outcome,
            why[:1_000],
            self.now,
            self.transaction_id,
            message_ids,
            self.retry_at if is_unmatched else None,
            self.awaited_references if is_unmatched else (),
            replaces=self._callback.outcome if self._actor is not None else None,
        )

    @property
    def advanced_transactions(self) -> list[Transaction]:
        """The transactions that took a step, as they are now."""
        return [self._current[id_] for id_, booked in self._steps.items() if booked]

    @property
    def scheduled_transactions(self) -> list[Transaction]:
        """The transactions that are to be looked at again at some time."""
        return [one for one in self._current.values() if one.check_at is not None]


def _with_message(transition: Transition, message_id: str) -> Transition:
    """Add the id of the message that reports the transition."""
    return transition._replace(details=transition.details | {"messageId": message_id})
