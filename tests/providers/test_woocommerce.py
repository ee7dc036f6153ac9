"""WooCommerce: the vector, the unsigned ping, when an order is paid, and its refunds."""

from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import (
    ForwardNotice,
    NoteNotice,
    OrderNotice,
    ProviderAmount,
    RecordNotice,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import (
    Incoming,
    IntakeStatus,
    ParsedNotices,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kit.cases import samples
from tillbell.providers.woocommerce import PROVIDER

SETUP = SourceSetup(("woo-demo-secret",))
RIGHT = "tcFs6dVs+cFWNirKV961FjriR+yA1sOL3ocsY99O4YI="
HEADER = "x-wc-webhook-signature"
PAID_AT = "2026-03-01T10:00:05"


def sent(topic: str, fields: dict[str, Any], config: dict[str, Any] | None = None) -> ParsedNotices:
    case = SimulationCase(fields, headers={"x-wc-webhook-topic": topic}, id="d1")
    incoming = PROVIDER.sign(case, SETUP, "https://hooks.example/x")
    return PROVIDER.parse(incoming, SETUP._replace(config=config or {}))


def order(**changed: Any) -> dict[str, Any]:
    return {**samples("woocommerce")["order-created"].case.fields, **changed}


def told(
    fields: dict[str, Any], config: dict[str, Any] | None = None
) -> tuple[OrderNotice | None, list[TransactionNotice]]:
    found = sent("order.updated", fields, config).notices
    orders = [one for one in found if isinstance(one, OrderNotice)]
    moved = [one for one in found if isinstance(one, TransactionNotice)]
    return (orders[0] if orders else None), moved


@pytest.mark.parametrize(
    ("written", "trust"), [(RIGHT, Trust.SIGNED), (RIGHT[:-1], None), (RIGHT.lower(), None)]
)
def test_the_signature_is_base64_of_hmac_sha256(written: str, trust: Trust | None) -> None:
    incoming = Incoming("POST", "/", ((HEADER, written),), b'{"id":1001}', 0)
    assert PROVIDER.verify(incoming, SETUP).trust is trust
    assert PROVIDER.verify(incoming, SourceSetup(("other", *SETUP.secrets))).trust is trust


@each(
    ("body", "headers", "trust"),
    [
        (b"webhook_id=12", (), Trust.NONE),
        (b"webhook_id=12", ((HEADER, ""),), None),
        (b"webhook_id=12", ((HEADER, RIGHT),), None),
        (b"webhook_id=12&status=completed", (), None),
        (b"webhook_id=12\n", (), None),
        (b"webhook_id=", (), None),
        (b"webhook_id=" + b"1" * 21, (), None),
        (b'{"id":1001}', (), None),
    ],
)
def test_only_the_ping_may_be_unsigned(
    body: bytes, headers: tuple[tuple[str, str], ...], trust: Trust | None
) -> None:
    incoming = Incoming("POST", "/", headers, body, 0)
    assert PROVIDER.verify(incoming, SETUP).trust is trust


def test_the_ping_says_nothing_whatever_its_headers_say() -> None:
    headers = (("x-wc-webhook-topic", "order.updated"),)
    incoming = Incoming("POST", "/", headers, b"webhook_id=12", 0)
    parsed = PROVIDER.parse(incoming, SETUP)
    (notice,) = parsed.notices
    assert isinstance(notice, NoteNotice)
    assert parsed.dedupe_key == ""
    assert PROVIDER.answer(incoming, SETUP, IntakeStatus.STORED).status == 200


@each(
    ("word", "paid_at", "state", "status"),
    [
        ("pending", None, "pending", TransactionStatus.PENDING),
        ("processing", None, "pending", TransactionStatus.PENDING),
        ("processing", PAID_AT, "paid", TransactionStatus.APPROVED),
        ("completed", PAID_AT, "paid", TransactionStatus.APPROVED),
        ("completed", None, "pending", TransactionStatus.PENDING),
        ("refunded", PAID_AT, "refunded", TransactionStatus.APPROVED),
        ("on-hold", None, "pending", TransactionStatus.ON_HOLD),
        ("failed", None, "pending", TransactionStatus.PENDING),
        ("cancelled", None, "cancelled", TransactionStatus.CANCELLED),
    ],
)
def test_an_order_is_paid_when_it_has_a_time_of_payment(
    word: str, paid_at: str | None, state: str, status: TransactionStatus
) -> None:
    found, (payment,) = told(order(status=word, date_paid_gmt=paid_at))
    assert found is not None
    assert (found.data["status"], found.data["paymentStatus"]) == (state, state)
    assert (payment.status, payment.is_optional) == (status, True)
    assert payment.references.ours == ("727",)
    assert payment.psp_transaction_id == "727"
    assert payment.amount == ProviderAmount("49.90", "EUR")


@pytest.mark.parametrize("word", ["cancelled", "failed", "on-hold", "pending"])
def test_what_a_person_makes_of_a_paid_order_moves_no_money(word: str) -> None:
    found, moved = told(order(status=word, date_paid_gmt=PAID_AT))
    assert found is not None
    assert found.data["paymentStatus"] == "paid"
    assert moved == []


def test_a_status_of_a_plug_in_means_what_its_owner_says() -> None:
    found, (unknown,) = told(order(status="wc-awaiting"))
    assert (found, unknown.status) == (None, None)
    config = {"statuses": {"wc-awaiting": "On Hold", "failed": "Failed"}}
    assert told(order(status="wc-awaiting"), config)[1][0].status is TransactionStatus.ON_HOLD
    assert told(order(status="failed"), config)[1][0].status is TransactionStatus.FAILED


@pytest.mark.parametrize(("field", "ours"), [("id", "727"), ("order_key", "wc_order_58d2d042d1d")])
def test_one_field_is_the_merchants_reference(field: str, ours: str) -> None:
    _, (payment,) = told(order(), {"reference": field})
    assert payment.references.ours == (ours,)


def test_each_refund_of_a_paid_order_is_one_of_ours() -> None:
    refunds = [{"id": 7, "reason": "damaged", "total": "-10.00"}, {"id": 8, "total": "-1"}]
    fields = order(status="completed", date_paid_gmt=PAID_AT, refunds=refunds)
    found, (payment, first, second) = told(fields)
    assert found is not None
    assert found.data["status"] == "partially_refunded"
    assert (payment.kind, payment.status) == (TransactionKind.PAYMENT, TransactionStatus.APPROVED)
    assert (first.kind, first.status, first.reason) == (
        TransactionKind.REFUND,
        TransactionStatus.APPROVED,
        "damaged",
    )
    assert (first.psp_transaction_id, first.amount) == ("7", ProviderAmount("10.00", "EUR"))
    assert (second.psp_transaction_id, second.amount) == ("8", ProviderAmount("1.00", "EUR"))
    assert len(told(order(refunds=refunds))[1]) == 1


def test_the_order_has_the_catalogues_shape() -> None:
    found, _ = told(order(status="processing", date_paid_gmt=PAID_AT))
    assert found is not None
    assert found.event_type == "order.updated"
    assert found.data["paidAt"] == "2026-03-01T10:00:05.000000Z"
    assert found.data["customer"]["name"] == "Ada Lovelace"
    assert "id" not in found.data["customer"]
    assert found.data["items"][0]["totalPrice"] == "49.90"
    assert found.data["metadata"] == {"campaign": "spring"}


@pytest.mark.parametrize("topic", ["order.deleted", "product.updated", "action.woocommerce_x"])
def test_other_topics_are_passed_on(topic: str) -> None:
    parsed = sent(topic, {"id": 727})
    *records, notice = parsed.notices
    assert [type(record) for record in records] == [RecordNotice] * (topic == "product.updated")
    assert isinstance(notice, ForwardNotice)
    assert (notice.event_type, notice.payload) == (f"woocommerce.{topic}", b'{"id":727}')
    assert parsed.dedupe_key is None  # the header is that of all deliveries of one second


@pytest.mark.parametrize("topic", ["", "order", "../etc", "order." + "x" * 100])
def test_a_topic_that_is_none_is_unreadable(topic: str) -> None:
    with pytest.raises(Unreadable):
        sent(topic, order())
