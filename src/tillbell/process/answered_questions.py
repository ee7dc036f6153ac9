"""Answered questions: resolves conflicts whose cause is gone because of what a decision does.

Who was asked need not answer what later news has answered: a payment that was open for days has
ended, a refund that was not proven is proven, what took more than was left has been booked. What a
look-up has asked is looked up again when sums change, and closed if the provider agrees.
"""

from __future__ import annotations

from tillbell.model.transactions import TERMINAL, Transaction, TransactionKind
from tillbell.process.decision import Decision
from tillbell.rules.payments.conflicts import is_answered, is_question_of_lookup
from tillbell.rules.payments.linked import credited_amount
from tillbell.storage.ports.inbound import InboundReads
from tillbell.storage.ports.outbound import Page

_CONFLICTS = Page(limit=100)


async def close_answered(reads: InboundReads, decision: Decision) -> None:
    """Resolve the open conflicts that the steps of a decision answer."""
    advanced = [after for after in decision.advanced_transactions if after.status in TERMINAL]
    if not advanced:
        return
    owners = {transaction.parent_id or transaction.id for transaction in advanced}
    changed = [before for before, _ in decision.changed_transactions if before is not None]
    for before in changed:
        is_owner = before.id in owners or before.id in {t.id for t in advanced}
        if not is_owner or before.version == before.sequence:  # nobody has been asked about it
            continue
        for conflict in await reads.conflicts(before.app_id, _CONFLICTS, before.id, open_only=True):
            about = decision.current(before)
            answer = next(
                (
                    after
                    for after in advanced
                    if before.id in (after.id, after.parent_id)
                    and is_answered(conflict, after, _moved(after))
                ),
                None,
            )
            if answer is not None and not decision.is_settled(conflict):
                why = f"{answer.id} is {answer.status.value} since."
                decision.settle_conflict(conflict, about, "keep", why)
            elif decision.callback is not None and is_question_of_lookup(conflict):
                look_up = about._replace(check_at=decision.now, checks=0)
                decision.update_transaction(about, look_up)


def _moved(transaction: Transaction) -> int:
    is_payment = transaction.kind is TransactionKind.PAYMENT
    return credited_amount(transaction) if is_payment else transaction.amount
