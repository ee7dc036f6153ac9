"""Whole lives at one stretch: captured and refunded in parts, disputed, won, disputed again.

Each event has the provider's time at which it happened, whatever the order in which it comes.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.money.lives import Event, Life, play
from tests.money.payment_harness import PaymentHarness
from tests.money.test_lives_acquirers import (
    BELIEVED,
    CREDITED,
    NET,
    RESERVED,
    TAKEN,
    connect,
    direct,
    dmn,
    genesis,
    journal,
)
from tests.money.test_lives_gateways import (
    anet,
    bt,
    cko,
    debit,
    invoice,
    monri,
    nestpay,
    payu,
    payu_refund,
    razor,
    wspay,
)
from tests.scale import soak

pytestmark = pytest.mark.sqlite_first

DONE = "Approved"
FEW = 3  # orders of a life in `make test`


def at(minute: int) -> str:
    return f"2026-03-01T{minute // 60:02}:{minute % 60:02}:00Z"


# ── PayPal ───────────────────────────────────────────────────────────────────────────────────────


def pp(n: int, minute: int, word: str, own_id: str, cents: int, **more: Any) -> Event:
    """Return an event about an authorization, capture, refund or reversal."""
    value = {"currency_code": "EUR", "value": f"{cents // 100}.{cents % 100:02}"}
    resource = {"id": f"{own_id}{n}", "amount": value, **more}
    name = f"PAYMENT.{word}"
    fields = {"id": f"WH-{name}-{own_id}{n}", "event_type": name, "resource": resource}
    return Event({**fields, "create_time": at(minute)})


def pp_capture(n: int, minute: int, status: str, own_id: str, cents: int) -> Event:
    related = {"related_ids": {"authorization_id": f"AUTH{n}", "order_id": f"ORDER{n}"}}
    more = {"custom_id": f"{n}", "supplementary_data": related}
    return pp(n, minute, f"CAPTURE.{status}", own_id, cents, **more)


def pp_back(n: int, minute: int, what: str, cents: int, of: str) -> Event:
    """Return an event of a refund or reversal of a capture: `REFUNDED R1`."""
    status, _, own_id = what.partition(" ")
    up = {"rel": "up", "href": f"https://api.paypal.com/v2/payments/captures/{of}{n}"}
    return pp(n, minute, f"CAPTURE.{status}", own_id, cents, links=[up])


def pp_dispute(n: int, minute: int, own_id: str, cents: int, code: str = "") -> Event:
    value = {"currency_code": "EUR", "value": f"{cents // 100}.{cents % 100:02}"}
    outcome = {"outcome_code": code, "amount_refunded": value}
    name = f"CUSTOMER.DISPUTE.{'RESOLVED' if code else 'CREATED'}"
    resource = {
        "dispute_id": f"PP-{own_id}{n}",
        "dispute_amount": value,
        "disputed_transactions": [{"seller_transaction_id": f"C1{n}"}],
        **({"dispute_outcome": outcome} if code else {}),
    }
    fields = {"id": f"WH-{name}-{own_id}{n}", "event_type": name, "resource": resource}
    return Event({**fields, "create_time": at(minute)})


def pp_authorized(n: int) -> Event:
    return pp(n, 0, "AUTHORIZATION.CREATED", "AUTH", 10_000, custom_id=f"{n}")


PAYPAL = (
    Life(
        "captured in parts, one of them denied in between; equal refunds",
        lambda n: [
            pp_authorized(n),
            pp_capture(n, 1, "COMPLETED", "C1", 4_000),
            pp_capture(n, 2, "DENIED", "C2", 6_000),
            pp_capture(n, 3, "PENDING", "C3", 6_000),
            pp_capture(n, 4, "COMPLETED", "C3", 6_000),
            pp_back(n, 5, "REFUNDED R1", 1_000, "C1"),
            pp_back(n, 6, "REFUNDED R2", 1_000, "C3"),
        ],
        8_000,
        children=(DONE, DONE),
    ),
    Life(
        "two disputes of one amount, each lost and reversed",
        lambda n: [
            pp_capture(n, 1, "COMPLETED", "C1", 10_000),
            pp_dispute(n, 2, "d1", 3_000),
            pp_dispute(n, 3, "d2", 3_000),
            pp_back(n, 4, "REVERSED V1", 3_000, "C1"),
            pp_dispute(n, 5, "d1", 3_000, "RESOLVED_BUYER_FAVOUR"),
            pp_back(n, 6, "REVERSED V2", 3_000, "C1"),
            pp_dispute(n, 7, "d2", 3_000, "RESOLVED_BUYER_FAVOUR"),
        ],
        4_000,
        children=None,
    ),
    Life(
        "a part captured, the rest voided",
        lambda n: [
            pp_authorized(n),
            pp_capture(n, 1, "COMPLETED", "C1", 4_000),
            pp(n, 2, "AUTHORIZATION.VOIDED", "AUTH", 10_000, custom_id=f"{n}"),
            pp_back(n, 5, "REFUNDED R1", 1_000, "C1"),
        ],
        3_000,
        children=(DONE,),
        config={"partialCapture": "credit"},
    ),
)

# ── Square ───────────────────────────────────────────────────────────────────────────────────────


def sq(n: int, minute: int, what: str, state: str, cents: int, **more: Any) -> Event:
    kind, _, own_id = what.partition(" ")
    money = {"amount": cents, "currency": "EUR"}
    written = {"id": f"{own_id}{n}", "amount_money": money, "updated_at": at(minute), **more}
    if kind == "payment":
        written["reference_id"] = f"{n}"
    written["state" if kind == "dispute" else "status"] = state
    fields = {
        "type": f"{kind}.updated",
        "event_id": f"{own_id}{n}{state}{minute}",
        "created_at": at(minute),
        "data": {"object": {kind: written}},
    }
    return Event(fields)


def sq_disputed(n: int, minute: int, own_id: str, state: str, cents: int) -> Event:
    paid = {"payment_id": f"p{n}"}
    return sq(n, minute, f"dispute {own_id}", state, cents, disputed_payment=paid)


SQUARE = (
    Life(
        "refunded in equal parts, one dispute won, one lost",
        lambda n: [
            sq(n, 0, "payment x", "FAILED", 10_000),
            sq(n, 1, "payment p", "APPROVED", 10_000),
            sq(n, 2, "payment p", "COMPLETED", 10_000),
            sq(n, 3, "refund r", "PENDING", 1_000, payment_id=f"p{n}"),
            sq(n, 4, "refund r", "COMPLETED", 1_000, payment_id=f"p{n}"),
            sq(n, 5, "refund s", "COMPLETED", 1_000, payment_id=f"p{n}"),
            sq(n, 6, "payment p", "COMPLETED", 10_000),
            sq_disputed(n, 7, "d", "EVIDENCE_REQUIRED", 3_000),
            sq_disputed(n, 8, "d", "WON", 3_000),
            sq_disputed(n, 9, "e", "EVIDENCE_REQUIRED", 5_000),
            sq_disputed(n, 10, "e", "PROCESSING", 5_000),
            sq_disputed(n, 11, "e", "LOST", 5_000),
        ],
        3_000,
        children=(DONE, DONE, DONE, "Cancelled"),
    ),
    Life(
        "one dispute lost after its states, one accepted and lost: a debit each",
        lambda n: [
            sq(n, 2, "payment p", "COMPLETED", 10_000),
            sq_disputed(n, 7, "d", "EVIDENCE_REQUIRED", 3_000),
            sq_disputed(n, 8, "d", "PROCESSING", 3_000),
            sq_disputed(n, 9, "d", "LOST", 3_000),
            sq_disputed(n, 10, "e", "ACCEPTED", 3_000),
            sq_disputed(n, 11, "e", "LOST", 3_000),
        ],
        4_000,
        children=(DONE, DONE),
    ),
)

# ── Mollie's signed events ───────────────────────────────────────────────────────────────────────


def mo(n: int, minute: int, type_: str, own_id: str, value: str, **entity: Any) -> Event:
    kind, _, status = type_.partition(".")
    members = {"resource": kind, "id": f"{own_id}{n}", "mode": "live", **entity}
    if kind != "chargeback":
        members["status"] = status
    if kind != "payment":
        members["paymentId"] = f"tr_{n}"
    money = {"currency": "EUR", "value": value}
    whole = {**members, "amount": money, "metadata": {"order_id": f"{n}"}}
    fields = {
        "resource": "event",
        "id": f"event_{own_id}{n}{type_}",
        "type": type_,
        "entityId": f"{own_id}{n}",
        "createdAt": at(minute),
        "_embedded": {"entity": whole},
    }
    return Event(fields)


MOLLIE = (
    Life(
        "captured and refunded in parts, charged back, won, charged back again",
        lambda n: [
            mo(n, 0, "payment.authorized", "tr_", "100.00"),
            mo(n, 1, "capture.succeeded", "cpt_a", "40.00"),
            mo(
                n,
                2,
                "payment.paid",
                "tr_",
                "100.00",
                amountCaptured={"currency": "EUR", "value": "40.00"},
            ),
            mo(n, 3, "capture.failed", "cpt_x", "60.00"),
            mo(n, 4, "capture.succeeded", "cpt_b", "60.00"),
            mo(n, 5, "refund.refunded", "re_a", "10.00"),
            mo(n, 6, "refund.refunded", "re_b", "10.00"),
            mo(n, 7, "refund.failed", "re_c", "10.00"),
            mo(n, 8, "chargeback.received", "chb_a", "50.00"),
            mo(n, 9, "chargeback.reversed", "chb_a", "50.00", reversedAt=at(9)),
            mo(n, 10, "chargeback.received", "chb_b", "50.00"),
        ],
        3_000,
        children=(DONE, DONE, DONE, DONE, DONE, "Failed"),
        config={"reference": "metadata.order_id"},
    ),
)

# ── Worldpay's WPG ───────────────────────────────────────────────────────────────────────────────

WPG = (
    Life(
        "captured and refunded in parts, charged back, won, charged back again",
        lambda n: [
            journal(n, "AUTHORISED", (RESERVED, 10_000)),
            journal(n, "CAPTURED", (TAKEN, 4_000), references=(("capture", "p1"),)),
            journal(n, "CAPTURED", (TAKEN, 6_000), references=(("capture", "p2"),), day=2),
            journal(n, "SETTLED", (NET, 10_000), (TAKEN, 10_000), day=3),
            journal(n, "REFUNDED", (NET, 1_000), (TAKEN, 1_000), day=4),
            journal(n, "REFUNDED", (NET, 1_000), (TAKEN, 1_000), day=5),
            journal(n, "CHARGED_BACK", (NET, 5_000), day=9),
            journal(n, "CHARGEBACK_REVERSED", (NET, 5_000), day=12),
            journal(n, "CHARGED_BACK", (NET, 5_000), day=20),
        ],
        3_000,
        children=(DONE, DONE, DONE, DONE, DONE),
        config=BELIEVED,
    ),
)

# ── others ───────────────────────────────────────────────────────────────────────────────────────

CHECKOUT = (
    Life(
        "captured and refunded in parts, a dispute won, another lost",
        lambda n: [
            cko(n, "payment_approved"),
            cko(n, "payment_captured", "b", 4_000),
            cko(n, "payment_captured", "c", 6_000),
            cko(n, "payment_refunded", "d", 1_000),
            cko(n, "payment_refunded", "e", 1_000),
            cko(n, "dispute_received", "q", 5_000),
            cko(n, "dispute_evidence_required", "q", 5_000),
            cko(n, "dispute_won", "q", 5_000),
            cko(n, "dispute_evidence_required", "r", 3_000),
            cko(n, "dispute_lost", "r", 3_000),
        ],
        5_000,
        children=None,
    ),
)
BRAINTREE = (
    Life(
        "settled and refunded in parts, a chargeback won, pre-arbitration lost",
        lambda n: [
            bt(n, "authorized"),
            bt(n, "settled", "b", "40.00", authorized="a"),
            bt(n, "settled", "c", "60.00", authorized="a"),
            bt(n, "failed", "z", "60.00", authorized="a"),
            bt(n, "settled", "d", "10.00", refunded="b"),
            bt(n, "settled", "e", "10.00", refunded="c"),
        ],
        8_000,
        children=(DONE, DONE),
    ),
)
AUTHORIZENET = (
    Life(
        "declined, authorised, captured, refunded in parts",
        lambda n: [
            anet(n, "authcapture.created", "5", 100, 2),
            anet(n, "authorization.created", "6", 100),
            anet(n, "priorAuthCapture.created", "6", 100, 3),
            anet(n, "void.created", "6", 100, 3),
            anet(n, "priorAuthCapture.created", "6", 100),
            anet(n, "refund.created", "7", 10),
            anet(n, "refund.created", "8", 10),
            anet(n, "refund.created", "9", 10, 2),
        ],
        8_000,
        children=None,
    ),
)
GENESIS = (
    Life(
        "a capture that is declined between two others",
        lambda n: [
            genesis(n, "approved", "authorize3d"),
            genesis(n, "approved", "capture", "c1", 5_000),
            genesis(n, "declined", "capture", "c2", 5_000),
            genesis(n, "approved", "capture", "c3", 5_000),
        ],
        10_000,
        config=BELIEVED,
    ),
)
RAZORPAY = (
    Life(
        "failed, captured, refunded in parts, a dispute lost, another won",
        lambda n: [
            razor(n, "payment.failed", "x"),
            razor(n, "payment.authorized"),
            razor(n, "payment.captured"),
            razor(
                n,
                "refund.processed",
                refund={
                    "id": "r1",
                    "amount": 1_000,
                    "currency": "EUR",
                    "status": "processed",
                    "payment_id": f"pay_a{n}",
                },
            ),
            razor(
                n,
                "refund.processed",
                refund={
                    "id": "r2",
                    "amount": 1_000,
                    "currency": "EUR",
                    "status": "processed",
                    "payment_id": f"pay_a{n}",
                },
            ),
            razor(
                n,
                "payment.dispute.created",
                dispute={"id": "d1", "amount": 5_000, "amount_deducted": 0, "currency": "EUR"},
            ),
            razor(
                n,
                "payment.dispute.lost",
                dispute={"id": "d1", "amount": 5_000, "amount_deducted": 5_000, "currency": "EUR"},
            ),
            razor(
                n,
                "payment.dispute.created",
                dispute={"id": "d2", "amount": 3_000, "amount_deducted": 0, "currency": "EUR"},
            ),
            razor(
                n,
                "payment.dispute.won",
                dispute={"id": "d2", "amount": 3_000, "amount_deducted": 0, "currency": "EUR"},
            ),
        ],
        3_000,
        children=None,
        config={"reference": "payment.notes.order_id"},
    ),
)

# ── Worldline, Nuvei, GoCardless, BTCPay Server, PayU ────────────────────────────────────────────

WORLDLINE = (
    Life(
        "Direct: captured in parts, refunded, and the rest charged back",
        lambda n: [
            direct(n, "rejected", payment=1, code=2),
            direct(n, "pending_capture", code=5),
            direct(n, "captured", 1, 4_000),
            direct(n, "captured", 2, 6_000),
            direct(n, "refunded", 3, 1_000, code=8),
            direct(n, "chargebacked", 4, 9_000),
        ],
        0,
        children=(DONE, DONE),
    ),
    Life(
        "Connect: paid, and reversed",
        lambda n: [
            connect(n, "payment.pending_approval"),
            connect(n, "payment.paid", amountPaid=10_000),
            connect(n, "payment.reversed", changed="20260301100000", amountReversed=10_000),
        ],
        0,
        children=(DONE,),
    ),
)
NUVEI = (
    Life(
        "a part settled, the rest voided, a part refunded",
        lambda n: [
            dmn(n, "Auth APPROVED", "a"),
            dmn(n, "Settle APPROVED", "b", "60.00", "a"),
            dmn(n, "Void APPROVED", "v", "40.00", "a"),
            dmn(n, "Credit APPROVED", "c", "10.00", "a"),
        ],
        5_000,
        children=(DONE,),
        config=CREDITED,
    ),
    Life(
        "refunds that name the settlement",
        lambda n: [
            dmn(n, "Sale DECLINED", "x"),
            dmn(n, "Auth APPROVED", "a"),
            dmn(n, "Settle APPROVED", "b", of="a"),
            dmn(n, "Credit APPROVED", "c", "10.00", "b"),
            dmn(n, "Credit APPROVED", "d", "10.00", "b"),
        ],
        8_000,
        children=(DONE, DONE),
        config=BELIEVED,
    ),
)
GOCARDLESS = (
    Life(
        "charged back, which is cancelled, and charged back again",
        lambda n: [
            debit(n, "confirmed"),
            debit(n, "charged_back"),
            debit(n, "chargeback_cancelled"),
            debit(n, "charged_back", 2),
        ],
        0,
        children=(DONE, DONE, DONE),
        first=1,
    ),
)
BTCPAY = (
    Life(
        "a part paid into one invoice, all into another",
        lambda n: [
            invoice(n, "InvoiceExpired", "x", partiallyPaid=True),
            invoice(n, "InvoiceProcessing", "b"),
            invoice(n, "InvoiceSettled", "b"),
        ],
        10_000,
    ),
)
PAYU = (
    Life(
        "a refund that is told again in other bytes, one that is cancelled",
        lambda n: [
            payu(n, "COMPLETED"),
            payu_refund(n, "1", "FINALIZED"),
            Event({**payu_refund(n, "1", "FINALIZED").fields, "resent": True}),
            payu_refund(n, "2", "PENDING"),
            payu_refund(n, "2", "CANCELED"),
            payu_refund(n, "3", "FINALIZED"),
        ],
        8_000,
        children=(DONE, DONE, "Cancelled"),
    ),
)

# ── Monri, WSPay, NestPay ────────────────────────────────────────────────────────────────────────

MONRI = (
    Life(
        "a part captured, the rest voided, two equal refunds",
        lambda n: [
            monri(n, "purchase", 9, status="declined"),
            monri(n, "authorize", 1),
            monri(n, "capture", 2, 6_000),
            monri(n, "void", 3, 4_000),
            monri(n, "refund", 4, 1_000),
            monri(n, "refund", 5, 1_000),
        ],
        4_000,
        children=(DONE, DONE),
        config={"partialCapture": "credit"},
    ),
)
WSPAY = (
    Life(
        "a part completed, and a part of it refunded",
        lambda n: [
            wspay(n, "Authorized"),
            wspay(n, "Completed", "60,00"),
            wspay(n, "Refunded", "10,00"),
        ],
        5_000,
        children=(DONE,),
        config=CREDITED,
    ),
    Life(
        "authorised, then voided",
        lambda n: [wspay(n, "Authorized"), wspay(n, "Voided")],
        0,
        status="Cancelled",
        config=BELIEVED,
    ),
)
RESERVED_AND_CAPTURED = Life(
    "reserved, and captured in parts",
    lambda n: [
        genesis(n, "approved", "authorize3d"),
        genesis(n, "approved", "capture", "c1", 5_000),
        genesis(n, "approved", "capture", "c2", 5_000),
    ],
    10_000,
    config=BELIEVED,
)
NESTPAY = (
    Life(
        "refused, reserved, a capture refused, captured",
        lambda n: [
            nestpay(n, "Declined", "x", "05"),
            nestpay(n, "Approved", "a", kind="PreAuth"),
            nestpay(n, "Declined", "c", "51", kind="PostAuth"),
            nestpay(n, "Approved", "b", kind="PostAuth"),
        ],
        10_000,
        config={**BELIEVED, "sentBy": "server"},
    ),
)

LIVES = [
    *(("paypal", life) for life in PAYPAL),
    *(("square", life) for life in SQUARE),
    *(("mollie", life) for life in MOLLIE),
    *(("worldpay", life) for life in WPG),
    *(("checkoutcom", life) for life in CHECKOUT),
    *(("braintree", life) for life in BRAINTREE),
    *(("authorizenet", life) for life in AUTHORIZENET),
    *(("emerchantpay", life) for life in GENESIS),
    *(("razorpay", life) for life in RAZORPAY),
    *(("worldline", life) for life in WORLDLINE),
    *(("nuvei", life) for life in NUVEI),
    *(("gocardless", life) for life in GOCARDLESS),
    *(("btcpay", life) for life in BTCPAY),
    *(("payu", life) for life in PAYU),
    *(("monri", life) for life in MONRI),
    *(("wspay", life) for life in WSPAY),
    *(("nestpay", life) for life in NESTPAY),
    # What an authorization that is final has counted is not counted again when it is captured.
    *(
        (provider, life._replace(config={**life.config, "authorizationIsFinal": True}))
        for provider, life in (
            ("worldline", WORLDLINE[0]),
            ("nestpay", NESTPAY[0]),
            ("emerchantpay", RESERVED_AND_CAPTURED),
        )
    ),
]


@soak
@pytest.mark.parametrize(("provider", "life"), LIVES, ids=lambda row: getattr(row, "name", row))
async def test_a_whole_life_ends_as_the_providers_balance_does(
    payments: PaymentHarness, provider: str, life: Life
) -> None:
    await play(payments, provider, life, FEW)
