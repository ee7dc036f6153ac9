"""Whole lives of payments at Stripe: the books end as Stripe's balance does, in any order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.lives import Event, Life, account, play
from tests.money.payment_harness import APPROVED, CANCELLED, PAY_OUT, PENDING, PaymentHarness
from tests.scale import soak

pytestmark = pytest.mark.sqlite_first

AT = 1_760_000_000


def event(type_: str, n: int, name: str, resource: dict[str, Any], **more: Any) -> Event:
    fields = {
        "id": f"evt_{n}_{name}",
        "object": "event",
        "type": type_,
        "created": AT + n,
        "livemode": True,
        "data": {"object": resource},
    }
    return Event({**fields, **more})


def intent(n: int, type_: str, *, received: int = 0, id_: str = "pi", **more: Any) -> Event:
    fields = {
        "id": f"{id_}_{n}",
        "object": "payment_intent",
        "amount": 10_000,
        "amount_received": received,
        "currency": "eur",
        "metadata": {"order_id": str(n), "customer": str(n + 1)},
        "latest_charge": f"ch_{n}",
        **more,
    }
    return event(f"payment_intent.{type_}", n, f"{type_}_{id_}_{received}", fields)


def paid(n: int, received: int = 10_000, id_: str = "pi") -> Event:
    return intent(n, "succeeded", received=received, id_=id_)


def session(n: int, type_: str, *, id_: str = "cs", **more: Any) -> Event:
    fields = {
        "id": f"{id_}_{n}",
        "object": "checkout.session",
        "amount_total": 10_000,
        "currency": "eur",
        "client_reference_id": str(n),
        "payment_intent": f"pi_{n}",
        "payment_status": "paid",
        **more,
    }
    return event(f"checkout.session.{type_}", n, f"{type_}_{id_}", fields)


def charge(n: int, type_: str, **more: Any) -> Event:
    fields = {
        "id": f"ch_{n}",
        "object": "charge",
        "payment_intent": f"pi_{n}",
        "amount": 10_000,
        "amount_captured": 10_000,
        "captured": True,
        "currency": "eur",
        "metadata": {"order_id": str(n)},
        **more,
    }
    return event(f"charge.{type_}", n, f"charge_{type_}", fields)


def refund(n: int, number: int, amount: int, status: str = "succeeded") -> Event:
    fields = {
        "id": f"re_{n}_{number}",
        "object": "refund",
        "amount": amount,
        "currency": "eur",
        "status": status,
        "payment_intent": f"pi_{n}",
        "charge": f"ch_{n}",
        "metadata": {"order_id": str(n + 1)},
    }
    return event("refund.updated", n, f"refund_{number}_{status}", fields)


def dispute(n: int, type_: str, status: str, *moved: int, amount: int = 10_000) -> Event:
    movements = [
        {"id": f"txn_{n}_{place}", "amount": value, "currency": "eur", "fee": 1_500}
        for place, value in enumerate(moved)
    ]
    fields = {
        "id": f"dp_{n}",
        "object": "dispute",
        "amount": amount,
        "currency": "eur",
        "status": status,
        "reason": "fraudulent",
        "payment_intent": f"pi_{n}",
        "charge": f"ch_{n}",
        "metadata": {"order_id": str(n + 1)},
        "balance_transactions": movements,
    }
    return event(f"charge.dispute.{type_}", n, f"{type_}_{status}_{len(moved)}", fields)


DONE, ENDED = "Approved", "Cancelled"
LIVES = (
    Life("paid", lambda n: [intent(n, "created"), intent(n, "processing"), paid(n)], 10_000),
    Life(
        "one attempt by session, intent and charge",
        lambda n: [
            session(n, "completed"),
            paid(n),
            charge(n, "succeeded"),
            charge(n, "captured"),
            session(n, "async_payment_succeeded"),
        ],
        10_000,
    ),
    Life(
        "refused, then paid with the same intent",
        lambda n: [intent(n, "payment_failed"), charge(n, "failed", captured=False), paid(n)],
        10_000,
    ),
    Life(
        "sessions that expired or failed beside the one that was paid",
        lambda n: [
            session(n, "expired", id_="cs_a", payment_intent=None, payment_status="unpaid"),
            session(n, "async_payment_failed", id_="cs_b", payment_intent=f"pi_b_{n}"),
            intent(n, "canceled", id_="pi_c", cancellation_reason="duplicate"),
            session(n, "completed"),
        ],
        10_000,
    ),
    Life(
        "authorised, captured in full",
        lambda n: [intent(n, "amount_capturable_updated"), paid(n)],
        10_000,
    ),
    Life(
        "captured in parts",
        lambda n: [
            intent(n, "amount_capturable_updated"),
            intent(n, "amount_capturable_updated", received=3_000),
            intent(n, "amount_capturable_updated", received=7_000),
            paid(n),
        ],
        10_000,
    ),
    Life(
        "captured in part, credited by rule",
        lambda n: [intent(n, "amount_capturable_updated"), paid(n, 6_000), refund(n, 1, 1_000)],
        5_000,
        children=(DONE,),
        config={"partialCapture": "credit"},
    ),
    Life(
        "refunds in parts, one of which failed",
        lambda n: [
            paid(n),
            refund(n, 1, 1_000, "pending"),
            refund(n, 1, 1_000),
            refund(n, 2, 2_500),
            refund(n, 3, 500, "failed"),
        ],
        6_500,
        children=(DONE, DONE, "Failed"),
    ),
    Life(
        "dispute lost",
        lambda n: [
            paid(n),
            dispute(n, "created", "needs_response", -10_000),
            dispute(n, "updated", "under_review", -10_000),
            dispute(n, "funds_withdrawn", "needs_response", -10_000),
            dispute(n, "closed", "lost", -10_000),
        ],
        0,
        children=(DONE,),
    ),
    Life(
        "dispute won",
        lambda n: [
            paid(n),
            dispute(n, "created", "needs_response", -10_000),
            dispute(n, "funds_withdrawn", "needs_response", -10_000),
            dispute(n, "closed", "won", -10_000, 10_000),
            dispute(n, "funds_reinstated", "won", -10_000, 10_000),
        ],
        10_000,
        children=(DONE, DONE),
    ),
    Life(
        "part refunded, disputed whole, lost, the refunded part given back",
        lambda n: [
            paid(n),
            refund(n, 1, 3_000),
            dispute(n, "created", "needs_response", -10_000),
            dispute(n, "funds_withdrawn", "needs_response", -10_000),
            dispute(n, "closed", "lost", -10_000),
            dispute(n, "funds_reinstated", "lost", -10_000, 3_000),
        ],
        0,
        children=(DONE, DONE, DONE),
    ),
    Life(
        "won, and taken again",
        lambda n: [
            paid(n),
            dispute(n, "funds_withdrawn", "needs_response", -10_000),
            dispute(n, "funds_reinstated", "won", -10_000, 10_000),
            dispute(n, "funds_withdrawn", "needs_response", -10_000, 10_000, -10_000),
            dispute(n, "closed", "lost", -10_000, 10_000, -10_000),
        ],
        0,
        children=(DONE, DONE, DONE),
    ),
    Life(
        "dispute won, of whose money no event tells",
        lambda n: [
            paid(n),
            dispute(n, "created", "needs_response", -10_000),
            dispute(n, "closed", "won", -10_000, 10_000),
        ],
        10_000,
        children=(DONE, DONE),
    ),
    Life(
        "inquiry without money",
        lambda n: [
            paid(n),
            dispute(n, "created", "warning_needs_response"),
            dispute(n, "updated", "warning_under_review"),
            dispute(n, "closed", "warning_closed"),
        ],
        10_000,
        children=(ENDED,),
    ),
    Life(
        "prevented dispute",
        lambda n: [
            paid(n),
            dispute(n, "created", "needs_response"),
            dispute(n, "closed", "prevented"),
        ],
        10_000,
        children=(ENDED,),
    ),
)


@soak
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
async def test_a_life_ends_as_stripes_balance_does(payments: PaymentHarness, life: Life) -> None:
    await play(payments, "stripe", life)


async def test_less_than_was_asked_for_is_a_persons_to_accept(payments: PaymentHarness) -> None:
    stripe = await account(payments, "stripe")
    await payments.create("77")

    await stripe.send(paid(77, 6_000))

    (conflict,) = await payments.conflicts("77")
    assert (await payments.status("77"), conflict.amount) == (PENDING, 6_000)
    assert await payments.balance("77") == 0


async def test_a_part_of_a_lost_dispute_without_its_amount_moves_nothing(
    payments: PaymentHarness,
) -> None:
    stripe = await account(payments, "stripe")
    await payments.create("77")
    await stripe.send(paid(77))
    await stripe.send(dispute(77, "funds_withdrawn", "lost"))

    await stripe.send(dispute(77, "funds_reinstated", "lost"))

    assert await payments.balance("77") == 0
    assert (await payments.callbacks())[-1].outcome == "unmapped"


async def test_a_session_that_the_merchant_knows_is_the_attempt_of_its_intent(
    payments: PaymentHarness,
) -> None:
    stripe = await account(payments, "stripe")
    await payments.create("77", psp_transaction_id="cs_77")
    await stripe.send(session(77, "completed", client_reference_id=None))
    await stripe.send(paid(77))

    (attempt,) = (await payments.read("77")).attempts
    assert (attempt.psp_transaction_id, attempt.captured) == ("pi_77", 10_000)
    assert await payments.conflicts("77") == []


async def test_what_the_merchant_cancels_is_cancelled(payments: PaymentHarness) -> None:
    stripe = await account(payments, "stripe")
    await payments.create("77")
    await stripe.send(intent(77, "canceled", cancellation_reason="requested_by_customer"))
    assert await payments.status("77") is CANCELLED


async def test_test_events_move_nothing(payments: PaymentHarness) -> None:
    stripe = await account(payments, "stripe")
    await payments.create("77")
    played = paid(77)

    await stripe.send(Event({**played.fields, "livemode": False}))

    assert await payments.status("77") is PENDING
    assert (await payments.callbacks())[-1].outcome == "noted"


async def test_a_pay_out_of_ours_is_moved_and_others_are_passed_on(
    payments: PaymentHarness,
) -> None:
    stripe = await account(payments, "stripe")
    await payments.create("out", PAY_OUT, psp_transaction_id="po_1", amount=5_000)
    for id_ in ("po_1", "po_2"):
        fields = {"id": id_, "amount": 5_000, "currency": "eur", "status": "paid"}
        await stripe.send(event("payout.paid", 1, id_, {"object": "payout", **fields}))

    assert await payments.status("out") is APPROVED
    assert [callback.outcome for callback in await payments.callbacks()] == ["applied", "noted"]
    assert (await payments.told())["stripe.payout.paid"] == 2


def in_all(n: int, amount: int) -> Event:
    """Return the sum of all refunds, as newer versions of the API tell it."""
    told = charge(n, "refunded", amount_refunded=amount)
    return Event({**told.fields, "id": f"evt_{n}_in_all_{amount}"})


def told_in_all(n: int) -> dict[str, list[Event]]:
    """Return events that tell sums of refunds, by what they are; both refunds are 50.00."""
    first, second = refund(n, 1, 3_000), refund(n, 2, 2_000)
    return {
        "sums alone": [in_all(n, 3_000), in_all(n, 5_000)],
        "the later sum first": [in_all(n, 5_000), in_all(n, 3_000)],
        "as it happens": [in_all(n, 3_000), first, in_all(n, 5_000), second],
        "in disorder": [second, in_all(n, 5_000), in_all(n, 3_000), first],
        "one that is pending": [in_all(n, 3_000), refund(n, 1, 3_000, "pending")],
        "more than was paid": [in_all(n, 10_000), in_all(n, 13_000)],
    }


async def test_a_sum_of_refunds_is_booked_once_whichever_events_tell_of_it(
    payments: PaymentHarness,
) -> None:
    stripe = await account(payments, "stripe")
    books = {}
    for n, name in enumerate(told_in_all(0), start=77):
        events = told_in_all(n)[name]
        await payments.create(f"{n}")
        for event in (*events, paid(n), *events):
            await stripe.send(event)
        await payments.pass_time(31)
        await payments.gateway.unmatched_callbacks.retry_due()
        await payments.idle()
        late = [refund(n, 1, 3_000), refund(n, 2, 2_000)] if n < 81 else []
        for event in (*events, *late):  # also when they come after it was booked
            await stripe.send(event)
        books[name] = await payments.balance(f"{n}")

    assert list(books.values()) == [5_000, 5_000, 5_000, 5_000, 10_000, 0], books
    assert [c.amount for c in await payments.conflicts()] == [3_000]


async def test_a_sum_of_refunds_of_a_part_asks_a_person(payments: PaymentHarness) -> None:
    stripe = await account(payments, "stripe", partialCapture="credit")
    await payments.create("77")
    await stripe.send(paid(77, 6_000))
    for _ in range(2):
        await stripe.send(charge(77, "refunded", amount_captured=6_000, amount_refunded=4_000))

    assert [c.kind for c in await payments.conflicts("77")] == ["mismatch"]
    assert await payments.balance("77") == 6_000
