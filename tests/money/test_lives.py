"""Whole lives of payments, and what the provider's balance would say at their end, to the cent.

Each life is played in many orders (more in the soak), each event once or twice. The expected
balance is written by hand beside it.
"""

from __future__ import annotations

import itertools
import random
from typing import Any, NamedTuple

import pytest

from tests.money.payment_harness import (
    APPROVED,
    CANCELLED,
    DECLINED,
    FAILED,
    PENDING,
    PaymentHarness,
    linked,
    news,
)
from tests.scale import orders_played, seed, soak
from tillbell.errors import ConflictError
from tillbell.model.callbacks import Outcome, ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Source, Trust
from tillbell.model.transactions import TransactionKind
from tillbell.process.manual.audited import ActionReason
from tillbell.testing.exchange import ReceiverExchange

AUTHORIZED: dict[str, Any] = {"substate": "authorized"}
CHARGEBACK, BACK = TransactionKind.CHARGEBACK, TransactionKind.CHARGEBACK_REVERSAL
ACTOR = ActionReason("key_1", "looked at it")
REFUND, REVERSAL = TransactionKind.REFUND, TransactionKind.REVERSAL


def told(kind: str, psp: str, amount: str | None = None, **fields: Any) -> dict[str, Any]:
    """Describe one event of a life: what `event_of` makes a notice of, for any transaction."""
    return {"what": kind, "psp": psp, "amount": amount, **fields}


def event_of(uid: str, event: dict[str, Any]) -> TransactionNotice:
    fields = dict(event)
    what, psp, amount = fields.pop("what"), fields.pop("psp"), fields.pop("amount")
    amounts = {} if amount is None else {"amount": ProviderAmount(amount, "EUR")}
    own_id = f"{psp} of {uid}"
    if what in ("payment", "refused"):
        status = fields.pop("status", APPROVED if what == "payment" else DECLINED)
        ends = {"ends_attempt": True} if what == "refused" else {}
        return news(uid, status, psp_transaction_id=own_id, **amounts, **ends, **fields)
    return linked(uid, TransactionKind(what), own_id, **amounts, **fields)


class Life(NamedTuple):
    """The events of a life, the balance at its end in cents, and what must come first, if any."""

    events: list[dict[str, Any]]
    balance: int
    refused_orders: tuple[tuple[int, int], ...] = ()  # (place, place): never after one another


LIVES = {
    "a refused attempt and a good one": Life(
        [told("refused", "A"), told("payment", "B", "100.00")], 10_000
    ),
    "authorised, captured in two parts, refunded in two parts": Life(
        [
            told("payment", "A", "100.00", status=PENDING, **AUTHORIZED),
            told("payment", "A", "40.00", capture_id="C1"),
            told("payment", "A", "60.00", capture_id="C2"),
            told("refund", "R1", "10.00"),
            told("refund", "R2", "10.00"),
        ],
        8_000,
    ),
    "gift card and card": Life(
        [told("payment", "GIFT", "30.00"), told("payment", "CARD", "70.00")], 10_000
    ),
    "charged back, won back, charged back again": Life(
        [
            told("payment", "A", "100.00"),
            told("chargeback", "D", None, status=PENDING),
            told("chargeback", "D", "100.00", movement_id="first"),
            told("chargeback_reversal", "D", "100.00", movement_id="back"),
            told("chargeback", "D", "100.00", movement_id="second"),
        ],
        0,
    ),
    "a lost dispute of which a part comes back": Life(
        [
            told("payment", "A", "100.00"),
            told("refund", "R", "30.00"),
            told("chargeback", "D", "100.00", movement_id="w"),
            told("chargeback_reversal", "D", "30.00", movement_id="r"),
        ],
        0,
    ),
    "an inquiry that is closed": Life(
        [
            told("payment", "A", "100.00"),
            told("chargeback", "D", "100.00", status=PENDING),
            told("chargeback", "D", None, status=CANCELLED, is_closing=True),
        ],
        10_000,
    ),
    "a dispute and its reversal are one debit": Life(
        [
            told("payment", "A", "100.00"),
            told("reversal", "CAP", "10.00", same_debit_as=CHARGEBACK),
            told("chargeback", "D", "10.00", same_debit_as=REVERSAL),
        ],
        9_000,
    ),
    "an expired session, a refused card, a good one, a dispute that is won": Life(
        [
            told("refused", "S1", status=CANCELLED),
            told("refused", "S2", status=FAILED),
            told("payment", "S3", "100.00"),
            told("chargeback", "D", "100.00", movement_id="w"),
            told("chargeback_reversal", "D", "100.00", movement_id="r"),
            told("chargeback", "D", None, status=CANCELLED, is_closing=True),
        ],
        10_000,
    ),
}


def orders(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return some orders of events, each event once or twice."""
    choice = random.Random(seed())
    every = list(itertools.permutations(events))
    played = []
    for order in choice.sample(every, orders_played(len(every))):
        events_with_copies = list(order)
        for event in order:
            if choice.random() < 0.4:
                events_with_copies.insert(choice.randrange(len(events_with_copies) + 1), event)
        played.append(events_with_copies)
    return played


@soak
@pytest.mark.parametrize("name", LIVES)
async def test_in_every_order_the_books_are_the_providers_balance(
    payments: PaymentHarness, psp: Source, name: str
) -> None:
    life = LIVES[name]
    for number, order in enumerate(orders(life.events)):
        uid = f"T{number}"
        await payments.create(uid)
        for event in order:
            await payments.tell(psp, event_of(uid, event))
        described = [(e["what"], e["psp"], e["amount"]) for e in order]
        assert await payments.balance(uid) == life.balance, described
        assert await payments.conflicts(uid) == [], described
        await assert_sums_add_up(payments, uid)


async def assert_sums_add_up(payments: PaymentHarness, uid: str) -> None:
    """The sums that the record shows are those of its effects, and nothing is left open."""
    payment = await payments.read(uid)
    gone = payment.refunded + payment.charged_back + payment.reversed_
    assert payment.credited - gone + payment.reinstated == await payments.balance(uid)
    assert all(child.status is not PENDING for child in await payments.children(uid))


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────


async def test_late_news_of_another_attempt_never_undoes(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="B", amount="100.00"))

    late = await payments.tell(psp, news("O", FAILED, psp_transaction_id="A"))

    assert late.outcome is Outcome.STALE
    assert await payments.status("O") is APPROVED
    attempts = {a.psp_transaction_id: a.status for a in (await payments.read("O")).attempts}
    assert attempts == {"A": FAILED, "B": APPROVED}


async def test_what_was_only_refused_ends_after_a_day_and_may_still_be_paid(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", DECLINED, psp_transaction_id="A", ends_attempt=True))
    assert await payments.status("O") is PENDING

    await payments.pass_time(25 * 3600)
    await payments.gateway.status_checker.check_due()
    assert await payments.status("O") is DECLINED

    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="B", amount="100.00"))
    assert await payments.status("O") is APPROVED
    assert await payments.moved("O") == [("credit", "100.00")]


async def test_a_payment_that_is_paid_twice_asks_a_person(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="100.00"))

    second = await payments.tell(psp, news("O", APPROVED, psp_transaction_id="B", amount="100.00"))

    assert second.outcome is Outcome.MISMATCH
    (conflict,) = await payments.conflicts("O")
    assert conflict.amount == 10_000
    await payments.accept(conflict.id)
    assert await payments.moved("O") == [("credit", "100.00"), ("credit", "100.00")]
    await assert_sums_add_up(payments, "O")


async def test_an_authorisation_is_a_step_with_its_message(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    notice = news("O", PENDING, psp_transaction_id="A", amount="100.00", **AUTHORIZED)

    first = await payments.tell(psp, notice)
    again = await payments.tell(psp, notice)

    assert (first.outcome, again.outcome) == (Outcome.APPLIED, Outcome.DUPLICATE)
    assert (await payments.told())["transaction.authorized"] == 1
    payment = await payments.read("O")
    assert (payment.status, payment.authorized, payment.captured) == (PENDING, 10_000, 0)


# ── amounts ──────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_accepted_is_what_is_booked_and_more_can_follow(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    part = news("O", APPROVED, psp_transaction_id="A", capture_id="C1", amount="20.00")
    await payments.tell(psp, part)
    (conflict,) = await payments.conflicts("O")
    await payments.accept(conflict.id)
    assert await payments.moved("O") == [("credit", "20.00")]

    rest = news("O", APPROVED, psp_transaction_id="A", capture_id="C2", amount="80.00")
    await payments.tell(psp, rest)
    (conflict,) = await payments.conflicts("O")
    await payments.accept(conflict.id)

    assert sorted(await payments.moved("O")) == [("credit", "20.00"), ("credit", "80.00")]
    await payments.tell(psp, linked("O", REFUND, "R", amount="100.00"))
    assert await payments.balance("O") == 0


async def test_by_rule_each_part_is_credited(payments: PaymentHarness) -> None:
    psp = await payments.source(partialCapture="credit")
    await payments.create("O")

    for number, amount in enumerate(("20.00", "30.00", "50.00")):
        part = news("O", APPROVED, psp_transaction_id="A", capture_id=f"C{number}", amount=amount)
        await payments.tell(psp, part)

    assert await payments.conflicts("O") == []
    assert await payments.balance("O") == 10_000
    await assert_sums_add_up(payments, "O")


async def test_each_refund_beyond_what_is_left_is_asked_about_and_booked_when_accepted(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    for number in range(4):
        await payments.tell(psp, linked("O", REFUND, f"R{number}", amount="50.00"))

    conflicts = await payments.conflicts("O")
    assert len(conflicts) == 2
    for conflict in conflicts:
        await payments.accept(conflict.id)

    assert await payments.balance("O") == -10_000
    assert await payments.conflicts("O") == []


async def test_a_refund_with_a_movement_is_limited_by_what_is_left(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    for number in range(3):
        refund = linked("O", REFUND, "R", amount="50.00", movement_id=f"event {number}")
        await payments.tell(psp, refund)

    assert await payments.balance("O") == 0
    assert len(await payments.conflicts("O")) == 1


async def test_an_unproven_payment_is_accepted_with_the_amount_that_it_named(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="1.00"), trust=Trust.SECRET)

    (conflict,) = await payments.conflicts("O")
    await payments.accept(conflict.id)

    assert await payments.moved("O") == [("credit", "1.00")]


@pytest.mark.parametrize("order", list(itertools.permutations(["R1 ok", "paid", "R1 failed"])))
async def test_news_that_waited_is_applied_in_the_order_in_which_it_came(
    payments: PaymentHarness, psp: Source, order: tuple[str, ...]
) -> None:
    notices = {
        "R1 ok": linked("O", REFUND, "R1"),
        "paid": news("O", APPROVED),
        "R1 failed": linked("O", REFUND, "R1", status=FAILED),
    }
    for name in order:
        await payments.tell(psp, notices[name])

    await payments.create("O")
    await payments.idle()

    (refund,) = await payments.children("O")
    is_first = order.index("R1 ok") < order.index("R1 failed")
    assert refund.status is (APPROVED if is_first else FAILED)
    (conflict,) = await payments.conflicts(refund.id)
    assert conflict.status is (FAILED if is_first else APPROVED)


async def test_what_waited_for_its_payment_goes_before_what_came_after_both(
    payments: PaymentHarness, psp: Source
) -> None:
    whole = linked("O", REFUND, "R1")  # without an amount: of the whole, if nothing else goes back
    later = linked("O", REFUND, "R2", status=PENDING)
    for notice in (whole, news("O", APPROVED), later):
        await payments.tell(psp, notice)

    await payments.create("O")
    await payments.idle()

    assert (await payments.balance("O"), await payments.conflicts()) == (0, [])
    assert [str(c.status) for c in await payments.children("O")] == ["Approved", "Pending"]


# ── people, sources, test money ──────────────────────────────────────────────────────────────────


async def test_a_refund_that_a_person_recorded_and_the_provider_reports_is_one(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="100.00"))
    actions = payments.gateway.manual_actions
    await actions.reverse(payments.app_id, (await payments.read("O")).id, 3_000, ACTOR)

    reported = await payments.tell(psp, linked("O", REFUND, "R1", amount="30.00"))
    again = await payments.tell(psp, linked("O", REFUND, "R1", amount="30.00"))
    other = await payments.tell(psp, linked("O", REFUND, "R2", amount="30.00"))

    assert (reported.outcome, again.outcome) == (Outcome.DUPLICATE, Outcome.DUPLICATE)
    assert other.outcome is Outcome.APPLIED
    assert await payments.balance("O") == 4_000


async def test_test_money_moves_nothing_in_a_live_source(payments: PaymentHarness) -> None:
    live, play = await payments.source(), await payments.source(mode="test")
    await payments.create("O")

    noted = await payments.tell(live, news("O", APPROVED, is_test=True))
    assert noted.outcome is Outcome.NOTED
    assert "test" in noted.why
    noted = await payments.tell(play, news("O", APPROVED, is_test=False))
    assert noted.outcome is Outcome.NOTED

    applied = await payments.tell(play, news("O", APPROVED, is_test=True))
    assert applied.outcome is Outcome.APPLIED


async def test_a_transaction_of_a_source_is_moved_by_that_source_alone(
    payments: PaymentHarness,
) -> None:
    own, other = await payments.source(), await payments.source()
    allowed = await payments.source(movesAnySource=True)
    await payments.create("O", source_id=own.id, psp_transaction_id="P")
    await payments.create("Q", source_id=own.id)

    by_reference = await payments.tell(other, news("O", APPROVED))
    by_psp_id = await payments.tell(other, news("", APPROVED, references=References((), ("P",))))
    assert {by_reference.outcome, by_psp_id.outcome} == {Outcome.UNMATCHED}
    assert await payments.status("O") is PENDING

    await payments.tell(allowed, news("Q", APPROVED))
    assert await payments.status("Q") is APPROVED


async def test_an_accepted_end_of_a_refund_is_in_the_sums_of_its_payment(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    await payments.tell(psp, linked("O", REFUND, "ok", amount="30.00"))
    await payments.tell(psp, linked("O", REFUND, "bad", amount="20.00", status=FAILED))

    await payments.tell(psp, linked("O", REFUND, "ok", amount="30.00", status=FAILED))
    await payments.tell(psp, linked("O", REFUND, "bad", amount="20.00"))
    for conflict in await payments.conflicts():
        await payments.accept(conflict.id)

    assert (await payments.read("O")).refunded == 2_000
    refunds = {str(one.psp_transaction_id): one.id for one in await payments.children("O")}
    assert await payments.moved(refunds["ok"]) == [("debit", "30.00"), ("credit", "30.00")]
    assert await payments.moved(refunds["bad"]) == [("debit", "20.00")]


# ── what was wrong once ──────────────────────────────────────────────────────────────────────────


async def test_a_refund_that_failed_after_all_leaves_room_for_another(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    await payments.tell(psp, linked("O", REFUND, "R1", amount="30.00"))
    await payments.tell(psp, linked("O", REFUND, "R1", amount="30.00", status=FAILED))
    (conflict,) = await payments.conflicts()
    await payments.accept(conflict.id)

    second = await payments.tell(psp, linked("O", REFUND, "R2", amount="100.00"))

    assert second.outcome is Outcome.APPLIED
    assert (await payments.read("O")).refunded == 10_000


async def test_a_refund_beside_a_reversal_by_hand_asks_before_more_goes_back_than_came(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    id_ = (await payments.read("O")).id
    await payments.gateway.manual_actions.reverse(payments.app_id, id_, None, ACTOR)

    for own_id, amount in (("R1", "60.00"), ("R2", "40.00")):
        refund = await payments.tell(psp, linked("O", REFUND, own_id, amount=amount))
        assert refund.outcome is Outcome.MISMATCH

    assert await payments.balance("O") == 0


async def test_a_pending_refund_is_the_one_that_a_person_recorded(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    id_ = (await payments.read("O")).id
    await payments.gateway.manual_actions.reverse(payments.app_id, id_, 3_000, ACTOR)

    await payments.tell(psp, linked("O", REFUND, "R1", amount="30.00", status=PENDING))
    await payments.tell(psp, linked("O", REFUND, "R1", amount="30.00"))

    assert await payments.balance("O") == 7_000


async def test_a_second_attempt_after_an_accepted_one_is_asked_about(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", CANCELLED, psp_transaction_id="A"))
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="100.00"))
    (conflict,) = await payments.conflicts("O")
    await payments.accept(conflict.id)

    second = await payments.tell(psp, news("O", APPROVED, psp_transaction_id="B", amount="100.00"))

    assert second.outcome is Outcome.MISMATCH


async def test_a_second_attempt_after_a_verified_late_success_is_asked_about(
    payments: PaymentHarness,
) -> None:
    async def answer(exchange: ReceiverExchange) -> None:
        await exchange.answer(200, b'{"status":"captured","amount":"100.00","currency":"EUR"}')

    payments.harness.receiver.on("/state?of=O", answer)
    url = payments.harness.receiver.url("/state?of={uid}")
    psp = await payments.source(lookupUrl=url, lateSuccess="accept_verified")
    await payments.create("O")
    await payments.tell(psp, news("O", CANCELLED, psp_transaction_id="A"))
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="100.00"))
    await payments.gateway.status_checker.check_due()
    assert await payments.moved("O") == [("credit", "100.00")]

    second = await payments.tell(psp, news("O", APPROVED, psp_transaction_id="B", amount="100.00"))

    assert second.outcome is Outcome.MISMATCH


async def test_nothing_captured_credits_nothing(payments: PaymentHarness) -> None:
    psp = await payments.source(partialCapture="credit")
    await payments.create("O")

    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="0.00"))
    assert await payments.moved("O") == []
    (conflict,) = await payments.conflicts("O")
    with pytest.raises(ConflictError):
        await payments.accept(conflict.id)

    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="100.00"))
    assert await payments.moved("O") == [("credit", "100.00")]


async def test_the_message_says_what_was_credited(payments: PaymentHarness) -> None:
    psp = await payments.source(partialCapture="credit")
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="120.00"))

    approved = [m for m in await payments.messages() if m.event_type == "transaction.approved"]
    assert [(await payments.data(message))["amount"] for message in approved] == ["100.00"]
    assert await payments.moved("O") == [("credit", "100.00")]
    assert [c.amount for c in await payments.conflicts("O")] == [2_000]


async def test_the_rule_for_parts_credits_no_more_than_the_amount(payments: PaymentHarness) -> None:
    psp = await payments.source(partialCapture="credit")
    for uid, captures in (
        ("parts", (("A", "60.00"), ("A", "60.00"), ("A", "10.00"))),
        ("twice", (("A", "100.00"), ("B", "100.00"))),
    ):
        await payments.create(uid)
        for number, (own_id, amount) in enumerate(captures):
            fields = {"psp_transaction_id": f"{own_id} {uid}", "capture_id": f"{number} {uid}"}
            await payments.tell(psp, news(uid, APPROVED, amount=amount, **fields))

    assert [await payments.balance(uid) for uid in ("parts", "twice")] == [10_000, 10_000]
    asked = [{c.amount for c in await payments.conflicts(uid)} for uid in ("parts", "twice")]
    assert asked == [{1_000, 2_000}, {10_000}]
    for conflict in await payments.conflicts():
        await payments.accept(conflict.id)
    assert [await payments.balance(uid) for uid in ("parts", "twice")] == [13_000, 20_000]


async def test_of_two_refunds_in_one_callback_only_the_accepted_one_is_booked(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    await payments.tell(psp, linked("O", REFUND, "R0", amount="100.00"))
    both = [linked("O", REFUND, "R1", amount="10.00"), linked("O", REFUND, "R2", amount="20.00")]
    await payments.tell(psp, *both)

    conflicts = await payments.conflicts("O")
    assert len(conflicts) == 2
    await payments.accept(next(c.id for c in conflicts if "R1" in c.why))

    assert await payments.balance("O") == -1_000
    assert len(await payments.conflicts("O")) == 1


async def test_a_dispute_that_first_named_no_movement_may_take_money_again(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    await payments.tell(psp, linked("O", CHARGEBACK, "D", amount="100.00"))
    for kind, movement in ((CHARGEBACK, "t1"), (BACK, "t2"), (CHARGEBACK, "t3")):
        await payments.tell(psp, linked("O", kind, "D", amount="100.00", movement_id=movement))

    assert await payments.balance("O") == 0


async def test_a_reversal_that_a_person_accepted_is_no_refund_of_another_attempt(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="100.00"))
    await payments.tell(psp, news("O", CANCELLED, psp_transaction_id="A"))
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="B", amount="100.00"))
    for conflict in await payments.conflicts("O"):
        await payments.accept(conflict.id)
    assert await payments.balance("O") == 10_000

    refund = await payments.tell(psp, linked("O", REFUND, "R", amount="100.00"))

    assert refund.outcome is Outcome.APPLIED
    assert await payments.balance("O") == 0


async def test_a_success_after_silence_counts_for_a_shared_reference_too(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O", order_id="shared")
    refused = news("shared", DECLINED, psp_transaction_id="A", ends_attempt=True)
    await payments.tell(psp, refused)
    await payments.pass_time(25 * 3600)
    await payments.gateway.status_checker.check_due()
    assert await payments.status("O") is DECLINED

    await payments.tell(psp, news("shared", APPROVED, psp_transaction_id="B", amount="100.00"))

    assert await payments.moved("O") == [("credit", "100.00")]


async def test_each_increase_is_booked_by_its_own_conflict_in_any_order(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="A", amount="120.00"))
    await payments.tell(psp, news("O", APPROVED, psp_transaction_id="B", amount="30.00"))

    conflicts = await payments.conflicts("O")
    assert sorted(c.amount or 0 for c in conflicts) == [2_000, 3_000]
    for conflict in sorted(conflicts, key=lambda c: c.amount or 0, reverse=True):
        await payments.accept(conflict.id)

    assert await payments.balance("O") == 15_000
    await assert_sums_add_up(payments, "O")


async def test_a_refund_that_has_failed_asks_before_it_is_booked_with_another_amount(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    await payments.tell(psp, linked("O", REFUND, "R", amount="20.00", status=FAILED))

    late = await payments.tell(psp, linked("O", REFUND, "R", amount="30.00"))
    await payments.tell(psp, linked("O", REFUND, "S", amount="80.00"))
    later = await payments.tell(psp, linked("O", REFUND, "R", amount="40.00"))  # than is left

    assert (late.outcome, later.outcome) == (Outcome.CONFLICT, Outcome.CONFLICT)
    assert await payments.balance("O") == 2_000
    assert {c.kind for c in await payments.conflicts()} == {"contradiction"}


async def test_what_takes_more_than_is_left_is_asked_with_its_latest_amount(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    for own_id, amount in (("R", "60.00"), ("S", "60.00"), ("S", "50.00")):
        await payments.tell(psp, linked("O", REFUND, own_id, amount=amount))
    assert [c.amount for c in await payments.conflicts("O")] == [5_000]

    await payments.tell(psp, linked("O", REFUND, "S", amount="30.00"))
    assert (await payments.balance("O"), await payments.conflicts("O")) == (1_000, [])

    for amount in ("60.00", "70.00"):  # a person did not accept the first
        await payments.tell(psp, linked("O", REFUND, "T", amount=amount))
        (conflict,) = await payments.conflicts("O")
        await payments.keep(conflict.id)
    assert [c.amount for c in await payments.conflicts("O", open_only=False)][-2:] == [6_000, 7_000]
    assert await payments.balance("O") == 1_000


async def test_an_open_refund_is_booked_with_the_amount_that_moved(
    payments: PaymentHarness, psp: Source
) -> None:
    await payments.create("O")
    await payments.tell(psp, news("O", APPROVED, amount="100.00"))
    await payments.tell(psp, linked("O", REFUND, "R", amount="20.00", status=PENDING))

    await payments.tell(psp, linked("O", REFUND, "R", amount="30.00"))
    await payments.tell(psp, linked("O", REFUND, "R", amount="30.00"))

    assert await payments.balance("O") == 7_000
    assert [c.status for c in await payments.children("O")] == [CANCELLED, APPROVED]
