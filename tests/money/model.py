"""A pure model of what callbacks do to a payment: the table, and what every account must show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.rules.test_transitions import cells
from tillbell.model.callbacks import Outcome
from tillbell.model.transactions import NEGATIVE, TERMINAL, Direction, TransactionStatus

OUTCOMES = {(direction, is_, says): outcome for direction, is_, says, outcome in cells()}
PRICE = 10_000


class Said(NamedTuple):
    """What a callback tells: of a payment, or (`own_id`) of a refund of it."""

    status: TransactionStatus
    amount: int | None = None
    own_id: str | None = None


@dataclass
class ExpectedTransaction:
    """One transaction as it must be."""

    direction: Direction
    amount: int = PRICE
    reserves: bool = False
    status: TransactionStatus = TransactionStatus.PENDING
    steps: int = 1
    captured: int = 0
    effects: list[str] = field(default_factory=list)

    def step(self, status: TransactionStatus) -> None:
        self.status = status
        self.steps += 1
        if status is TransactionStatus.APPROVED:
            self.effects.append("credit" if self.direction is Direction.PAY_IN else "debit")
        elif status in NEGATIVE and self.reserves:
            self.effects.append("release")


@dataclass
class Family:
    """A payment that may not be there yet, its refunds, and what waits for them."""

    payment: ExpectedTransaction | None = None
    refunds: dict[str, ExpectedTransaction] = field(default_factory=dict)
    conflicts: set[tuple[str, str, TransactionStatus]] = field(default_factory=set)
    waiting: list[Said] = field(default_factory=list)

    def create(self, direction: Direction, *, reserves: bool) -> None:
        self.payment = ExpectedTransaction(direction, reserves=reserves)
        self.payment.effects += ["reserve"] if reserves else []
        self._look_again()

    def hear(self, said: Said) -> None:
        before = self.payment.status if self.payment is not None else None
        self._hear(said)
        if self.payment is not None and self.payment.status is not before:
            self._look_again()

    def _look_again(self) -> None:
        waiting, self.waiting = self.waiting, []
        for said in waiting:
            self.hear(said)

    def _hear(self, said: Said) -> None:
        if self.payment is None:
            self.waiting.append(said)
        elif said.own_id is None:
            self._tell("payment", self.payment, said)
        else:
            self._tell_refund(said.own_id, self.payment, said)

    def _tell_refund(self, own_id: str, payment: ExpectedTransaction, said: Said) -> None:
        known = self.refunds.get(own_id)
        if known is None and payment.status is not TransactionStatus.APPROVED:
            self.waiting.append(said)
            return
        amount = said.amount or (known.amount if known else payment.amount)
        given = [r for r in self.refunds.values() if r.status is TransactionStatus.APPROVED]
        is_too_much = amount > payment.amount - sum(r.amount for r in given)
        if said.status is TransactionStatus.APPROVED and known not in given and is_too_much:
            self.conflicts.add((own_id if known else "payment", "mismatch", said.status))
        elif known is not None and self._has_other_amount(known, said):
            # What was open is Cancelled: the amount of a transaction never changes.
            self.conflicts = {conflict for conflict in self.conflicts if conflict[0] != own_id}
            self.refunds[own_id] = moved = ExpectedTransaction(known.direction, amount)
            moved.step(said.status)
        elif known is not None:
            self._tell(own_id, known, said)
        else:
            back = next(one for one in Direction if one is not payment.direction)
            self.refunds[own_id] = made = ExpectedTransaction(back, amount)
            if said.status is not TransactionStatus.PENDING:
                made.step(said.status)

    def _has_other_amount(self, known: ExpectedTransaction, said: Said) -> bool:
        is_open = known.status not in TERMINAL
        moves = said.status is TransactionStatus.APPROVED
        return is_open and moves and said.amount not in (None, known.amount)

    def _tell(self, name: str, account: ExpectedTransaction, said: Said) -> None:
        outcome = OUTCOMES[account.direction, account.status, said.status]
        if outcome is Outcome.CONFLICT:
            self.conflicts.add((name, "contradiction", said.status))
        if said.status is TransactionStatus.APPROVED and name == "payment":
            self._capture(account, said, outcome)
        elif said.status in NEGATIVE and account.captured:
            pass  # what was captured stays: a person was asked about it
        elif outcome is Outcome.APPLIED:
            account.step(said.status)

    def _capture(self, payment: ExpectedTransaction, said: Said, outcome: Outcome) -> None:
        """Capture what is told: all that was captured so far. Less, or more, asks a person."""
        question = "payment", "mismatch", said.status
        if outcome is Outcome.APPLIED:
            payment.captured = max(payment.captured, said.amount or payment.amount)
            self.conflicts.discard(question)
            if payment.captured >= payment.amount:
                payment.step(said.status)
            if payment.captured != payment.amount:
                self.conflicts.add(question)
        elif outcome is Outcome.DUPLICATE and (said.amount or 0) > payment.captured:
            payment.captured = said.amount or 0
            self.conflicts.add(question)
