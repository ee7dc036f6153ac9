"""Whole lives of payments at payment services: the books end as the service's own balance does."""

from __future__ import annotations

import random
from itertools import permutations
from typing import Any

import msgspec
import pytest

from tests.money.lives import Event, Life, account, play
from tests.money.payment_harness import APPROVED, PENDING, PaymentHarness
from tests.scale import soak
from tillbell.testing.exchange import ReceiverExchange

pytestmark = pytest.mark.sqlite_first

DONE = "Approved"
FEW = 4  # orders of a life in `make test`
BELIEVED = {"confirm": "trust"}  # what is not signed as a whole waits for nobody

# ── Checkout.com ─────────────────────────────────────────────────────────────────────────────────


def cko(n: int, type_: str, own_id: str = "a", amount: int = 10_000, **data: Any) -> Event:
    """Return an event of a payment: `own_id` names the action; or of a dispute, which it names."""
    about = {"amount": amount, "currency": "EUR"}
    if type_.startswith("dispute_"):
        about |= {"id": f"dsp_{own_id}{n}", "payment_id": f"pay_{n}", "payment_reference": f"{n}"}
    else:
        about |= {"id": f"pay_{n}", "action_id": f"act_{own_id}{n}", "reference": f"{n}"}
    fields = {
        "id": f"evt_{type_}_{own_id}{n}",
        "type": type_,
        "created_on": "2026-03-01T10:00:01Z",
        "data": {**about, **data},
        "_links": {"self": {"href": "https://api.checkout.com/workflows/events/evt_1"}},
    }
    return Event(fields)


def cko_paid(n: int) -> list[Event]:
    return [cko(n, "payment_approved"), cko(n, "payment_captured", "b")]


CHECKOUT = (
    Life(
        "declined, then captured and refunded in equal parts",
        lambda n: [
            cko(n, "payment_declined", "x", id=f"pay_x{n}"),
            cko(n, "payment_approved"),
            cko(n, "payment_captured", "b", 5_000),
            cko(n, "payment_captured", "c", 5_000),
            cko(n, "payment_refunded", "d", 1_000),
            cko(n, "payment_refunded", "e", 1_000),
            cko(n, "payment_refund_declined", "f", 1_000),
        ],
        8_000,
        children=(DONE, DONE, "Failed"),
    ),
    Life(
        "a part captured, the rest voided",
        lambda n: [
            cko(n, "payment_approved"),
            cko(n, "payment_captured", "b", 6_000),
            cko(n, "payment_voided", "c", 4_000, balances={"total_captured": 6_000}),
        ],
        6_000,
        config={"partialCapture": "credit"},
    ),
    Life(
        "the rest voided before or after two parts are captured",
        lambda n: [
            cko(n, "payment_approved"),
            cko(n, "payment_capture_declined", "z", 3_000),
            cko(n, "payment_captured", "b", 3_000),
            cko(n, "payment_captured", "c", 3_000),
            cko(n, "payment_voided", "v", 4_000),
        ],
        6_000,
        children=(DONE,),
        config={"partialCapture": "credit"},
    ),
    Life(
        "a dispute that is won",
        lambda n: [
            *cko_paid(n),
            cko(n, "dispute_received", "q", 7_000),
            cko(n, "dispute_evidence_required", "q", 7_000),
            cko(n, "dispute_won", "q", 7_000),
        ],
        10_000,
        children=(DONE, DONE),
        first=4,
    ),
    Life(
        "a dispute that is cancelled before its amount is debited",
        lambda n: [
            *cko_paid(n),
            cko(n, "dispute_received", "q", 7_000),
            cko(n, "dispute_canceled", "q", 7_000),
        ],
        10_000,
        children=("Cancelled",),
    ),
    Life(
        "a dispute that is lost",
        lambda n: [
            *cko_paid(n),
            cko(n, "dispute_evidence_required", "q", 7_000),
            cko(n, "dispute_lost", "q", 7_000),
            cko(n, "dispute_arbitration_lost", "q", 7_000),
        ],
        3_000,
        children=(DONE,),
    ),
)

# ── Braintree ────────────────────────────────────────────────────────────────────────────────────


def bt(n: int, status: str, own_id: str = "a", amount: str = "100.00", **of: str) -> Event:
    """Return a notification of a transaction. `of` names another one: `refunded=a`."""
    transaction = {
        "id": f"{own_id}{n}",
        "status": status,
        "currency_iso_code": "EUR",
        "amount": amount,
        "order_id": f"{n}",
        **{f"{relation}_transaction_id": f"{other}{n}" for relation, other in of.items()},
    }
    return notification("transaction_settled", transaction=transaction)


def bt_dispute(n: int, status: str, own_id: str, kind: str = "chargeback") -> Event:
    dispute = {
        "id": f"{own_id}{n}",
        "status": status,
        "kind": kind,
        "currency_iso_code": "EUR",
        "amount_disputed": "60.00",
        "amount_won": "60.00" if status == "won" else "0.00",
        "transaction": {"id": f"a{n}", "amount": "100.00", "order_id": f"{n}"},
    }
    return notification(f"dispute_{status}", dispute=dispute)


def notification(kind: str, **subject: Any) -> Event:
    return Event({"timestamp": "2026-03-01T10:00:00Z", "kind": kind, "subject": subject})


BRAINTREE = (
    Life(
        "declined, then settled and refunded in equal parts",
        lambda n: [
            bt(n, "processor_declined", "x"),
            bt(n, "authorized"),
            bt(n, "settled", "b", "50.00", authorized="a"),
            bt(n, "settled", "c", "50.00", authorized="a"),
            bt(n, "settled", "d", "10.00", refunded="a"),
            bt(n, "settled", "e", "10.00", refunded="a"),
            bt(n, "settlement_declined", "f", "10.00", refunded="a"),
        ],
        8_000,
        children=(DONE, DONE, "Failed"),
    ),
    Life(
        "a dispute that is won, and lost in pre-arbitration",
        lambda n: [
            bt(n, "settled"),
            bt_dispute(n, "open", "p"),
            bt_dispute(n, "won", "p"),
            bt_dispute(n, "open", "q", "pre_arbitration"),
            bt_dispute(n, "lost", "q", "pre_arbitration"),
        ],
        4_000,
        children=(DONE, DONE, DONE),
        first=1,
    ),
    Life(
        "a retrieval, which moves nothing",
        lambda n: [
            bt(n, "settled"),
            bt_dispute(n, "open", "p", "retrieval"),
            bt_dispute(n, "expired", "p", "retrieval"),
        ],
        10_000,
        children=("Cancelled",),
    ),
)

# ── Authorize.Net ────────────────────────────────────────────────────────────────────────────────


def anet(n: int, name: str, own_id: str = "6", amount: float = 100, code: int = 1) -> Event:
    payload = {
        "responseCode": code,
        "authAmount": amount,
        "invoiceNumber": f"{n}",
        "entityName": "transaction",
        "id": f"{own_id}{n}",
    }
    fields = {
        "notificationId": f"{name}-{own_id}{n}-{code}",
        "eventType": f"net.authorize.payment.{name}",
        "eventDate": "2026-03-29T20:48:02.0080095Z",
        "payload": payload,
    }
    return Event(fields)


AUTHORIZENET = (
    Life(
        "declined, an error, then captured and refunded in equal parts",
        lambda n: [
            anet(n, "authcapture.created", "7", code=2),
            anet(n, "authcapture.created", "8", code=3),
            anet(n, "authorization.created"),
            anet(n, "priorAuthCapture.created"),
            anet(n, "refund.created", "9", 10),
            anet(n, "refund.created", "10", 10),
        ],
        8_000,
        children=(DONE, DONE),
    ),
    Life(
        "held, and declined after the review",
        lambda n: [anet(n, "fraud.held", code=4), anet(n, "fraud.declined", code=2)],
        0,
        status="Declined",
    ),
    Life(
        "authorised, then voided",
        lambda n: [anet(n, "authorization.created"), anet(n, "void.created")],
        0,
        status="Cancelled",
    ),
)

# ── Razorpay ─────────────────────────────────────────────────────────────────────────────────────


def razor(n: int, event: str, own_id: str = "a", **linked: dict[str, Any]) -> Event:
    """Return an event of a payment, and of what is linked to it: `refund={"id": "r1"}`."""
    payment = {
        "id": f"pay_{own_id}{n}",
        "amount": 10_000,
        "currency": "EUR",
        "order_id": f"order_{n}",
        "captured": True,
        "notes": {"order_id": f"{n}"},
    }
    about = {"payment": {"entity": payment}}
    for name, members in linked.items():
        entity = {"payment_id": payment["id"], "currency": "EUR", "amount": 1_000, **members}
        about[name] = {"entity": {**entity, "id": f"{members['id']}{n}"}}
    at = 1_772_359_190 + (event not in ("payment.failed", "refund.created"))
    return Event({"event": event, "payload": about, "created_at": at})


RAZORPAY = tuple(
    life._replace(config={"reference": "payment.notes.order_id"})
    for life in (
        Life(
            "failed twice, the second one paid after all",
            lambda n: [
                razor(n, "payment.failed", "x"),
                razor(n, "payment.failed"),
                razor(n, "payment.authorized"),
                razor(n, "payment.captured"),
                razor(n, "order.paid"),
            ],
            10_000,
        ),
        Life(
            "refunded in equal parts",
            lambda n: [
                razor(n, "payment.captured"),
                razor(n, "refund.created", refund={"id": "r1", "status": "pending"}),
                razor(n, "refund.processed", refund={"id": "r1", "status": "processed"}),
                razor(n, "refund.created", refund={"id": "r2", "status": "processed"}),
                razor(n, "refund.failed", refund={"id": "r3", "status": "failed"}),
            ],
            8_000,
            children=(DONE, DONE, "Failed"),
        ),
        Life(
            "a dispute that is lost, and one that is won",
            lambda n: [
                razor(n, "payment.captured"),
                razor(n, "payment.dispute.created", dispute={"id": "d1", "amount": 7_000}),
                razor(
                    n,
                    "payment.dispute.lost",
                    dispute={"id": "d1", "amount": 7_000, "amount_deducted": 6_000},
                ),
                razor(n, "payment.dispute.created", dispute={"id": "d2"}),
                razor(n, "payment.dispute.won", dispute={"id": "d2"}),
            ],
            4_000,
            children=(DONE, "Cancelled", "Cancelled"),  # the first opened with another amount
            first=3,
        ),
    )
)

# ── GoCardless ───────────────────────────────────────────────────────────────────────────────────


def debit(n: int, action: str, number: int = 1, **details: Any) -> Event:
    event = {
        "id": f"EV{action}{number}{n}",
        "created_at": f"2026-03-0{1 + (action in ('confirmed', 'paid_out'))}T10:00:00.000Z",
        "resource_type": "payments",
        "action": action,
        "links": {"payment": f"PM{n}"},
        "details": details,
        "resource_metadata": {"order_id": f"{n}"},
    }
    return Event({"events": [event], "meta": {"webhook_id": f"WB{action}{number}{n}"}})


GOCARDLESS = (
    Life(
        "failed, collected again, and paid out",
        lambda n: [
            debit(n, "created"),
            debit(n, "submitted"),
            debit(n, "failed", will_attempt_retry=True),
            debit(n, "resubmission_requested"),
            debit(n, "submitted", 2),
            debit(n, "confirmed"),
            debit(n, "paid_out"),
        ],
        10_000,
    ),
    Life(
        "charged back",
        lambda n: [
            debit(n, "confirmed"),
            debit(n, "charged_back"),
            debit(n, "chargeback_settled"),
        ],
        0,
        children=(DONE,),
    ),
    Life(
        "charged back, which is cancelled",
        lambda n: [
            debit(n, "confirmed"),
            debit(n, "charged_back"),
            debit(n, "chargeback_cancelled"),
        ],
        10_000,
        children=(DONE, DONE),
    ),
)

# ── Klarna ───────────────────────────────────────────────────────────────────────────────────────


def klarna(n: int, type_: str, own_id: str = "a", is_live: bool = True, **payload: Any) -> Event:
    """Return a webhook of a dispute, which `own_id` names, or of a payment request."""
    about = {"payment_dispute_id": f"dispute:{own_id}{n}", "order_id": f"order-{n}"}
    if type_.startswith("request"):
        about = {"payment_request_id": f"request:{own_id}{n}", "payment_request_reference": f"{n}"}
    metadata = {
        "event_type": f"payment.{type_}",
        "event_id": f"{type_} {own_id}{n} {sorted(payload)}",
        "live": is_live,
    }
    return Event({"metadata": metadata, "payload": {**about, **payload}})


def klarna_dispute(n: int, own_id: str, outcome: str, amount: int) -> list[Event]:
    details = {"dispute_amount": amount, "currency": "EUR"}
    return [
        klarna(n, "dispute.state-change.initiated", own_id, dispute_details=details),
        klarna(n, "dispute.state-change.pre-arbitration", own_id),
        klarna(n, "dispute.state-change.closed", own_id, dispute_outcome=outcome),
    ]


# ── BTCPay Server ────────────────────────────────────────────────────────────────────────────────


def invoice(n: int, event: str, own_id: str = "a", **marks: Any) -> Event:
    fields = {
        "deliveryId": f"D-{event}-{own_id}{n}",
        "originalDeliveryId": f"D-{event}-{own_id}{n}",
        "isRedelivery": False,
        "type": event,
        "timestamp": 1_772_359_190,
        "storeId": "S1",
        "invoiceId": f"INV{own_id}{n}",
        "metadata": {"orderId": f"{n}"},
    }
    return Event({**fields, **marks})


BTCPAY = (
    Life(
        "an invoice that expired, one that is not confirmed, one that is paid",
        lambda n: [
            invoice(n, "InvoiceExpired", "x"),
            invoice(n, "InvoiceInvalid", "y"),
            invoice(n, "InvoiceCreated"),
            invoice(n, "InvoiceReceivedPayment"),
            invoice(n, "InvoiceProcessing"),
            invoice(n, "InvoiceSettled", overPaid=True),
        ],
        10_000,
    ),
    Life(
        "paid late, and marked by the merchant",
        lambda n: [
            invoice(n, "InvoiceExpired", partiallyPaid=True),
            invoice(n, "InvoicePaidAfterExpiration"),
            invoice(n, "InvoiceSettled", manuallyMarked=True),
        ],
        10_000,
    ),
)

# ── PayU ─────────────────────────────────────────────────────────────────────────────────────────


def payu(n: int, status: str) -> Event:
    order = {
        "orderId": f"WZH{n}",
        "extOrderId": f"{n}",
        "currencyCode": "EUR",
        "totalAmount": "10000",
        "status": status,
    }
    return Event({"order": order})


def payu_refund(n: int, own_id: str, status: str) -> Event:
    refund = {"refundId": own_id, "amount": "1000", "currencyCode": "EUR", "status": status}
    return Event({"orderId": f"WZH{n}", "extOrderId": f"{n}", "refund": refund})


PAYU = (
    Life(
        "completed, and refunded in equal parts",
        lambda n: [
            payu(n, "PENDING"),
            payu(n, "WAITING_FOR_CONFIRMATION"),
            payu(n, "COMPLETED"),
            payu_refund(n, "1", "FINALIZED"),
            payu_refund(n, "2", "FINALIZED"),
            payu_refund(n, "3", "CANCELED"),
        ],
        8_000,
        children=(DONE, DONE, "Cancelled"),
    ),
    Life("cancelled", lambda n: [payu(n, "PENDING"), payu(n, "CANCELED")], 0, status="Cancelled"),
)

# ── Monri WebPay ─────────────────────────────────────────────────────────────────────────────────


def monri(n: int, kind: str, own_id: int, amount: int = 10_000, status: str = "approved") -> Event:
    transaction = {
        "id": own_id * 10_000 + n,
        "order_number": f"{n}",
        "amount": amount,
        "currency": "EUR",
        "status": status,
        "transaction_type": kind,
        "created_at": "2026-03-01T10:00:00.000Z",
    }
    return Event({"event": f"transaction:{kind}:{status}", "payload": transaction})


MONRI = (
    Life(
        "declined, then bought and refunded in equal parts",
        lambda n: [
            monri(n, "purchase", 1, status="declined"),
            monri(n, "purchase", 2),
            monri(n, "refund", 3, 1_000),
            monri(n, "refund", 4, 1_000),
            monri(n, "refund", 5, 1_000, "declined"),
        ],
        8_000,
        children=(DONE, DONE, "Declined"),
    ),
    Life(
        "captured in equal parts",
        lambda n: [
            monri(n, "authorize", 1),
            monri(n, "capture", 2, 5_000, "declined"),
            monri(n, "capture", 3, 5_000),
            monri(n, "capture", 4, 5_000),
        ],
        10_000,
    ),
    Life(
        "authorised, then voided",
        lambda n: [monri(n, "authorize", 1), monri(n, "void", 2)],
        0,
        status="Cancelled",
    ),
)

# ── WSPay and NestPay: only a part is signed ─────────────────────────────────────────────────────


def wspay(n: int, action: str, amount: str = "100,00", stan: str = "1") -> Event:
    flags = ("Authorized", "Completed", "Voided", "Refunded")
    happened = {flag: "1" if flag in ("Authorized", action) else "0" for flag in flags}
    fields = {
        "WsPayOrderId": f"w{n}",
        "ShopID": "TEA",
        "ShoppingCartID": f"{n}",
        "ApprovalCode": "961792",
        "STAN": stan,
        "Amount": amount,
        "ActionSuccess": "1",
        **happened,
    }
    return Event(fields)


def nestpay(n: int, response: str, own_id: str, code: str = "00", kind: str = "Auth") -> Event:
    fields = {
        "clientid": "13IN",
        "oid": f"{n}",
        "amount": "100.00",
        "currency": "978",
        "trantype": kind,
        "Response": response,
        "ProcReturnCode": code,
        "TransId": f"{own_id}{n}",
        "rnd": own_id,
    }
    return Event(fields)


PARTLY_SIGNED = (
    (
        "wspay",
        Life(
            "completed, and refunded twice",
            lambda n: [
                wspay(n, "Authorized"),
                wspay(n, "Completed"),
                wspay(n, "Refunded", "10,00"),
                wspay(n, "Refunded", "20,00"),
            ],
            7_000,
            children=(DONE, DONE),
            config=BELIEVED,
        ),
    ),
    (
        "nestpay",
        Life(
            "declined, an error, then approved",
            lambda n: [
                nestpay(n, "Declined", "x", "05"),
                nestpay(n, "Error", "y", "99"),
                nestpay(n, "Approved", "a"),
            ],
            10_000,
            config={**BELIEVED, "sentBy": "server"},
        ),
    ),
)

LIVES = [
    *(
        (provider, life)
        for provider, lives in (
            ("checkoutcom", CHECKOUT),
            ("braintree", BRAINTREE),
            ("authorizenet", AUTHORIZENET),
            ("razorpay", RAZORPAY),
            ("gocardless", GOCARDLESS),
            ("btcpay", BTCPAY),
            ("payu", PAYU),
            ("monri", MONRI),
        )
        for life in lives
    ),
    *PARTLY_SIGNED,
]


@soak
@pytest.mark.parametrize(("provider", "life"), LIVES, ids=lambda row: getattr(row, "name", row))
async def test_a_life_ends_as_the_services_balance_does(
    payments: PaymentHarness, provider: str, life: Life
) -> None:
    await play(payments, provider, life, FEW)


async def test_two_refunds_of_one_amount_at_wspay_ask_a_person(payments: PaymentHarness) -> None:
    shop = await account(payments, "wspay", **BELIEVED)
    await payments.create("77")
    for event in (wspay(77, "Completed"), wspay(77, "Refunded", "10,00")):
        await shop.send(event)
    await shop.send(wspay(77, "Refunded", "10,00", stan="2"))

    (conflict,) = await payments.conflicts()
    assert (await payments.balance("77"), conflict.kind) == (9_000, "mismatch")
    await payments.accept(conflict.id)
    assert await payments.balance("77") == 8_000


async def test_sandbox_money_of_checkout_moves_nothing(payments: PaymentHarness) -> None:
    shop = await account(payments, "checkoutcom")
    await payments.create("77")
    sandbox = {"self": {"href": "https://api.sandbox.checkout.com/workflows/events/evt_1"}}
    await shop.send(Event({**cko(77, "payment_captured", "b").fields, "_links": sandbox}))

    assert await payments.status("77") is PENDING
    assert (await payments.callbacks())[-1].outcome == "noted"


async def test_a_dispute_that_was_never_debited_asks_nobody(payments: PaymentHarness) -> None:
    shop = await account(payments, "checkoutcom")
    await payments.create("77")
    for event in (*cko_paid(77), cko(77, "dispute_received", "q"), cko(77, "dispute_won", "q")):
        await shop.send(event)

    await payments.pass_time(72 * 3_600 + 1)
    await payments.gateway.unmatched_callbacks.retry_due()
    await payments.idle()

    assert (await payments.balance("77"), await payments.conflicts()) == (10_000, [])
    assert (await payments.callbacks())[-1].outcome == "noted"


async def test_a_debit_that_fails_after_it_was_confirmed_asks_a_person(
    payments: PaymentHarness,
) -> None:
    shop = await account(payments, "gocardless")
    await payments.create("77")
    for event in (debit(77, "confirmed"), debit(77, "failed", will_attempt_retry=False)):
        await shop.send(event)

    (conflict,) = await payments.conflicts("77")
    assert (await payments.status("77"), conflict.kind) == (APPROVED, "contradiction")


async def test_a_refund_of_gocardless_is_asked_for_and_may_fail(payments: PaymentHarness) -> None:
    lookups = LookUps(payments, "/payments/PM77")
    shop = await account(payments, "gocardless", lookupUrl=lookups.url)
    await payments.create("77", psp_transaction_id="PM77")
    await shop.send(debit(77, "confirmed"))
    lookups.answer = {
        "payments": {
            "status": "paid_out",
            "amount": 10_000,
            "amount_refunded": 3_000,
            "currency": "EUR",
        }
    }
    about = {"resource_type": "refunds", "links": {"refund": "RF1"}, "details": {}}
    paid = {**about, "action": "paid", "resource_metadata": {"order_id": "77"}}
    for action in ("paid", "failed"):
        event = {**paid, "action": action, "id": f"EV{action}", "created_at": "2026-03-09T10:00Z"}
        await shop.send(Event({"events": [event], "meta": {"webhook_id": f"WB{action}"}}))
        await payments.gateway.status_checker.check_due()
        assert await payments.balance("77") == 7_000
        lookups.answer["payments"]["amount_refunded"] = 0

    (conflict,) = await payments.conflicts()
    await payments.accept(conflict.id)
    assert (await payments.read("77")).refunded == 0


# ── Mercado Pago and Przelewy24: a notification only makes us ask ────────────────────────────────


class LookUps:
    """What a service answers when it is asked about a payment."""

    def __init__(self, payments: PaymentHarness, path: str) -> None:
        self.answer: dict[str, Any] = {}
        self.url = payments.harness.receiver.url(path)
        payments.harness.receiver.on(path, self._tell)

    async def _tell(self, exchange: ReceiverExchange) -> None:
        await exchange.answer(200, msgspec.json.encode(self.answer))


async def test_mercado_pago_is_asked_what_was_paid_and_what_went_back(
    payments: PaymentHarness,
) -> None:
    lookups = LookUps(payments, "/v1/payments/555")
    shop = await account(payments, "mercadopago", lookupUrl=lookups.url)
    await payments.create("77", psp_transaction_id="555")
    books = []
    for status, refunded, is_live in (
        ("in_process", 0, True),
        ("rejected", 0, True),
        ("approved", 0, False),
        ("approved", 0, True),
        ("approved", 10, True),
        ("in_mediation", 10, True),
        ("refunded", 100, True),
    ):
        lookups.answer = {
            "status": status,
            "transaction_amount": 100,
            "transaction_amount_refunded": refunded,
            "currency_id": "EUR",
            "live_mode": is_live,
        }
        about = {"action": "payment.updated", "type": "payment", "data": {"id": "555"}}
        await shop.send(Event({**about, "live_mode": True}))
        await payments.gateway.status_checker.check_due()
        books.append(await payments.balance("77"))

    assert books == [0, 0, 0, 10_000, 9_000, 9_000, 0]
    assert await payments.conflicts() == []


async def test_klarna_is_asked_and_its_disputes_are_booked_in_every_order(
    payments: PaymentHarness,
) -> None:
    for n in range(77, 77 + FEW):
        lookups = LookUps(payments, f"/orders/order-{n}")
        shop = await account(payments, "klarna", lookupUrl=lookups.url)
        await payments.create(f"{n}", psp_transaction_id=f"order-{n}")
        await shop.send(klarna(n, "request.state-change.declined", "x"))
        for status, captured, refunded in (("AUTHORIZED", 0, 0), ("CAPTURED", 10_000, 1_000)):
            lookups.answer = {
                "status": status,
                "captured_amount": captured,
                "refunded_amount": refunded,
                "purchase_currency": "EUR",
            }
            pushed = {"order_id": f"order-{n}", "event_type": "FRAUD_RISK_ACCEPTED"}
            await shop.send(Event(pushed))
            await payments.gateway.status_checker.check_due()
        events = klarna_dispute(n, "q", "WON", 5_000) + klarna_dispute(n, "r", "LOST", 4_000)
        sandbox = klarna(n, "dispute.state-change.initiated", "s", is_live=False)
        chance = random.Random(n)
        for event in chance.sample((*events, *events, sandbox), 13):
            await shop.send(event)

        books = await payments.balance(f"{n}"), await payments.conflicts()
        assert books == (5_000, []), n


async def test_przelewy24_counts_what_the_shop_has_verified(payments: PaymentHarness) -> None:
    lookups = LookUps(payments, "/transaction/by/sessionId/77")
    shop = await account(payments, "przelewy24", lookupUrl=lookups.url)
    await payments.create("77")
    about = {"sessionId": "77", "orderId": 5, "merchantId": 1, "currency": "EUR"}
    paid = {**about, "posId": 1, "amount": 10_000, "originAmount": 10_000}
    paid |= {"methodId": 154, "statement": "p24-A"}
    refunds = [
        Event({**about, "refundsUuid": uuid, "amount": 1_000, "status": status})
        for uuid, status in (("u1", 0), ("u2", 0), ("u3", 1))
    ]
    await shop.send(refunds[0])  # before anybody has verified the payment
    for status in ("1", "2"):
        lookups.answer = {"data": {"status": status, "amount": 10_000, "currency": "EUR"}}
        await shop.send(Event(paid))
        await payments.gateway.status_checker.check_due()
    for event in (*refunds, *refunds):
        await shop.send(event)

    children = await payments.children("77")
    assert sorted(str(child.status) for child in children) == [DONE, DONE, "Declined"]
    assert (await payments.balance("77"), await payments.conflicts()) == (8_000, [])


async def test_the_debit_of_a_dispute_that_was_closed_is_booked(payments: PaymentHarness) -> None:
    shop = await account(payments, "razorpay", reference="payment.notes.order_id")
    words = ("captured", "dispute.created", "dispute.lost", "dispute.closed")
    for n, order in enumerate(permutations(words), start=77):
        await payments.create(f"{n}")
        for word in order:
            about = {"id": "d", "amount": 7_000, "amount_deducted": 7_000}
            is_paid = word == "captured"
            event = (
                razor(n, "payment.captured")
                if is_paid
                else razor(n, f"payment.{word}", dispute=about)
            )
            await shop.send(event)

        assert await payments.balance(f"{n}") == 3_000, order
    assert await payments.conflicts() == []
