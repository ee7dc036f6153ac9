"""Transactions as the API shows them."""

from __future__ import annotations

from tillbell.clock import to_datetime
from tillbell.model.transactions import Effect, Transaction, Transition
from tillbell.money import format_amount
from tillbell.rules.payments.booking import transaction_data
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.shapes.conflicts import ConflictOut
from tillbell.web.api.shapes.transactions import (
    EffectOut,
    TransactionDetailOut,
    TransactionOut,
    TransitionOut,
)

CONFLICTS_MAX = 250  # shown with a transaction, newest first; the rest are listed apart


def transaction_out(found: Transaction) -> TransactionOut:
    """Show a transaction as its messages do."""
    return TransactionOut.model_validate(transaction_data(found))


async def detail_out(database: Database, found: Transaction) -> TransactionDetailOut:
    """Show a transaction with all that belongs to it."""
    page = Page(limit=CONFLICTS_MAX)
    transitions = await database.transitions(found.app_id, found.id)
    effects = await database.effects(found.app_id, found.id)
    conflicts = await database.conflicts(found.app_id, page, found.id)
    children = await database.linked_transactions(found.app_id, found.id)
    return TransactionDetailOut.model_validate(
        transaction_data(found)
        | {
            "transitions": [_transition_out(one) for one in transitions],
            "effects": [_effect_out(one) for one in effects],
            "conflicts": [ConflictOut.of(one) for one in conflicts],
            "children": [transaction_out(one) for one in children],
        }
    )


def _transition_out(step: Transition) -> TransitionOut:
    shown = step._asdict()
    del shown["transaction_id"]
    details = dict(step.details)
    shown["message_id"] = details.pop("messageId", None)
    return TransitionOut(**shown | {"at": to_datetime(step.at), "details": details})


def _effect_out(effect: Effect) -> EffectOut:
    shown = effect._asdict()
    del shown["transaction_id"]
    amount = format_amount(effect.amount, effect.currency)
    return EffectOut(**shown | {"at": to_datetime(effect.at), "amount": amount})
