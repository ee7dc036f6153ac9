"""Texts that name a person, in rows that stay: of money, callbacks, messages, and the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tillbell.deliver.audit import AuditWriter
from tillbell.model.audit import ActorKind, AuditedAct
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Message
from tillbell.model.transactions import (
    AuditEntry,
    MoneyConflict,
    PaymentAttempt,
    Transaction,
    Transition,
)
from tillbell.process.erased_person import BATCH_SIZE, ErasedPerson
from tillbell.rules.audit_chain import REDACT
from tillbell.rules.traces import ERASED, Traces
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Page

T = TypeVar("T")


def is_own(person: ErasedPerson, transaction: Transaction) -> bool:
    """Tell whether a transaction is one of the person, or linked to one."""
    return not person.traces.ids.isdisjoint({transaction.id, transaction.parent_id})


def transaction_without(person: ErasedPerson, transaction: Transaction) -> Transaction:
    """Return a transaction without the person: its own has no text of the provider any more."""
    is_of_person, own = is_own(person, transaction), person.own
    return transaction._replace(
        user_id=_cleared(own, transaction.user_id, "user_id"),
        merchant_reference=_cleared(own, transaction.merchant_reference),
        psp_reference=_cleared(own, transaction.psp_reference),
        metadata={} if is_of_person else own.without(transaction.metadata),
        message=None if is_of_person else _cleared(own, transaction.message),
        reason=_cleared(own, transaction.reason),
        raw_status=_cleared(own, transaction.raw_status),
        attempts=tuple(_attempt_without(own, each) for each in transaction.attempts),
    )


def _attempt_without(own: Traces, attempt: PaymentAttempt) -> PaymentAttempt:
    return attempt._replace(reason=_cleared(own, attempt.reason))


async def erase_money_texts(
    database: Database, person: ErasedPerson, transaction: Transaction
) -> int:
    """Take the person out of what happened to a transaction; return how many texts were erased."""
    app_id, is_of_person = transaction.app_id, is_own(person, transaction)
    own = person.own
    transitions = [
        (each, _transition_without(own, each, is_of_person=is_of_person))
        for each in await database.transitions(app_id, transaction.id)
    ]
    conflicts = await database.conflicts(app_id, Page(BATCH_SIZE), transaction.id)
    targets = [transaction.id, *(conflict.id for conflict in conflicts)]
    entries = [
        entry
        for target in targets
        for entry in await database.audit(app_id, Page(BATCH_SIZE), target)
    ]
    steps = _changed(transitions)
    acts = _changed([(each, _entry_without(own, each)) for each in entries])
    questions = _changed([(each, _conflict_without(own, each)) for each in conflicts])
    count = len(steps) + len(acts) + len(questions)
    if count:
        await database.erase_money_texts(app_id, steps, acts, questions)
    return count


def _transition_without(own: Traces, transition: Transition, *, is_of_person: bool) -> Transition:
    details = transition.details
    return transition._replace(
        message=None if is_of_person else _cleared(own, transition.message),
        reason=_cleared(own, transition.reason),
        raw_status=_cleared(own, transition.raw_status),
        details=details if own.without(details) == details else {},
    )


def _entry_without(own: Traces, entry: AuditEntry) -> AuditEntry:
    details = entry.details if own.without(entry.details) == entry.details else {}
    return entry._replace(reason=own.without(entry.reason), details=details)


def _conflict_without(own: Traces, conflict: MoneyConflict) -> MoneyConflict:
    return conflict._replace(
        why=own.without(conflict.why),
        reference=_cleared(own, conflict.reference),
        resolution_reason=own.without(conflict.resolution_reason),
    )


def _cleared(own: Traces, text: str | None, name: str = "") -> str | None:
    return None if text is not None and own.without(text, name) == ERASED else text


def _changed(pairs: Sequence[tuple[T, T]]) -> list[T]:
    return [after for before, after in pairs if after != before]


async def erase_callback_texts(database: Database, own: Traces, callback: Callback) -> bool:
    """Take the person out of the reasons and the dedupe key of a callback."""
    after = callback._replace(
        why=own.without(callback.why),
        verdict_why=own.without(callback.verdict_why),
        dedupe_key=_cleared(own, callback.dedupe_key),
    )
    if after == callback:
        return False
    await database.erase_callback_texts(after, callback.dedupe_key)
    return True


async def erase_message_labels(
    database: Database, own: Traces, message: Message, order_key: str
) -> bool:
    """Take the person out of the labels of a message. `order_key` stands for one that names them.

    So messages with the same key stay in their order.
    """
    after = message._replace(
        event_id=_cleared(own, message.event_id, "id"),
        channels=tuple(_label_without(own, each) for each in message.channels),
        tags=tuple(_label_without(own, each) for each in message.tags),
        order_key=message.order_key and _label_without(own, message.order_key, order_key),
    )
    if after == message:
        return False
    await database.erase_message_labels(after)
    return True


def _label_without(own: Traces, label: str, instead: str = ERASED) -> str:
    """Return a label, such as `customer:cus_1`, or what stands for one that names the person."""
    parts = (label, *label.split(":"))
    return instead if ERASED in (own.without(part, "id") for part in parts) else label


async def redact_acts(
    database: Database, audit: AuditWriter, own: Traces, acts: Sequence[AuditedAct], target: str
) -> int:
    """Take the person out of entries of the audit log; return out of how many.

    `target` is what the log says it was done for: the task.
    """
    changed = _changed([(each, _act_without(own, each)) for each in acts])
    if changed:
        entry = audit.act(REDACT, target, app_id=changed[0].app_id)
        await database.redact_acts(changed, entry)
    return len(changed)


def _act_without(own: Traces, act: AuditedAct) -> AuditedAct:
    # The target of any other act is the id of something else, which a short id may equal.
    target = "customer_id" if act.target_kind == "customer" else ""
    actor = act.actor
    if actor.kind is not ActorKind.PERSON:  # the name of a key or link may say for whom it is
        actor = actor._replace(name=own.without(actor.name))
    return act._replace(
        actor=actor,
        target=own.without(act.target, target),
        reason=own.without(act.reason),
        changes=own.without(act.changes),
        details=own.without(act.details),
    )
