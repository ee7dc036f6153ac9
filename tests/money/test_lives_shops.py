"""Whole lives of orders at Shopify, WooCommerce, Paddle and Shoppex: the books end as theirs do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.lives import Event, Life, account, play
from tests.money.payment_harness import CANCELLED, PENDING, PaymentHarness
from tests.scale import soak

pytestmark = pytest.mark.sqlite_first

DONE, ENDED = "Approved", "Cancelled"


# ── Shopify ──────────────────────────────────────────────────────────────────────────────────────


def shopify(topic: str, name: str, fields: dict[str, Any]) -> Event:
    return Event(fields, {"x-shopify-topic": topic, "x-shopify-event-id": name})


def order(n: int, word: str, topic: str = "orders/updated", **more: Any) -> Event:
    fields = {
        "id": n,
        "name": f"#{n}",
        "order_number": n + 1,
        "financial_status": word,
        "total_price": "100.00",
        "currency": "EUR",
        "test": False,
        "updated_at": "2026-03-01T10:00:00Z",
        **more,
    }
    return shopify(topic, f"{n} {word}", fields)


def charge(n: int, id_: int, kind: str, amount: str, word: str = "success", **more: Any) -> Event:
    fields = {
        "id": n * 100 + id_,
        "order_id": n,
        "kind": kind,
        "status": word,
        "amount": amount,
        "currency": "EUR",
        "test": False,
        **more,
    }
    return shopify("order_transactions/create", f"{n} {id_} {kind} {word}", fields)


def dispute(n: int, kind: str, word: str) -> Event:
    topic = "disputes/create" if word == "needs_response" else "disputes/update"
    fields = {
        "id": n * 100 + 77,
        "order_id": n,
        "type": kind,
        "status": word,
        "amount": "100.00",
        "currency": "EUR",
    }
    return shopify(topic, f"{n} {kind} {word}", fields)


SHOPIFY = (
    Life(
        "gift card and card",
        lambda n: [
            charge(n, 1, "sale", "20.00", gateway="gift_card"),
            charge(n, 2, "sale", "80.00"),
            order(n, "partially_paid"),
            order(n, "paid", "orders/paid"),
        ],
        10_000,
    ),
    Life(
        "the transactions alone",
        lambda n: [charge(n, 1, "sale", "20.00"), charge(n, 2, "sale", "80.00")],
        10_000,
    ),
    Life(
        "the order alone",
        lambda n: [order(n, "pending", "orders/create"), order(n, "paid", "orders/paid")],
        10_000,
    ),
    Life(
        "authorised, refused, captured in parts, refunded in part",
        lambda n: [
            charge(n, 1, "sale", "100.00", "failure"),
            charge(n, 2, "authorization", "100.00"),
            charge(n, 3, "capture", "40.00", parent_id=n * 100 + 2),
            charge(n, 4, "capture", "60.00", parent_id=n * 100 + 2),
            charge(n, 5, "refund", "25.00", parent_id=n * 100 + 4),
        ],
        7_500,
        children=(DONE,),
        first=4,
    ),
    Life(
        "chargeback lost",
        lambda n: [
            order(n, "paid", "orders/paid"),
            dispute(n, "chargeback", "needs_response"),
            dispute(n, "chargeback", "under_review"),
            dispute(n, "chargeback", "lost"),
        ],
        0,
        children=(DONE,),
        first=1,
    ),
    Life(
        "chargeback won",
        lambda n: [
            order(n, "paid", "orders/paid"),
            dispute(n, "chargeback", "needs_response"),
            dispute(n, "chargeback", "won"),
        ],
        10_000,
        children=(DONE, DONE),
        first=1,
    ),
    Life(
        "inquiry",
        lambda n: [
            order(n, "paid", "orders/paid"),
            dispute(n, "inquiry", "needs_response"),
            dispute(n, "inquiry", "won"),
        ],
        10_000,
        children=(ENDED,),
        first=1,
    ),
)


@soak
@pytest.mark.parametrize("life", SHOPIFY, ids=lambda life: life.name)
async def test_a_life_ends_as_at_shopify(payments: PaymentHarness, life: Life) -> None:
    await play(payments, "shopify", life)


async def test_an_order_known_by_its_name_is_found_by_its_charges(
    payments: PaymentHarness,
) -> None:
    shop = await account(payments, "shopify", reference="name")
    await payments.create("#77")
    await shop.send(order(77, "paid", "orders/paid"))

    await shop.send(charge(77, 1, "refund", "30.00"))

    assert await payments.balance("#77") == 7_000


async def test_a_voided_order_is_cancelled_by_the_order(payments: PaymentHarness) -> None:
    shop = await account(payments, "shopify")
    await payments.create("77")
    await shop.send(charge(77, 1, "authorization", "100.00"))
    await shop.send(charge(77, 2, "void", "100.00", parent_id=7_701))
    assert await payments.status("77") is PENDING
    await shop.send(order(77, "voided"))
    assert await payments.status("77") is CANCELLED


# ── WooCommerce ──────────────────────────────────────────────────────────────────────────────────


def woo(n: int, word: str, *refunds: str, paid: bool = True, delivery: str = "same") -> Event:
    fields = {
        "id": n,
        "number": str(n + 1),
        "order_key": f"wc_order_{n}",
        "status": word,
        "currency": "EUR",
        "total": "100.00",
        "date_paid_gmt": "2026-03-01T10:00:00" if paid else None,
        "date_modified_gmt": "2026-03-01T10:00:00",
        "transaction_id": f"ch_{n}" if paid else "",
        "refunds": [{"id": n * 100 + place, "total": total} for place, total in enumerate(refunds)],
    }
    headers = {"x-wc-webhook-topic": "order.updated", "x-wc-webhook-delivery-id": delivery}
    return Event(fields, headers)


WOO = (
    Life(
        "failed, then paid, sent, refunded in parts",
        lambda n: [
            woo(n, "pending", paid=False),
            woo(n, "failed", paid=False),
            woo(n, "processing"),
            woo(n, "completed"),
            woo(n, "completed", "-10.00"),
            woo(n, "completed", "-10.00", "-25.50"),
        ],
        6_450,
        children=(DONE, DONE),
    ),
    Life(
        "refunded in full",
        lambda n: [woo(n, "processing"), woo(n, "refunded", "-100.00")],
        0,
        children=(DONE,),
    ),
)


@soak
@pytest.mark.parametrize("life", WOO, ids=lambda life: life.name)
async def test_a_life_ends_as_at_woocommerce(payments: PaymentHarness, life: Life) -> None:
    await play(payments, "woocommerce", life)


async def test_two_orders_of_one_second_are_both_paid(payments: PaymentHarness) -> None:
    shop = await account(payments, "woocommerce")
    for n in (101, 201):
        await payments.create(str(n))
        await shop.send(woo(n, "processing"))
    assert [await payments.balance(str(n)) for n in (101, 201)] == [10_000, 10_000]


# ── Paddle ───────────────────────────────────────────────────────────────────────────────────────


def paddle(n: int, word: str, data: dict[str, Any]) -> Event:
    fields = {
        "event_id": f"evt_{n} {word} {data['id']} {data.get('status')}",
        "event_type": word,
        "occurred_at": "2026-03-01T10:00:00Z",
        "data": data,
    }
    return Event(fields)


def transaction(n: int, word: str) -> Event:
    data = {
        "id": f"txn_{n}",
        "currency_code": "EUR",
        "custom_data": {"order_id": str(n), "customer": str(n + 1)},
        "details": {"totals": {"grand_total": "10000"}},
    }
    return paddle(n, f"transaction.{word}", data)


def adjustment(n: int, id_: int, action: str, status: str, total: int = 10_000) -> Event:
    data = {
        "id": f"adj_{n}_{id_}",
        "transaction_id": f"txn_{n}",
        "action": action,
        "status": status,
        "currency_code": "EUR",
        "totals": {"total": str(total)},
    }
    return paddle(n, "adjustment.updated", data)


PADDLE = (
    Life(
        "refused, then paid, refunded in parts",
        lambda n: [
            transaction(n, "created"),
            transaction(n, "payment_failed"),
            transaction(n, "paid"),
            transaction(n, "completed"),
            adjustment(n, 1, "refund", "approved", 2_000),
            adjustment(n, 2, "refund", "rejected", 500),
        ],
        8_000,
        children=(DONE, "Declined"),
    ),
    Life(
        "chargeback, reversal, second chargeback",
        lambda n: [
            transaction(n, "completed"),
            adjustment(n, 1, "chargeback", "approved"),
            adjustment(n, 1, "chargeback", "reversed"),
            adjustment(n, 2, "chargeback_reverse", "approved"),
            adjustment(n, 3, "chargeback", "approved"),
        ],
        0,
        children=(DONE, DONE, DONE),
    ),
    Life(
        "a chargeback of which only the reversed state is told",
        lambda n: [
            transaction(n, "completed"),
            adjustment(n, 1, "chargeback", "reversed"),
            adjustment(n, 2, "chargeback_reverse", "approved"),
        ],
        10_000,
        children=(DONE, DONE),
    ),
)


@soak
@pytest.mark.parametrize("life", PADDLE, ids=lambda life: life.name)
async def test_a_life_ends_as_paddles_balance_does(payments: PaymentHarness, life: Life) -> None:
    await play(payments, "paddle", life)


# ── Shoppex ──────────────────────────────────────────────────────────────────────────────────────


def shoppex(n: int, event: str, word: str, at: int = 0, **more: Any) -> Event:
    fields = {
        "event": event,
        "data": {
            "uniqid": f"{n}",
            "number": f"{n + 1}",
            "status": word,
            "gateway": "STRIPE",
            "total": 100.00,
            "currency": "EUR",
            **more,
        },
        "created_at": 1_777_624_000 + at,
    }
    return Event(fields)


SHOPPEX = (
    Life(
        "paid, refunded in parts and in full, disputed: only the payment is told with its money",
        lambda n: [
            shoppex(n, "order:created", "PENDING"),
            shoppex(n, "order:partial", "PARTIAL", 1),
            shoppex(n, "order:manual_payment_pending", "PENDING", 2),
            shoppex(n, "order:paid", "COMPLETED", 3),
            shoppex(n, "order:paid:product", "COMPLETED", 3, products=[]),
            shoppex(n, "order:partially_refunded", "COMPLETED", 4, refunded_total=10.00),
            shoppex(n, "order:partially_refunded", "COMPLETED", 5, refunded_total=25.50),
            shoppex(n, "order:refunded", "REFUNDED", 6, refunded_total=100.00),
            shoppex(n, "order:disputed", "CUSTOMER_DISPUTE_ONGOING", 7),
        ],
        10_000,
    ),
    Life(
        "expired",
        lambda n: [
            shoppex(n, "order:created", "PENDING"),
            shoppex(n, "order:cancelled", "VOIDED", 1, cancel_reason="expired"),
            shoppex(n, "order:cancelled:product", "VOIDED", 1, products=[]),
        ],
        0,
        status=ENDED,
    ),
)


@soak
@pytest.mark.parametrize("life", SHOPPEX, ids=lambda life: life.name)
async def test_a_life_ends_as_at_shoppex(payments: PaymentHarness, life: Life) -> None:
    await play(payments, "shoppex", life)


async def test_paid_and_cancelled_contradict_each_other_at_shoppex(
    payments: PaymentHarness,
) -> None:
    shop = await account(payments, "shoppex")
    for n, backwards in ((7, False), (8, True)):
        await payments.create(str(n))
        events = [shoppex(n, "order:paid", "COMPLETED"), shoppex(n, "order:cancelled", "VOIDED", 9)]
        for event in reversed(events) if backwards else events:
            await shop.send(event)
            await shop.send(event)
        assert len(await payments.conflicts(str(n))) == 1
    assert [await payments.balance(str(n)) for n in (7, 8)] == [10_000, 0]


async def test_an_unknown_word_of_shoppex_is_unmapped(payments: PaymentHarness) -> None:
    shop = await account(payments, "shoppex")
    await payments.create("9")
    for event, word in (("order:frozen", "COMPLETED"), ("order:updated", "FROZEN")):
        await shop.send(shoppex(9, event, word))
        assert (await payments.callbacks())[-1].outcome == "unmapped"
    assert await payments.status("9") is PENDING
