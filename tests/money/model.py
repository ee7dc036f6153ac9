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
    is_held: bool = False  # it takes more than is left
    effects: list[str] = field(default_factory=list)

    def step(self, status: TransactionStatus) -> None:
        self.status = status
        self.steps += 1
        if status is TransactionStatus.APPROVED:
            self.effects.append("credit" if self.direction is Direction.PAY_IN else "debit")
        elif status in NEGATIVE and self.reserves:
            self.effects.append("release")


class Question(NamedTuple):
    """What a person is asked: of the payment or a refund of it, and what the question is about."""

    asked_of: str
    kind: str
    status: TransactionStatus
    own_id: str | None = None  # the refund
    amount: int | None = None


APPROVED = TransactionStatus.APPROVED
ABOUT_CAPTURED = Question("payment", "mismatch", APPROVED)


@dataclass
class Family:
    """A payment that may not be there yet, its refunds, and what waits for them."""

    payment: ExpectedTransaction | None = None
    refunds: dict[str, ExpectedTransaction] = field(default_factory=dict)
    questions: set[Question] = field(default_factory=set)
    waiting: list[Said] = field(default_factory=list)

    @property
    def conflicts(self) -> set[tuple[str, str, TransactionStatus]]:
        """Return what must be shown as open conflicts."""
        return {(q.asked_of, q.kind, q.status) for q in self.questions}

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
        if known is None and payment.status is not APPROVED:
            self.waiting.append(said)
        elif said.status is APPROVED and (known is None or known.status is not APPROVED):
            self._move_refund(own_id, payment, said)
        elif known is not None:
            self._tell(own_id, known, said)
            self._close(own_id, known)
        else:
            self._open(own_id, said.amount or payment.amount, said.status)

    def _move_refund(self, own_id: str, payment: ExpectedTransaction, said: Said) -> None:
        """Book that money goes back, or ask a person."""
        known = self.refunds.get(own_id)
        amount = said.amount or (known.amount if known else payment.amount)
        asked_of = own_id if known else "payment"
        back = sum(r.amount for r in self.refunds.values() if r.status is APPROVED)
        is_open = any(r.status not in TERMINAL for r in self.refunds.values())
        has_ended = known is not None and known.status in TERMINAL
        if said.amount is None and known is None and (back or is_open):
            self._ask("payment", own_id, None)  # it may be a part
        elif payment.captured > payment.amount:
            self._ask(asked_of, own_id, amount)  # it may be what was not credited
        elif not has_ended and amount > payment.amount - back:
            self._ask("payment", own_id, amount)
            if known is None or known.amount != amount:
                self._open(own_id, amount)
            self.refunds[own_id].is_held = True
        elif known is None or (not has_ended and known.amount != amount):
            self._open(own_id, amount, APPROVED)
        else:
            self._tell(own_id, known, said)
            self._close(own_id, known)

    def _open(
        self, own_id: str, amount: int, status: TransactionStatus = TransactionStatus.PENDING
    ) -> None:
        """Open a refund. An open one of another amount ends: amounts never change."""
        assert self.payment is not None
        before = self.refunds.get(own_id)
        if before is not None:
            of_before = {q for q in self.questions if q.asked_of == own_id}
            self.questions -= of_before  # it is another transaction, which is not compared
            before.status = TransactionStatus.CANCELLED
            self._close(own_id, before)
        back = next(one for one in Direction if one is not self.payment.direction)
        self.refunds[own_id] = opened = ExpectedTransaction(back, amount)
        if status is not TransactionStatus.PENDING:
            opened.step(status)
        self._close(own_id, opened)

    def _close(self, own_id: str, refund: ExpectedTransaction) -> None:
        """Close the questions that are answered by what became of a refund."""
        closed: set[int | None] = set()
        if refund.is_held and refund.status is not TransactionStatus.PENDING:
            refund.is_held = False
            closed = {refund.amount}
        if refund.status is APPROVED:
            closed |= {None, refund.amount}
        self.questions -= {
            q
            for q in self.questions
            if (q.kind, q.own_id) == ("mismatch", own_id) and q.amount in closed
        }

    def _ask(self, asked_of: str, own_id: str, amount: int | None) -> None:
        self.questions.add(Question(asked_of, "mismatch", APPROVED, own_id, amount))

    def _tell(self, name: str, account: ExpectedTransaction, said: Said) -> None:
        outcome = OUTCOMES[account.direction, account.status, said.status]
        if outcome is Outcome.CONFLICT:
            self.questions.add(Question(name, "contradiction", said.status))
        if said.status is APPROVED and name == "payment":
            self._capture(account, said, outcome)
        elif said.status in NEGATIVE and account.captured:
            pass  # what was captured stays: a person was asked about it
        elif outcome is Outcome.APPLIED:
            account.step(said.status)

    def _capture(self, payment: ExpectedTransaction, said: Said, outcome: Outcome) -> None:
        """Capture what is told: all that was captured so far. Less, or more, asks a person."""
        if outcome is Outcome.APPLIED:
            payment.captured = max(payment.captured, said.amount or payment.amount)
            self.questions.discard(ABOUT_CAPTURED)
            if payment.captured >= payment.amount:
                payment.step(said.status)
            if payment.captured != payment.amount:
                self.questions.add(ABOUT_CAPTURED)
        elif outcome is Outcome.DUPLICATE and (said.amount or 0) > payment.captured:
            payment.captured = said.amount or 0
            self.questions.add(ABOUT_CAPTURED)
