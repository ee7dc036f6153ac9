"""Manual actions on transactions: create, change the status, reverse.

| action | on | leads to |
| --- | --- | --- |
| create | – | Pending, reserved if asked for |
| hold, release | open | On Hold, Pending |
| approve, reject | a pay-out | Processing, Rejected |
| cancel | open | Cancelled |
| expect-refund | an approved payment | a linked refund, Pending until the provider tells of it |
| reverse | what was approved | a linked reversal (pay-in) or return (pay-out) |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tillbell.clock import Micros
from tillbell.errors import ConflictError, Invalid, NotFound, Problem
from tillbell.model.transactions import Direction, Transaction, TransactionKind, TransactionStatus
from tillbell.money import format_amount
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.manual.audited import ActionReason, AuditedDecisions, AwaitingSecondKey
from tillbell.process.status_checks import SCHEDULE
from tillbell.process.transaction_steps import add_linked
from tillbell.rules.payments.booking import NoticeDetails, linked_transaction
from tillbell.rules.payments.linked import EXPECTED, amount_left, with_linked
from tillbell.rules.payments.transitions import status_after_action
from tillbell.storage.ports.inbound import InboundReads

FILLED_BY_CALLBACKS = ("psp_transaction_id", "source_id", "provider")  # where the owner gave none


class NewTransaction(NamedTuple):
    """A transaction as its owner creates it. `amount` is in minor units."""

    direction: Direction
    amount: int
    currency: str
    uid: str | None = None
    source_id: str | None = None
    provider: str | None = None
    psp_transaction_id: str | None = None
    user_id: str | None = None
    merchant_reference: str | None = None
    order_id: str | None = None
    metadata: Mapping[str, Any] = {}
    reserves: bool = False


class ExpectedRefund(NamedTuple):
    """A refund that a person expects."""

    amount: int | None  # in minor units; None: all that is left
    within: Micros  # after that a person is asked


class ManualActions:
    """Does what people do to transactions."""

    def __init__(self, decisions: Decisions, audited: AuditedDecisions) -> None:
        self._decisions = decisions
        self._audited = audited
        self._database = decisions.database

    async def create(
        self, app_id: str, new: NewTransaction, actor: str
    ) -> tuple[Transaction, bool]:
        """Create a transaction, or return the one that has this uid; say whether it is new.

        `ConflictError` if that one differs.
        """

        async def decide(decision: Decision) -> tuple[Transaction, bool]:
            if new.uid is not None:
                known = await self._database.transaction(app_id, new.uid)
                if known is not None:
                    return _require_same(known, new), False
            self._decisions.check_accepting()
            return decision.open_transaction(_created(decision, new)), True

        return await self._decisions.commit(app_id, DecidedBy(actor=actor), decide)

    async def change_status(
        self, app_id: str, id_: str, action: str, act: ActionReason
    ) -> Transaction | AwaitingSecondKey:
        """Hold, release, approve, reject or cancel. `ConflictError` if its status forbids it."""

        async def decide(decision: Decision) -> Transaction | AwaitingSecondKey:
            transaction = await read_transaction(self._database, app_id, id_)
            status = status_after_action(action, transaction)
            if not isinstance(status, TransactionStatus):
                raise ConflictError(status, code="illegal_transition")
            awaiting = await self._audited.write_or_propose(
                decision, f"transaction.{action}", transaction.id, act
            )
            if awaiting is not None:
                return awaiting
            return decision.advance(transaction, status, NoticeDetails(reason=act.reason))

        return await self._audited.commit(app_id, act, decide)

    async def reverse(
        self, app_id: str, id_: str, amount: int | None, act: ActionReason
    ) -> Transaction:
        """Record that an approved transaction was undone: a linked transaction of its own.

        `amount` is in minor units; None: all that is left.
        """

        async def decide(decision: Decision) -> Transaction:
            transaction = await read_transaction(self._database, app_id, id_)
            self._audited.write(decision, "transaction.reverse", transaction.id, act)
            return await add_reversal(decision, self._database, transaction, amount, act.reason)

        return await self._audited.commit(app_id, act, decide)

    async def expect_refund(
        self, app_id: str, id_: str, expected: ExpectedRefund, act: ActionReason
    ) -> Transaction:
        """Note that a refund will come; no money moves. Return the linked refund, Pending.

        The provider's refund of that amount is this one. If none comes in time, a person is asked.
        """

        async def decide(decision: Decision) -> Transaction:
            payment = await read_transaction(self._database, app_id, id_)
            is_pay_in = payment.direction is Direction.PAY_IN
            if payment.kind is not TransactionKind.PAYMENT or not is_pay_in:
                why = "Only a payment that came in can be refunded."
                raise ConflictError(why, code="illegal_transition")
            amount = await _amount_to_take_back(self._database, payment, expected.amount)
            refund = linked_transaction(
                payment,
                TransactionKind.REFUND,
                amount,
                id_=decision.new_id("trx"),
                now=decision.now,
            )
            waiting = refund._replace(
                substate=EXPECTED,
                check_at=decision.now + expected.within,
                checks=len(SCHEDULE) - 1,
            )
            details = {"refund": refund.id, "amount": amount}
            self._audited.write(decision, "transaction.expect-refund", payment.id, act, details)
            decision.current(payment)
            return decision.open_transaction(waiting)

        return await self._audited.commit(app_id, act, decide)


async def read_transaction(reads: InboundReads, app_id: str, id_: str) -> Transaction:
    """Return a transaction. `NotFound` if there is none."""
    transaction = await reads.transaction(app_id, id_)
    if transaction is None:
        raise NotFound("There is no such transaction.")
    return transaction


async def add_reversal(
    decision: Decision,
    reads: InboundReads,
    transaction: Transaction,
    amount: int | None,
    reason: str,
) -> Transaction:
    """Create the approved reversal or return of a transaction; return it."""
    amount = await _amount_to_take_back(reads, transaction, amount)
    is_pay_in = transaction.direction is Direction.PAY_IN
    reversal = linked_transaction(
        transaction,
        TransactionKind.REVERSAL if is_pay_in else TransactionKind.RETURN,
        amount,
        id_=decision.new_id("trx"),
        now=decision.now,
    )
    # The sums of the payment change: if another refund or reversal is added meanwhile, one of the
    # two decisions fails and is made again with what is then left.
    after = add_linked(decision, transaction, reversal, NoticeDetails(reason=reason))
    await add_to_parent(decision, reads, transaction, -after.amount)
    return after


async def _amount_to_take_back(
    reads: InboundReads, transaction: Transaction, amount: int | None
) -> int:
    """Return how much of an approved transaction goes back: `amount`, or (None) all that is left.

    What is expected or under way is not left. In minor units.
    """
    if transaction.status is not TransactionStatus.APPROVED:
        raise ConflictError(
            f"It is {transaction.status.value}; only what was Approved can go back.",
            code="illegal_transition",
        )
    linked = await reads.linked_transactions(transaction.app_id, transaction.id)
    left = amount_left(transaction, linked)
    if not left:
        raise ConflictError("Nothing is left of it to go back.", code="illegal_transition")
    if amount is not None and not 0 < amount <= left:
        most = f"{format_amount(left, transaction.currency)} {transaction.currency}"
        raise Invalid(Problem(("body", "amount"), f"{most} is left of it", "amount"))
    return left if amount is None else amount


async def add_to_parent(
    decision: Decision, reads: InboundReads, linked: Transaction, amount: int
) -> None:
    """Add an amount of a linked transaction to the sums of its payment. Payments have no parent."""
    if linked.parent_id is None:
        return
    stored = await read_transaction(reads, linked.app_id, linked.parent_id)
    payment = decision.current(stored)
    decision.update_transaction(payment, with_linked(payment, linked.kind, amount))


def _created(decision: Decision, new: NewTransaction) -> Transaction:
    return Transaction(
        id=decision.new_id("trx"),
        app_id=decision.app_id,
        direction=new.direction,
        kind=TransactionKind.PAYMENT,
        status=TransactionStatus.PENDING,
        amount=new.amount,
        currency=new.currency,
        created_at=decision.now,
        updated_at=decision.now,
        uid=new.uid,
        substate="created",
        psp_transaction_id=new.psp_transaction_id,
        provider=new.provider,
        source_id=new.source_id,
        user_id=new.user_id,
        merchant_reference=new.merchant_reference,
        order_id=new.order_id,
        metadata=dict(new.metadata),
        reserves=new.reserves,
        check_at=decision.now + SCHEDULE[0],
    )


def _require_same(known: Transaction, new: NewTransaction) -> Transaction:
    """Return a known transaction. `ConflictError` if its owner now gives other values."""
    differing = [
        name
        for name in NewTransaction._fields
        if getattr(new, name) != getattr(known, name)
        and not (name in FILLED_BY_CALLBACKS and getattr(new, name) is None)
    ]
    if differing:
        raise ConflictError(
            f"The uid {new.uid!r} is that of {known.id}, which differs in {', '.join(differing)}.",
            code="uid_taken",
        )
    return known
