"""How much: what a payment has captured, and what went back, is booked as the provider counts it.

Each test plays a life, and compares the books with what the provider's balance would say.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.money.payment_harness import (
    APPROVED,
    DECLINED,
    FAILED,
    PENDING,
    PaymentHarness,
    linked,
    news,
)
from tillbell.errors import ConflictError
from tillbell.model.callbacks import Outcome, ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Source, Trust
from tillbell.model.transactions import TransactionKind
from tillbell.process.manual.audited import ActionReason
from tillbell.process.manual.conflicts import ConflictAnswer
from tillbell.storage.ports.outbound import Page
from tillbell.testing.exchange import ReceiverExchange

pytestmark = pytest.mark.sqlite_first

CHARGEBACK, BACK = TransactionKind.CHARGEBACK, TransactionKind.CHARGEBACK_REVERSAL
REFUND = TransactionKind.REFUND
ACTOR = ActionReason("key_1", "looked at it")
HOUR_S = 3_600.0


async def resolve(
    payments: PaymentHarness, conflict_id: str, choice: str, answer: ConflictAnswer | None = None
) -> None:
    resolver = payments.gateway.conflict_resolver
    await resolver.resolve(payments.app_id, conflict_id, choice, ACTOR, answer or ConflictAnswer())
    await payments.idle()


async def paid(payments: PaymentHarness, psp: Source, uid: str, amount: str = "100.00") -> None:
    """Create a payment of 100.00 EUR, and let its attempt A capture an amount."""
    await payments.create(uid)
    own_id = f"A of {uid}"
    await payments.tell(psp, news(uid, APPROVED, psp_transaction_id=own_id, amount=amount))


# ── captured ─────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_person_refused_is_not_booked_with_what_comes_later(
    payments: PaymentHarness, psp: Source
) -> None:
    for uid, choices, balance in (
        ("first refused", ("keep", "accept"), 15_000),
        ("second refused", ("accept", "keep"), 20_000),
        ("both", ("accept", "accept"), 25_000),
        ("none", ("keep", "keep"), 10_000),
    ):
        await paid(payments, psp, uid)
        for own_id, amount, choice in zip("BC", ("100.00", "50.00"), choices, strict=True):
            notice = news(uid, APPROVED, psp_transaction_id=f"{own_id} of {uid}", amount=amount)
            await payments.tell(psp, notice)
            (conflict,) = await payments.conflicts(uid)
            await resolve(payments, conflict.id, choice)
        assert await payments.balance(uid) == balance, uid
        payment = await payments.read(uid)
        assert (payment.captured, payment.credited) == (25_000, balance), uid


async def test_what_is_captured_no_more_cannot_be_accepted(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")
    extra = news("O", APPROVED, psp_transaction_id="B", amount="40.00", capture_id="C")
    await payments.tell(psp, extra)
    (conflict,) = await payments.conflicts("O")

    await payments.tell(psp, extra._replace(status=FAILED))

    assert await payments.conflicts("O") == []
    assert conflict.amount == 4_000
    assert await payments.balance("O") == 10_000


async def test_a_refund_of_what_was_never_credited_asks_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    for uid, overpaid in (("in one", "120.00"), ("in two", "100.00")):
        await paid(payments, psp, uid, overpaid)
        if uid == "in two":
            second = news(uid, APPROVED, psp_transaction_id="B", amount="20.00")
            await payments.tell(psp, second)
        refund = linked(uid, REFUND, f"R of {uid}", amount="20.00")
        assert (await payments.tell(psp, refund)).outcome is Outcome.MISMATCH
        for conflict in await payments.conflicts(uid):
            await resolve(payments, conflict.id, "keep")
        assert await payments.balance(uid) == 10_000

    held = References(("in two",), ("A of in two",))
    refund = linked("", REFUND, "R of A", amount="30.00", references=held)
    assert (await payments.tell(psp, refund)).outcome is Outcome.APPLIED
    assert await payments.balance("in two") == 7_000


async def test_a_person_says_how_much_it_is_where_the_provider_does_not(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("none")
    await payments.tell(psp, news("none", APPROVED), trust=Trust.SECRET)
    await payments.create("dollars")
    dollars = ProviderAmount("110.00", "USD")
    await payments.tell(psp, news("dollars", APPROVED, amount=dollars))
    for uid in ("none", "dollars"):
        (conflict,) = await payments.conflicts(uid)
        with pytest.raises(ConflictError, match="amount"):
            await resolve(payments, conflict.id, "accept")
        await resolve(payments, conflict.id, "accept", ConflictAnswer(amount=9_000))
        assert await payments.moved(uid) == [("credit", "90.00")]

    await payments.tell(psp, linked("none", REFUND, "R1", amount="20.00"))
    await payments.tell(psp, linked("none", REFUND, "R2"))
    (conflict,) = await payments.conflicts("none")
    with pytest.raises(ConflictError, match="amount"):
        await resolve(payments, conflict.id, "accept")
    await resolve(payments, conflict.id, "accept", ConflictAnswer(amount=3_000))
    assert await payments.balance("none") == 4_000


# ── disputes ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_reversal_gives_back_only_what_a_chargeback_took(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")

    for movement in (None, "back"):
        early = await payments.tell(
            psp, linked("O", BACK, "D", amount="40.00", movement_id=movement)
        )
        assert early.outcome is Outcome.UNMATCHED
        assert "chargeback" in early.why
    assert await payments.balance("O") == 10_000

    await payments.tell(psp, linked("O", CHARGEBACK, "D", amount="40.00", movement_id="taken"))
    assert await payments.balance("O") == 10_000
    more = await payments.tell(psp, linked("O", BACK, "D", amount="10.00", movement_id="more"))
    assert more.outcome is Outcome.UNMATCHED
    assert await payments.balance("O") == 10_000


async def test_a_reversal_of_more_than_was_taken_asks_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")
    await payments.tell(psp, linked("O", CHARGEBACK, "D1", amount="30.00", movement_id="t1"))
    await payments.tell(psp, linked("O", CHARGEBACK, "D2", amount="50.00", movement_id="t2"))

    back = await payments.tell(psp, linked("O", BACK, "D1", amount="80.00", movement_id="r1"))

    assert back.outcome is Outcome.MISMATCH
    assert await payments.balance("O") == 2_000
    (conflict,) = await payments.conflicts("O")
    await resolve(payments, conflict.id, "accept")
    assert await payments.balance("O") == 10_000


async def test_a_reversal_whose_chargeback_never_comes_asks_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")
    await payments.tell(psp, linked("O", BACK, "D", amount="40.00", movement_id="back"))
    assert await payments.conflicts("O") == []

    await payments.pass_time(73 * HOUR_S)
    await payments.gateway.unmatched_callbacks.retry_due()
    await payments.idle()

    (conflict,) = await payments.conflicts("O")
    assert (conflict.kind, conflict.amount) == ("mismatch", 4_000)
    assert await payments.balance("O") == 10_000


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_without_an_amount_is_the_whole_payment_unless_a_part_went_back(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "whole")
    await payments.tell(psp, linked("whole", REFUND, "W"))
    assert await payments.balance("whole") == 0

    await paid(payments, psp, "part")
    await payments.tell(psp, linked("part", REFUND, "R1", amount="30.00"))
    second = await payments.tell(psp, linked("part", REFUND, "R2"))
    assert second.outcome is Outcome.MISMATCH
    assert await payments.balance("part") == 7_000
    assert "R2" in (await payments.conflicts("part"))[0].why

    await paid(payments, psp, "open")
    await payments.tell(psp, linked("open", REFUND, "R3", amount="30.00", status=PENDING))
    other = await payments.tell(psp, linked("open", REFUND, "R4"))
    assert other.outcome is Outcome.MISMATCH
    await payments.tell(psp, linked("open", REFUND, "R3"))
    assert await payments.balance("open") == 7_000


async def test_a_hint_at_a_refund_without_an_amount_asks_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")

    for _ in range(2):
        await payments.tell(psp, linked("O", REFUND, "R", is_hint=True))

    assert await payments.balance("O") == 10_000
    assert [conflict.kind for conflict in await payments.conflicts("O")] == ["unconfirmed_linked"]


# ── look-ups ─────────────────────────────────────────────────────────────────────────────────────


class Counted:
    """A provider's look-up: says of any payment what it was told to say."""

    def __init__(self, payments: PaymentHarness) -> None:
        self._payments = payments
        self.says: dict[str, str] = {}

    async def source(self, **config: Any) -> Source:
        url = self._payments.harness.receiver.url("/state?of={uid}")
        pointers = {"refunded": "/refunded", "chargedBack": "/lost"}
        return await self._payments.source(lookupUrl=url, lookup=pointers, **config)

    def answer(self, uid: str, **says: str) -> None:
        """Let the provider say this in look-ups."""
        answer = {"status": "captured", "amount": "100.00", "currency": "EUR", **says}

        async def reply(exchange: ReceiverExchange) -> None:
            await exchange.answer(200, msgspec.json.encode(answer))

        self._payments.harness.receiver.on(f"/state?of={uid}", reply)

    async def look_up(self, psp: Source, uid: str, **says: str) -> None:
        """Let a hint start a look-up, in which the provider says this."""
        self.answer(uid, **says)
        await self._payments.tell(psp, news(uid, None, is_hint=True), trust=Trust.NONE)
        await self._payments.gateway.status_checker.check_due()
        await self._payments.idle()


async def test_a_look_up_that_counts_more_asks_whatever_is_done_with_parts(
    payments: PaymentHarness,
) -> None:
    counted = Counted(payments)
    asking, by_rule = await counted.source(), await counted.source(partialCapture="credit")
    for uid, psp in (("ask", asking), ("rule", by_rule)):
        await paid(payments, psp, uid)
        for _ in range(2):
            await counted.look_up(psp, uid, amount="130.00")
        assert await payments.balance(uid) == 10_000
        (conflict,) = await payments.conflicts(uid)
        assert conflict.amount == 3_000
        await resolve(payments, conflict.id, "accept")
        assert await payments.balance(uid) == 13_000


async def test_a_look_up_by_order_counts_all_attempts_together(payments: PaymentHarness) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    await payments.create("O")
    for own_id, amount in (("GIFT", "30.00"), ("CARD", "70.00")):
        notice = news("O", APPROVED, psp_transaction_id=own_id, amount=amount, is_part=True)
        await payments.tell(psp, notice)

    await counted.look_up(psp, "O", amount="100.00")

    assert await payments.conflicts() == []
    assert (await payments.read("O")).captured == 10_000


async def test_a_look_up_that_counts_fewer_refunds_asks_once(payments: PaymentHarness) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    await paid(payments, psp, "O")
    for own_id, amount in (("R1", "30.00"), ("R2", "20.00")):
        await payments.tell(psp, linked("O", REFUND, own_id, amount=amount))

    for _ in range(2):
        await counted.look_up(psp, "O", refunded="30.00")
    (conflict,) = await payments.conflicts()
    assert conflict.amount == 2_000
    await resolve(payments, conflict.id, "keep")
    await counted.look_up(psp, "O", refunded="30.00")
    assert await payments.conflicts() == []
    assert await payments.balance("O") == 5_000

    await counted.look_up(psp, "O", refunded="25.00")
    for conflict in await payments.conflicts():
        await resolve(payments, conflict.id, "accept")
    assert (await payments.read("O")).refunded == 2_500
    refunds = [await payments.balance(refund.id) for refund in await payments.children("O")]
    assert sum(refunds) == -2_500


async def test_a_look_up_that_counts_more_refunds_than_is_left_asks(
    payments: PaymentHarness,
) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    await paid(payments, psp, "O")

    for _ in range(2):
        await counted.look_up(psp, "O", refunded="130.00")

    assert await payments.balance("O") == 10_000
    (conflict,) = await payments.conflicts()
    await resolve(payments, conflict.id, "accept")
    await counted.look_up(psp, "O", refunded="130.00")
    assert await payments.balance("O") == -3_000
    assert await payments.conflicts() == []


async def test_what_a_look_up_counted_first_and_a_callback_told_is_one(
    payments: PaymentHarness,
) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    await paid(payments, psp, "O")
    await payments.tell(psp, linked("O", REFUND, "R", amount="20.00", status=PENDING))
    await counted.look_up(psp, "O", refunded="20.00", lost="30.00")
    taken = linked("O", CHARGEBACK, "D", amount="30.00", movement_id="taken")
    for _ in range(2):
        await payments.tell(psp, linked("O", REFUND, "R", amount="20.00"))
        await payments.tell(psp, taken)

    assert await payments.balance("O") == 5_000
    await payments.tell(psp, linked("O", BACK, "D", amount="30.00", movement_id="back"))
    await payments.tell(psp, taken._replace(movement_id="again"))
    await counted.look_up(psp, "O", refunded="20.00", lost="30.00")

    assert await payments.balance("O") == 5_000
    assert await payments.conflicts() == []


async def test_a_look_up_that_counts_less_than_was_credited_asks_once(
    payments: PaymentHarness,
) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    for uid, choice, balance in (("keep", "keep", 10_000), ("accept", "accept", 6_000)):
        await paid(payments, psp, uid)
        for _ in range(2):
            await counted.look_up(psp, uid, amount="60.00")
        (conflict,) = await payments.conflicts(uid)
        assert (conflict.kind, conflict.amount) == ("mismatch", 4_000)
        assert await payments.balance(uid) == 10_000
        await resolve(payments, conflict.id, choice)
        for _ in range(2):
            await counted.look_up(psp, uid, amount="60.00")
        assert await payments.conflicts(uid) == []
        assert await payments.balance(uid) == balance

        await counted.look_up(psp, uid, amount="50.00")
        (conflict,) = await payments.conflicts(uid)
        assert conflict.amount == balance - 5_000


async def test_a_look_up_that_agrees_closes_what_earlier_ones_asked(
    payments: PaymentHarness,
) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    said: dict[str, dict[str, str]] = {
        "less": {"amount": "60.00"},
        "dollars": {"currency": "USD"},
        "refunds": {"refunded": "130.00"},
        "lost": {"lost": "130.00"},
        "pending": {"status": "Pending", "amount": "0.00"},
    }
    for uid, says in said.items():
        await paid(payments, psp, uid)
        for _ in range(2):  # it is asked again if it comes again
            await counted.look_up(psp, uid, **says)
            assert len(await payments.conflicts(uid)) == 1, uid
            await counted.look_up(psp, uid, refunded="0.00", lost="0.00")
            assert await payments.conflicts(uid) == [], uid
        assert await payments.balance(uid) == 10_000

    await paid(payments, psp, "fewer")
    await payments.tell(psp, linked("fewer", REFUND, "R", amount="30.00"))
    for _ in range(2):
        await counted.look_up(psp, "fewer", refunded="0.00")
        assert len(await payments.conflicts()) == 1
        await counted.look_up(psp, "fewer")  # says nothing of refunds
        assert len(await payments.conflicts()) == 1
        await counted.look_up(psp, "fewer", refunded="30.00")
        assert await payments.conflicts() == []


async def test_a_look_up_that_counts_less_again_withdraws_what_it_asked(
    payments: PaymentHarness,
) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    await paid(payments, psp, "paid")
    await payments.create("open", source_id=psp.id)
    for uid, asked in (
        ("paid", {"130.00": 3_000, "120.00": 2_000, "100.00": None, "140.00": 4_000}),
        ("open", {"60.00": 6_000, "50.00": 5_000, "100.00": None, "130.00": 3_000}),
    ):
        for amount, more in asked.items():
            await counted.look_up(psp, uid, amount=amount)
            amounts = [conflict.amount for conflict in await payments.conflicts(uid)]
            assert amounts == ([] if more is None else [more]), (uid, amount)
        (conflict,) = await payments.conflicts(uid)
        await resolve(payments, conflict.id, "keep")  # what is kept out stays out
        await counted.look_up(psp, uid, amount="150.00")
        (conflict,) = await payments.conflicts(uid)
        await counted.look_up(psp, uid, amount="145.00")
        (again,) = await payments.conflicts(uid)
        assert (again.amount or 0) - (conflict.amount or 0) == -500, uid
        assert await payments.balance(uid) == 10_000


async def test_a_payment_that_a_person_is_asked_about_is_not_asked_about_twice(
    payments: PaymentHarness,
) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    await payments.create("O", source_id=psp.id)
    await counted.look_up(psp, "O", amount="60.00")
    for _ in range(9):
        await payments.pass_time(2 * 86_400)
        await payments.gateway.status_checker.check_due()
    (conflict,) = await payments.conflicts("O")
    assert conflict.kind == "mismatch"

    await resolve(payments, conflict.id, "keep")
    await payments.pass_time(2 * 86_400)
    await payments.gateway.status_checker.check_due()
    assert [conflict.kind for conflict in await payments.conflicts("O")] == ["stuck"]


async def test_news_that_answers_a_look_up_closes_what_it_asked(payments: PaymentHarness) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    for uid, says in {"part": {"amount": "60.00"}, "dollars": {"currency": "USD"}}.items():
        await payments.create(uid)
        await counted.look_up(psp, uid, **says)
        assert [c.kind for c in await payments.conflicts(uid)] == ["mismatch"]
        await payments.tell(psp, news(uid, APPROVED, amount="100.00"))
        assert await payments.conflicts(uid) == [], uid
        assert await payments.balance(uid) == 10_000

    await paid(payments, psp, "refunded")
    await counted.look_up(psp, "refunded", amount="60.00")
    counted.answer("refunded", refunded="40.00")
    for own_id, amount in (("R1", "30.00"), ("R2", "10.00")):
        assert len(await payments.conflicts("refunded")) == 1
        await payments.tell(psp, linked("refunded", REFUND, own_id, amount=amount))
    await payments.gateway.status_checker.check_due()  # without another hint
    assert await payments.conflicts("refunded") == []
    for wait_s in (301, 3_601):  # its answer may have been old: it is asked twice more
        await payments.pass_time(wait_s)
        await payments.gateway.status_checker.check_due()
    assert (await payments.read("refunded")).check_at is None


async def test_a_look_up_of_one_attempt_that_counts_less_asks(payments: PaymentHarness) -> None:
    url = payments.harness.receiver.url("/state?of={pspTransactionId}")
    psp = await payments.source(lookupUrl=url, lookup={"refunded": "/refunded"})
    await payments.create("O")
    for own_id in ("GIFT", "CARD"):
        part = news("O", APPROVED, psp_transaction_id=own_id, amount="50.00", is_part=True)
        await payments.tell(psp, part)
    for says, problems in (("50.00", 0), ("20.00", 1)):
        answer = {"status": "captured", "amount": says, "currency": "EUR"}

        async def reply(exchange: ReceiverExchange, answer: dict[str, str] = answer) -> None:
            await exchange.answer(200, msgspec.json.encode(answer))

        payments.harness.receiver.on("/state?of=CARD", reply)
        await payments.tell(psp, news("O", None, is_hint=True), trust=Trust.NONE)
        await payments.gateway.status_checker.check_due()
        assert [c.amount for c in await payments.conflicts("O")] == [3_000][:problems]


async def test_a_look_up_that_no_longer_says_paid_is_shown_to_a_person(
    payments: PaymentHarness,
) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    await paid(payments, psp, "pending")
    await paid(payments, psp, "dollars")
    await paid(payments, psp, "word")

    for _ in range(2):
        await counted.look_up(psp, "pending", status="Pending", amount="0.00")
        await counted.look_up(psp, "dollars", currency="USD")
        await counted.look_up(psp, "word", status="charged_back")

    kinds = {"pending": "contradiction", "dollars": "mismatch", "word": "unconfirmed"}
    for uid, kind in kinds.items():
        (conflict,) = await payments.conflicts(uid)
        assert conflict.kind == kind
        assert await payments.balance(uid) == 10_000
    (conflict,) = await payments.conflicts("dollars")
    with pytest.raises(ConflictError, match="USD"):
        await resolve(payments, conflict.id, "accept")


# ── what is settled ──────────────────────────────────────────────────────────────────────────────


# The payment, news about it, other news about it, and how well both are proven.
SETTLED: tuple[tuple[str, TransactionNotice, TransactionNotice, Trust], ...] = (
    ("O", news("O", FAILED), news("O", DECLINED), Trust.SIGNED),
    (
        "O",
        linked("O", REFUND, "R2", amount="90.00"),
        linked("O", REFUND, "R3", amount="90.00"),
        Trust.SIGNED,
    ),
    (
        "O",
        linked("O", REFUND, "R4", amount="10.00"),
        linked("O", REFUND, "R4", amount="11.00"),
        Trust.SECRET,
    ),
    (
        "open",
        news("open", APPROVED, psp_transaction_id="A", amount="60.00"),
        news("open", APPROVED, psp_transaction_id="A", amount="61.00"),
        Trust.SIGNED,
    ),
    (
        "open",
        news("open", APPROVED, psp_transaction_id="A", amount="100.00"),
        news("open", APPROVED, psp_transaction_id="B", amount="100.00"),
        Trust.SECRET,
    ),
)


async def test_what_a_person_has_settled_is_not_asked_again_and_other_news_is(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")
    await payments.tell(psp, linked("O", REFUND, "R", amount="30.00"))
    await payments.create("open")
    for uid, same, other, trust in SETTLED:
        for is_new in (True, False):
            for _ in range(2):  # each in a callback with a key of its own
                await payments.tell(psp, same, trust=trust)
            asked = await payments.conflicts(uid)
            assert len(asked) == is_new, (same, asked)
            for conflict in asked:
                await resolve(payments, conflict.id, "keep")
        assert "settled" in (await payments.callbacks())[-1].why, same

        await payments.tell(psp, other, trust=trust)
        (conflict,) = await payments.conflicts(uid)
        await resolve(payments, conflict.id, "keep")


async def test_a_contradiction_of_a_refund_that_was_settled_is_not_asked_again(
    payments: PaymentHarness, psp: Source
) -> None:
    await paid(payments, psp, "O")
    for own_id, choice, balance in (("R1", "keep", 7_000), ("R2", "accept", 7_000)):
        refund = linked("O", REFUND, own_id, amount="30.00")
        await payments.tell(psp, refund)
        for _ in range(3):
            await payments.tell(psp, refund._replace(status=FAILED))
            for conflict in await payments.conflicts():
                await resolve(payments, conflict.id, choice)
        children = await payments.children("O")
        back = sum([await payments.balance(child.id) for child in children])
        assert back == balance - 10_000
    assert len(await payments.conflicts(open_only=False)) == 2


async def test_both_copies_of_a_late_payment_are_settled_with_one_answer_each(
    payments: PaymentHarness, psp: Source
) -> None:
    for uid in ("O1", "O2"):
        await payments.create(uid, order_id="order")
        await payments.tell(psp, news(uid, DECLINED, psp_transaction_id=f"of {uid}"))
    success = news("order", APPROVED, psp_transaction_id="A", amount="100.00")
    await payments.tell(psp, success)
    await payments.tell(psp, success)

    (ambiguous,) = await payments.conflicts()
    await resolve(payments, ambiguous.id, "accept", ConflictAnswer(transaction_id="O1"))
    (contradiction,) = await payments.conflicts()
    assert contradiction.kind == "contradiction"
    await resolve(payments, contradiction.id, "accept")
    await payments.tell(psp, success)

    assert await payments.conflicts() == []
    assert (await payments.balance("O1"), await payments.balance("O2")) == (10_000, 0)
    await payments.tell(
        psp, linked("order", REFUND, "R", amount="30.00", references=References(("order",), ("A",)))
    )
    assert await payments.balance("O1") == 7_000


# ── more than was credited, all together ─────────────────────────────────────────────────────────


async def test_a_refund_and_a_dispute_of_more_than_was_credited_ask_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    refund = linked("", REFUND, "R", amount="30.00")
    taken = linked("", CHARGEBACK, "D", amount="100.00", movement_id="taken")
    reversal = linked("", TransactionKind.REVERSAL, "V", amount="80.00")
    for number, (first, second) in enumerate(
        ((refund, taken), (taken, refund), (refund, reversal))
    ):
        for choice in ("keep", "accept"):
            uid = f"{number} {choice}"
            await paid(payments, psp, uid)
            about = References((uid,))
            await payments.tell(psp, first._replace(references=about))
            before = await payments.balance(uid)
            for _ in range(2):
                await payments.tell(psp, second._replace(references=about))
            assert await payments.balance(uid) == before
            (conflict,) = await payments.conflicts(uid)
            assert conflict.kind == "mismatch"
            await resolve(payments, conflict.id, choice)
            for _ in range(2):
                await payments.tell(psp, second._replace(references=about))

            assert await payments.conflicts(uid) == []
            both = sum(read_minor(notice) for notice in (first, second))
            assert await payments.balance(uid) == (before if choice == "keep" else 10_000 - both)
            open_children = [c for c in await payments.children(uid) if c.status is PENDING]
            assert open_children == []


async def test_two_disputes_of_the_whole_ask_until_one_comes_back(
    payments: PaymentHarness, psp: Source
) -> None:
    for number, back in enumerate(("D1", "D2")):
        uid = f"O{number}"
        await paid(payments, psp, uid)
        for own_id in ("D1", "D2"):
            await payments.tell(
                psp, linked(uid, CHARGEBACK, own_id, amount="100.00", movement_id="taken")
            )
        assert len(await payments.conflicts(uid)) == 1
        assert await payments.balance(uid) == 0

        await payments.tell(psp, linked(uid, BACK, back, amount="100.00", movement_id="back"))

        assert await payments.conflicts(uid) == []
        assert await payments.balance(uid) == 0
        assert len(await payments.children(uid)) == 3


async def test_what_a_look_up_counts_beyond_the_credit_is_booked_when_a_person_accepts(
    payments: PaymentHarness,
) -> None:
    counted = Counted(payments)
    psp = await counted.source()
    await paid(payments, psp, "O")
    await payments.tell(psp, linked("O", REFUND, "R", amount="30.00"))

    for _ in range(2):
        await counted.look_up(psp, "O", refunded="30.00", lost="100.00")
    assert await payments.balance("O") == 7_000
    (conflict,) = await payments.conflicts("O")
    await resolve(payments, conflict.id, "accept")
    await counted.look_up(psp, "O", refunded="30.00", lost="100.00")

    assert await payments.balance("O") == -3_000
    assert await payments.conflicts("O") == []


def read_minor(notice: TransactionNotice) -> int:
    assert notice.amount is not None
    return int(notice.amount.value.replace(".", ""))


# ── what later news answers ──────────────────────────────────────────────────────────────────────


def whole(uid: str) -> TransactionNotice:
    return news(uid, APPROVED, psp_transaction_id=f"A of {uid}", amount="100.00")


def back(uid: str, kind: TransactionKind, own_id: str, amount: str | None) -> TransactionNotice:
    return linked(uid, kind, f"{own_id} of {uid}", amount=amount)


# What is told, the last with this trust; what answers it; the balance.
ANSWERED: dict[str, Any] = {
    "not proven": ([whole], Trust.NONE, whole, 10_000),
    "a refund that is not proven": (
        [whole, lambda uid: back(uid, REFUND, "R", "30.00")],
        Trust.NONE,
        lambda uid: back(uid, REFUND, "R", "30.00"),
        7_000,
    ),
    "too much, until a reversal": (
        [
            whole,
            lambda uid: back(uid, CHARGEBACK, "D", "60.00"),
            lambda uid: back(uid, CHARGEBACK, "E", "60.00"),
        ],
        Trust.SIGNED,
        lambda uid: back(uid, BACK, "D", None),
        4_000,
    ),
}


async def test_what_has_a_question_has_more_versions_than_steps(payments: PaymentHarness) -> None:
    psp = await payments.source()
    for uid in ("clean", "asked"):
        await payments.create(uid)
    authorized = news("clean", PENDING, substate="authorized", psp_transaction_id="A")
    await payments.tell(psp, authorized)
    await payments.tell(psp, news("asked", APPROVED, amount="130.00"))  # a step and a question

    clean, asked = await payments.read("clean"), await payments.read("asked")
    assert (clean.version, await payments.conflicts("clean")) == (clean.sequence, [])
    assert asked.status is APPROVED
    assert len(await payments.conflicts("asked")) == 1
    assert asked.version > asked.sequence


async def test_a_question_that_later_news_answers_is_closed(payments: PaymentHarness) -> None:
    psp = await payments.source()
    for uid, (told, trust, answer, balance) in ANSWERED.items():
        await payments.create(uid)
        for notice in told:
            of_last = trust if notice is told[-1] else Trust.SIGNED
            await payments.tell(psp, notice(uid), trust=of_last)
        (asked,) = await payments.conflicts(uid)
        await payments.tell(psp, answer(uid))

        assert await payments.balance(uid) == balance, uid
        assert await payments.conflicts(uid) == [], uid
        (answered,) = await payments.conflicts(uid, open_only=False)
        assert (answered.id, answered.resolved_by) == (asked.id, "janitor")
        (entry,) = await payments.books.audit(payments.app_id, Page(10), asked.id)
        assert (entry.actor, entry.action[:9]) == ("janitor", "conflict.")
    assert (await payments.told())["transaction.conflict"] == 2 * len(ANSWERED)


async def test_what_is_asked_about_two_of_the_same_is_answered_one_by_one(
    payments: PaymentHarness,
) -> None:
    psp = await payments.source()
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    refund = linked("O", REFUND, "R", amount="10.00", may_be_repeat=True)
    for key in ("first", "second", "third"):
        await payments.tell(psp, refund, key=key)
    first, second = await payments.conflicts()
    await payments.accept(first.id)

    assert await payments.conflicts() == [second]
    assert await payments.balance("O") == 8_000


async def test_a_refund_that_is_asked_about_is_booked_when_its_payment_is_approved(
    payments: PaymentHarness,
) -> None:
    psp = await payments.source()
    await payments.create("O")
    await payments.tell(psp, news("O", PENDING))
    await payments.tell(psp, linked("O", REFUND, "R", amount="10.00"))
    await payments.pass_time(73 * HOUR_S)
    await payments.gateway.unmatched_callbacks.retry_due()
    await payments.idle()
    assert [conflict.kind for conflict in await payments.conflicts("O")] == ["mismatch"]

    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    assert (await payments.balance("O"), await payments.conflicts("O")) == (9_000, [])
