"""Razorpay: what the SDK signs, attempts of an order, refunds of what was never captured."""

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.clock import SECOND
from tillbell.model.callbacks import ForwardNotice, Notice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable
from tillbell.providers.razorpay import PROVIDER

SETUP = SourceSetup(("rzp webhook secret",))
BODY = '{"entity":"event","event":"payment.captured","note":"₹ 499"}'.encode()
# `verify_webhook_signature` of razorpay-python 2.0.1 accepts it for BODY and this secret.
RIGHT = "717946d5df3efc64c0a88cc90c2782f3194d6141e98d1d5895b862e1aed23efe"
PAYMENT: dict[str, Any] = {"id": "pay_1", "amount": 49900, "currency": "INR", "order_id": "order_1"}
DISPUTE: dict[str, Any] = {
    "id": "disp_1",
    "payment_id": "pay_1",
    "amount": 49900,
    "currency": "INR",
    "amount_deducted": 0,
}


def posted(body: bytes, *signatures: str) -> Incoming:
    headers = tuple(("x-razorpay-signature", text) for text in signatures)
    return Incoming("POST", "/", headers, body, 0)


def read(event: str, config: dict[str, Any] | None = None, **entities: dict[str, Any]) -> Notice:
    payload = {name: {"entity": entity} for name, entity in entities.items()}
    body = {"event": event, "payload": payload, "created_at": 1772359190}
    parsed = PROVIDER.parse(posted(json.dumps(body).encode()), SourceSetup(config=config or {}))
    assert parsed.dedupe_key is None, "only an unsigned header names the event"
    (notice,) = parsed.notices
    return notice


def test_what_the_sdk_accepts_is_accepted() -> None:
    assert PROVIDER.verify(posted(BODY, RIGHT), SETUP).trust is Trust.SIGNED
    assert PROVIDER.verify(posted(BODY, RIGHT.upper()), SETUP).trust is Trust.SIGNED


@each(
    ("body", "signatures"),
    [
        (BODY, ()),
        (BODY, ("",)),
        (BODY, (RIGHT, RIGHT)),
        (BODY, ("sha256=" + RIGHT,)),
        (BODY, (RIGHT[:-1] + "0",)),
        (BODY + b" ", (RIGHT,)),
        (BODY.replace(b"captured", b"CAPTURED"), (RIGHT,)),
    ],
)
def test_anything_else_is_refused(body: bytes, signatures: tuple[str, ...]) -> None:
    assert PROVIDER.verify(posted(body, *signatures), SETUP).trust is None


@pytest.mark.parametrize(
    ("event", "status", "substate", "ends_attempt"),
    [
        ("payment.pending", TransactionStatus.PENDING, None, False),
        ("payment.authorized", TransactionStatus.PENDING, "authorized", False),
        ("payment.captured", TransactionStatus.APPROVED, None, False),
        ("payment.failed", TransactionStatus.FAILED, None, True),
        ("order.paid", TransactionStatus.APPROVED, None, False),
        ("payment.reviewed", None, None, False),
    ],
)
def test_a_payment_is_an_attempt_of_its_order(
    event: str, status: TransactionStatus | None, substate: str | None, *, ends_attempt: bool
) -> None:
    notice = read(event, payment=PAYMENT)

    assert isinstance(notice, TransactionNotice)
    assert (notice.status, notice.substate, notice.ends_attempt) == (status, substate, ends_attempt)
    assert notice.references.psp == ("pay_1", "order_1")
    assert notice.psp_transaction_id == "pay_1"
    assert notice.amount == ProviderAmount("49900", "INR", is_minor=True)
    assert notice.occurred_at == 1772359190 * SECOND


def test_an_authorization_is_approved_if_it_is_final() -> None:
    notice = read("payment.authorized", {"authorizationIsFinal": True}, payment=PAYMENT)
    assert isinstance(notice, TransactionNotice)
    assert notice.status is TransactionStatus.APPROVED


@pytest.mark.parametrize(
    ("config", "ours"),
    [
        ({}, ("receipt",)),
        ({"reference": "payment.notes.order"}, ("note",)),
        ({"reference": "payment.description"}, ()),
    ],
)
def test_one_field_names_the_order(config: dict[str, Any], ours: tuple[str, ...]) -> None:
    payment = {**PAYMENT, "notes": {"order": "note", "other": "guess"}}
    notice = read("order.paid", config, payment=payment, order={"receipt": "receipt"})
    assert isinstance(notice, TransactionNotice)
    assert notice.references.ours == ours


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("pending", TransactionStatus.PENDING),
        ("processed", TransactionStatus.APPROVED),
        ("failed", TransactionStatus.FAILED),
        ("odd", None),
    ],
)
def test_a_refund_says_itself_how_it_stands(word: str, status: TransactionStatus | None) -> None:
    refund = {"id": "rfnd_1", "payment_id": "pay_1", "status": word, "amount": 100}
    notice = read("refund.created", refund=refund)
    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.REFUND, status)
    assert (notice.references.psp, notice.psp_transaction_id) == (("pay_1",), "rfnd_1")


@pytest.mark.parametrize(
    ("word", "status", "ends_attempt"),
    [
        ("pending", TransactionStatus.PENDING, False),
        ("processed", TransactionStatus.CANCELLED, True),
        ("failed", TransactionStatus.PENDING, False),
        ("odd", None, False),
    ],
)
def test_a_refund_of_what_was_never_captured_releases_the_attempt(
    word: str, status: TransactionStatus | None, *, ends_attempt: bool
) -> None:
    refund = {"id": "rfnd_1", "payment_id": "pay_1", "status": word, "amount": 49900}
    notice = read("refund.processed", refund=refund, payment={**PAYMENT, "captured": False})
    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.PAYMENT, status)
    assert (notice.psp_transaction_id, notice.ends_attempt) == ("pay_1", ends_attempt)


@pytest.mark.parametrize(
    ("word", "status", "is_closing"),
    [
        ("created", TransactionStatus.PENDING, False),
        ("under_review", TransactionStatus.PENDING, False),
        ("action_required", TransactionStatus.PENDING, False),
        ("lost", TransactionStatus.APPROVED, False),
        ("won", TransactionStatus.CANCELLED, True),
        ("closed", TransactionStatus.CANCELLED, True),
        ("odd", None, False),
    ],
)
def test_a_dispute_is_booked_when_it_is_lost(
    word: str, status: TransactionStatus | None, *, is_closing: bool
) -> None:
    notice = read(f"payment.dispute.{word}", dispute=DISPUTE, payment=PAYMENT)
    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.CHARGEBACK, status)
    assert (notice.psp_transaction_id, notice.is_closing) == ("disp_1", is_closing)
    assert notice.amount == ProviderAmount("49900", "INR", is_minor=True)


def test_of_a_lost_dispute_the_deducted_amount_counts() -> None:
    notice = read("payment.dispute.lost", dispute={**DISPUTE, "amount_deducted": 45000})
    assert isinstance(notice, TransactionNotice)
    assert notice.amount == ProviderAmount("45000", "INR", is_minor=True)


@pytest.mark.parametrize("event", ["invoice.paid", "payment.downtime.started"])
def test_other_events_are_passed_on(event: str) -> None:
    notice = read(event, invoice={"id": "inv_1"})
    assert isinstance(notice, ForwardNotice)
    assert notice.event_type == f"razorpay.{event}"


def test_an_event_of_no_name_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read("Not an event!")


def test_of_a_card_only_its_ends_are_kept() -> None:
    card = {"iin": "50850099", "last4": "0153", "network": "RuPay", "name": "A Payer"}
    notice = read("payment.captured", payment={**PAYMENT, "method": "card", "card": card})
    assert isinstance(notice, TransactionNotice)
    assert notice.details == {
        "cardBin": "508500",
        "cardLastFour": "0153",
        "cardBrand": "RuPay",
        "paymentMethod": "card",
    }
