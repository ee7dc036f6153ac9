"""A decision: all that one callback or one action changes, before it is stored.

The deciders of this folder read from the store and record here what follows. Several notices of
one callback may move the same transaction, so a decider asks for a transaction as the decision
leaves it (`current`). Nothing is stored here: `change_set` returns the finished decision as the
store takes it, all of it in one commit (decisions.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from tillbell.clock import Micros, iso
from tillbell.deliver.audit import changes_between, current_actor
from tillbell.deliver.publish import MessageDraft
from tillbell.ids import IdMaker
from tillbell.model.audit import Actor, ActorKind, AuditedAct
from tillbell.model.callbacks import Callback, Outcome, References
from tillbell.model.records import Record
from tillbell.model.shop import HISTORY_MAX, PublishedAbout, ShopDocument
from tillbell.model.transactions import (
    AuditEntry,
    MoneyConflict,
    Transaction,
    TransactionStatus,
    Transition,
)
from tillbell.rules.delivery.hops import hop_tags
from tillbell.rules.delivery.selectors import of_source
from tillbell.rules.orders import BY_ORDER_ID
from tillbell.rules.payments.booking import (
    REVERSING,
    BookedStep,
    NoticeDetails,
    StepCause,
    book,
    book_authorization,
    conflict_data,
    open_transaction,
    transaction_data,
)
from tillbell.rules.payments.conflicts import JANITOR
from tillbell.storage.ports.inbound import (
    CallbackConclusion,
    ChangeSet,
    PaymentsRead,
    RecordWrite,
    TransactionWrite,
)
from tillbell.storage.ports.outbound import Publication

R = TypeVar("R", bound=Record)

WHY_MAX = 1_000  # characters of a conclusion's reason

_encode = msgspec.json.Encoder(decimal_format="number").encode

# The outcome of a callback that says several things: the first of these that any of them has.
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
    """What a decision comes from: a callback, or an actor (an API key's id, or "janitor")."""

    callback: Callback | None = None
    actor: str | None = None


class _StepWithMessage(NamedTuple):
    """A step, and the place of its message among the decision's drafts."""

    step: BookedStep
    draft: int


class Decision:
    """What one callback or one action changes. `now` is the time of all its changes."""

    is_first_try = True  # nothing that it presumes has turned out to be wrong

    def __init__(
        self,
        app_id: str,
        ids: IdMaker,
        now: Micros,
        by: DecidedBy,
        order_reference: str = BY_ORDER_ID,
    ) -> None:
        self.app_id = app_id
        self.order_reference = order_reference  # what of a payment names its order
        self.now = now
        self.callback = by.callback
        self._actor = by.actor
        self._ids = ids
        self._versions: dict[str, int] = {}  # of transactions, as they are stored; 0: not yet
        self._current: dict[str, Transaction] = {}
        self._stored: dict[str, Transaction] = {}  # those that were taken in, as they were read
        self._steps: dict[str, list[_StepWithMessage]] = {}
        self._conflicts: list[MoneyConflict] = []
        self._resolved: list[MoneyConflict] = []
        self.asked_again: set[str] = set()  # ids of open conflicts whose cause is still there
        self._records: dict[tuple[type[Record], str], RecordWrite] = {}  # by kind and uid
        self._removed_records: list[Record] = []
        self._absent_orders: list[tuple[str, str]] = []
        self._payments_read: list[PaymentsRead] = []
        self._unpaid: set[str] = set()
        self._drafts: list[MessageDraft] = []
        self._told: dict[tuple[type[Record], str], list[int]] = {}  # drafts about a record
        self._told_data: dict[int, dict[str, Any]] = {}  # `data` of each of these drafts
        self._audit: list[AuditEntry] = []
        self._acts: list[AuditedAct] = []
        self._item_keys: tuple[tuple[str, str], ...] = ()
        self._outcomes: list[tuple[Outcome, str]] = []
        self._transaction_id: str | None = None
        self._awaited_references: tuple[str, ...] = ()
        self.waits_behind: str | None = None  # what an earlier callback that waits is about
        self.searched_references: tuple[References, ...] = ()  # by which what it awaits was missed
        self._retry_at: Micros | None = None
        self._replaces: Outcome | None = None

    def new_id(self, prefix: str) -> str:
        """Return a new id of this decision's time."""
        return self._ids.new(prefix, self.now)

    # ── transactions ─────────────────────────────────────────────────────────────────────────────

    def current(self, transaction: Transaction) -> Transaction:
        """Return a transaction as this decision leaves it."""
        if transaction.id not in self._current:
            self._versions.setdefault(transaction.id, transaction.version)
            self._stored[transaction.id] = self._current[transaction.id] = transaction
        return self._current[transaction.id]

    def as_current(self, transaction: Transaction) -> Transaction:
        """Return a transaction as this decision leaves it, without taking it into the decision."""
        return self._current.get(transaction.id, transaction)

    def current_linked(self, parent_id: str, stored: Iterable[Transaction]) -> list[Transaction]:
        """Return what is linked to a transaction, as this decision leaves it."""
        linked = {transaction.id: transaction for transaction in stored}
        changed = {id_: t for id_, t in self._current.items() if t.parent_id == parent_id}
        return list((linked | changed).values())

    def note_read(self, transactions: Iterable[Transaction]) -> None:
        """Remember the versions of transactions that were read for this decision."""
        for transaction in transactions:
            self._versions.setdefault(transaction.id, transaction.version)

    def is_as_read(self, transaction: Transaction) -> bool:
        """Tell whether a stored transaction is as this decision has read or written it."""
        current = self._current.get(transaction.id)
        version = current.version if current is not None else self._versions.get(transaction.id)
        return version == transaction.version

    def open_transaction(self, transaction: Transaction) -> Transaction:
        """Create a transaction. Its first step is Pending."""
        self._versions[transaction.id] = 0
        return self._add_step(open_transaction(transaction, self._cause()))

    def advance(
        self,
        transaction: Transaction,
        status: TransactionStatus,
        details: NoticeDetails,
        trust: str | None = None,
        amount: int | None = None,
    ) -> Transaction:
        """Take a step, with its effect and its message; return the transaction after it.

        `amount` is what moves, in minor units; None: the amount of the transaction.
        """
        self.current(transaction)
        return self._add_step(book(transaction, status, details, self._cause(trust), amount))

    def authorize(
        self, transaction: Transaction, details: NoticeDetails, trust: str | None = None
    ) -> Transaction:
        """Take the step in which a payment is authorised; return the transaction after it."""
        self.current(transaction)
        return self._add_step(book_authorization(transaction, details, self._cause(trust)))

    def update_transaction(self, before: Transaction, after: Transaction) -> Transaction:
        """Change what is no step: a provider's id, the time of the next check."""
        self.current(before)
        if after == before:
            return before
        updated = after._replace(version=before.version + 1)
        self._current[before.id] = updated
        self._steps.setdefault(before.id, [])
        return updated

    @property
    def advanced_transactions(self) -> list[Transaction]:
        """The transactions that take a step, as they are after it."""
        return [self._current[id_] for id_, steps in self._steps.items() if steps]

    @property
    def changed_transactions(self) -> list[tuple[Transaction | None, Transaction]]:
        """The transactions that change, as they were before it (None: new) and are after it."""
        return [(self._stored.get(id_), self._current[id_]) for id_ in self._steps]

    def _add_step(self, step: BookedStep) -> Transaction:
        after = step.transaction
        self._current[after.id] = after
        draft = self.publish_event(step.event_type, transaction_data(after), after)
        self._steps.setdefault(after.id, []).append(_StepWithMessage(step, draft))
        if after.kind in REVERSING and after.status is TransactionStatus.APPROVED:
            self.publish_event("transaction.reversed", transaction_data(after), after)
        return after

    def _cause(self, trust: str | None = None) -> StepCause:
        return StepCause(self.now, self._callback_id, self._actor, trust)

    @property
    def _callback_id(self) -> str | None:
        return self.callback.id if self.callback is not None else None

    # ── conflicts, records, audit log ────────────────────────────────────────────────────────────

    def open_conflict(self, transaction: Transaction, conflict: MoneyConflict) -> None:
        """Open a conflict about a transaction, and publish it.

        The transaction gets a new version: one whose versions are its steps alone has no conflict.
        """
        current = self.current(transaction)
        self.update_transaction(current, current._replace(version=current.version + 1))
        conflict = conflict._replace(
            id=self.new_id("cfl"),
            app_id=transaction.app_id,
            transaction_id=transaction.id,
            current=transaction.status,
            at=self.now,
            callback_id=self._callback_id,
        )
        self._conflicts.append(conflict)
        data = conflict_data(transaction, conflict)
        self.publish_event("transaction.conflict", data, transaction)

    @property
    def opened_conflicts(self) -> Sequence[MoneyConflict]:
        """The conflicts that this decision opens."""
        return self._conflicts

    def resolve_conflict(
        self, conflict: MoneyConflict, resolution: str, reason: str
    ) -> MoneyConflict:
        """Resolve a conflict as the actor says: "keep" or "accept"; return it resolved."""
        return self._resolve(conflict, resolution, reason, by=self._actor)

    def _resolve(
        self, conflict: MoneyConflict, resolution: str, reason: str, by: str | None
    ) -> MoneyConflict:
        resolved = conflict._replace(
            resolved_at=self.now,
            resolution=resolution,
            resolved_by=by,
            resolution_reason=reason,
        )
        if conflict in self._conflicts:  # it is opened and resolved at once
            self._conflicts[self._conflicts.index(conflict)] = resolved
        else:
            self._resolved.append(resolved)
        return resolved

    def settle_conflict(
        self, conflict: MoneyConflict, about: Transaction, resolution: str, reason: str
    ) -> None:
        """Resolve a conflict that is answered by what came since: audited, and published.

        `about` is its transaction.
        """
        resolved = self._resolve(conflict, resolution, reason, by=JANITOR)
        self._audit_act(JANITOR, f"conflict.{resolution}", conflict.id, reason)
        self.publish_event("transaction.conflict", conflict_data(about, resolved), about)

    @property
    def kept_transactions(self) -> list[str]:
        """Ids of the transactions of which a person says that they stay as they are."""
        by_person = [c for c in self._resolved if c.resolved_by != JANITOR]
        return [c.transaction_id for c in by_person if c.resolution == "keep"]

    def is_settled(self, conflict: MoneyConflict) -> bool:
        """Tell whether this decision resolves a conflict."""
        return any(conflict.id == resolved.id for resolved in self._resolved)

    def write_record(self, record: Record, expected_version: int) -> None:
        """Store a record, if the stored one still has that version. 0: there is none."""
        key = type(record), record.uid or record.id
        earlier = self._records.get(key)
        expected = expected_version if earlier is None else earlier.expected_version
        self._records[key] = RecordWrite(record=record, expected_version=expected)

    def remove_record(self, record: Record) -> None:
        """Delete a record, if the stored one still has its version."""
        self._removed_records.append(record)

    def written_record(self, kind: type[R], uid: str) -> R | None:
        """Return a record as this decision writes it; None if it does not."""
        write = self._records.get((kind, uid))
        return cast("R", write.record) if write is not None else None

    def expect_no_order(self, uid: str) -> None:
        """Rest on there being no order with this uid."""
        self._absent_orders.append((self.app_id, uid))

    def expect_payments(self, uid: str, transactions: Iterable[Transaction]) -> None:
        """Rest on these being the transactions that name an order, as they are."""
        versions = frozenset((transaction.id, transaction.version) for transaction in transactions)
        self._payments_read.append(PaymentsRead(self.app_id, uid, versions))

    def expect_unpaid(self, uids: Iterable[str]) -> None:
        """Know of orders that no transaction names them. Those that are made rest on it."""
        self._unpaid.update(uids)

    def is_unpaid(self, uid: str) -> bool:
        """Tell whether it is known of an order that no transaction names it."""
        return uid in self._unpaid

    def publish_about(self, record: ShopDocument, type_: str, data: dict[str, Any]) -> None:
        """Publish a message about a record that is written; the record will name it.

        Messages about one record are delivered in order.
        """
        payload = _encode({"type": type_, "timestamp": iso(self.now), "data": data})
        draft = self.publish_payload(type_, payload, order_key=record.id)
        self._told.setdefault((type(record), record.uid or record.id), []).append(draft)
        self._told_data[draft] = data

    def told_about(
        self, kind: type[ShopDocument], types: Collection[str]
    ) -> list[tuple[int, dict[str, Any]]]:
        """Return the messages of these types about records of a kind: place and `data` of each."""
        places = [draft for key, drafts in self._told.items() if key[0] is kind for draft in drafts]
        return [
            (draft, self._told_data[draft])
            for draft in places
            if self._drafts[draft].event_type in types
        ]

    def tell_instead(self, draft: int, data: dict[str, Any]) -> None:
        """Give a message about a record another `data`."""
        before = self._drafts[draft]
        payload = _encode({"type": before.event_type, "timestamp": iso(self.now), "data": data})
        self._drafts[draft] = before._replace(payload=payload)

    def has_published_about(self, record: ShopDocument) -> bool:
        """Tell whether a message about a record is among the drafts."""
        return (type(record), record.uid or record.id) in self._told

    def write_audit_entry(
        self, action: str, target: str, reason: str, details: dict[str, Any] | None = None
    ) -> None:
        """Write what the actor does into the audit log. `target` is an id."""
        assert self._actor is not None, "only an actor's acts are audited"
        self._audit_act(self._actor, action, target, reason, details)

    def _audit_act(
        self,
        actor: str,
        action: str,
        target: str,
        reason: str,
        details: dict[str, Any] | None = None,
    ) -> None:
        entry = AuditEntry(
            id=self.new_id("aud"),
            app_id=self.app_id,
            at=self.now,
            actor=actor,
            action=action,
            target=target,
            reason=reason,
            details=details or {},
        )
        self._audit.append(entry)
        self._acts.append(self._act_of(entry))

    def _act_of(self, entry: AuditEntry) -> AuditedAct:
        """Return a manual action for the audit log, with who acts as the request says it."""
        actor = current_actor()
        if actor.id != entry.actor:  # no request: a test, or a look-up
            actor = Actor(entry.actor, "", ActorKind.PROGRAM)
        return AuditedAct(
            id=entry.id,
            app_id=entry.app_id,
            at=entry.at,
            actor=actor,
            action=entry.action,
            target=entry.target,
            reason=entry.reason,
            details=entry.details,
        )

    def write_item_keys(self, source_id: str, item_keys: Iterable[str]) -> None:
        """Remember items of a source's batches, so that they are not published again."""
        self._item_keys += tuple((source_id, key) for key in item_keys)

    # ── messages ─────────────────────────────────────────────────────────────────────────────────

    def publish_event(
        self, type_: str, data: dict[str, Any], about: Transaction | None = None
    ) -> int:
        """Publish a message `{"type", "timestamp", "data"}`; return its place among the drafts.

        Messages about one transaction are delivered in order.
        """
        payload = _encode({"type": type_, "timestamp": iso(self.now), "data": data})
        if about is None:
            return self.publish_payload(type_, payload)
        return self.publish_payload(type_, payload, order_key=about.id, source_id=about.source_id)

    def publish_payload(
        self, type_: str, payload: bytes, order_key: str | None = None, source_id: str | None = None
    ) -> int:
        """Publish a payload as it is; return its place among the drafts."""
        if source_id is None and self.callback is not None:
            source_id = self.callback.source_id
        draft = MessageDraft(
            event_type=type_,
            payload=payload,
            channels=(of_source(source_id),) if source_id else (),
            tags=hop_tags(self.callback.hops) if self.callback is not None else (),
            order_key=order_key,
        )
        self._drafts.append(draft)
        return len(self._drafts) - 1

    @property
    def drafts(self) -> Sequence[MessageDraft]:
        """The messages to publish."""
        return self._drafts

    # ── the callback's conclusion ────────────────────────────────────────────────────────────────

    def add_outcome(self, outcome: Outcome, why: str, transaction_id: str | None = None) -> None:
        """Add the outcome of one notice. The first transaction that is named is the callback's."""
        self._outcomes.append((outcome, why))
        self._transaction_id = self._transaction_id or transaction_id

    def has_outcome(self, outcome: Outcome) -> bool:
        """Tell whether a notice had this outcome."""
        return any(known is outcome for known, _ in self._outcomes)

    def wait_for(
        self, references: Iterable[str], searched: References, retry_at: Micros | None
    ) -> None:
        """Let the callback wait for a transaction that has one of these references.

        It is decided again when one appears, and at `retry_at`. None: it no longer waits.
        `searched` are the references by which none was found now.
        """
        self._awaited_references += tuple(references)
        self.searched_references += (searched,)
        self._retry_at = retry_at

    def conclude_again(self, callback: Callback) -> None:
        """Give a callback that has a conclusion a new one, beside what the actor does.

        To be called before any step, conflict or message is recorded: they name the callback.
        """
        self.callback = callback
        self._replaces = callback.outcome

    @property
    def awaited_references(self) -> tuple[str, ...]:
        """The references that the callback waits for."""
        return self._awaited_references

    def _conclusion(self, publications: Sequence[Publication]) -> CallbackConclusion | None:
        if self.callback is None:
            return None
        outcomes = self._outcomes or [(Outcome.NOTED, "It says nothing that Tillbell processes.")]
        chosen = outcomes[0][0]
        if len(outcomes) > 1:
            chosen = min((outcome for outcome, _ in outcomes), key=_OUTCOME_PRECEDENCE.index)
        if self._awaited_references:
            chosen = Outcome.UNMATCHED  # later it is decided again as a whole
        reasons = dict.fromkeys(why for outcome, why in outcomes if outcome is chosen)
        is_unmatched = chosen is Outcome.UNMATCHED
        return CallbackConclusion(
            app_id=self.callback.app_id,
            callback_id=self.callback.id,
            outcome=chosen,
            why=" ".join(reasons)[:WHY_MAX],
            at=self.now,
            transaction_id=self._transaction_id,
            message_ids=tuple(publication.message.id for publication in publications),
            retry_at=self._retry_at if is_unmatched else None,
            awaited_references=self._awaited_references if is_unmatched else (),
            replaces=self._replaces,
        )

    # ── the finished decision ────────────────────────────────────────────────────────────────────

    def change_set(self, publications: Sequence[Publication]) -> ChangeSet:
        """Return the decision as the store takes it. `publications` are those of the drafts."""
        return ChangeSet(
            transaction_writes=tuple(self._transaction_writes(publications)),
            conclusion=self._conclusion(publications),
            conflicts=tuple(self._conflicts),
            resolved=tuple(self._resolved),
            record_writes=tuple(self._record_writes(publications)),
            removed_records=tuple(self._removed_records),
            absent_orders=tuple(self._absent_orders),
            payments_read=tuple(self._payments_read),
            publications=tuple(publications),
            item_keys=self._item_keys,
            audit=tuple(self._audit),
            acts=tuple(act._replace(changes=self._changes_of(act.target)) for act in self._acts),
        )

    def _record_writes(self, publications: Sequence[Publication]) -> Iterable[RecordWrite]:
        for key, write in self._records.items():
            drafts = self._told.get(key)
            if drafts and isinstance(write.record, ShopDocument):
                messages = [publications[draft].message for draft in drafts]
                published = tuple(PublishedAbout(m.id, m.event_type, self.now) for m in messages)
                messages_of_record = (*write.record.messages, *published)[-HISTORY_MAX:]
                record = msgspec.structs.replace(write.record, messages=messages_of_record)
                yield write._replace(record=record)
            else:
                yield write

    def _changes_of(self, target: str) -> dict[str, list[Any]]:
        """Return what this decision changes of a transaction, conflict or record."""
        before, after = self._stored.get(target), self._current.get(target)
        if before is not None and after is not None and before.status is not after.status:
            return {"status": [before.status.value, after.status.value]}
        for conflict in self._resolved:
            if conflict.id == target:
                return {"resolution": [None, conflict.resolution]}
        for record in self._removed_records:
            if record.id == target:
                return changes_between(record, None)
        return {}

    def _transaction_writes(
        self, publications: Sequence[Publication]
    ) -> Iterable[TransactionWrite]:
        for id_, steps in self._steps.items():
            yield TransactionWrite(
                transaction=self._current[id_],
                expected_version=self._versions[id_],
                transitions=tuple(
                    _with_message(step.transition, publications[draft]) for step, draft in steps
                ),
                effects=tuple(effect for step, _ in steps for effect in step.effects),
            )


def _with_message(transition: Transition, publication: Publication) -> Transition:
    """Return a transition that names the message which was published about it."""
    details = transition.details | {"messageId": publication.message.id}
    return transition._replace(details=details)
