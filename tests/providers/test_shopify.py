"""Shopify: the vector, once per topic, and money told by the signed body, never by the topic."""

from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import (
    ForwardNotice,
    NoteNotice,
    Notice,
    OrderNotice,
    RecordNotice,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import (
    Incoming,
    ParsedNotices,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.cases import samples
from tillbell.providers.shopify import PROVIDER

SETUP = SourceSetup(("shopify-demo-secret",))
RIGHT = "3vk/fD4PpYFTQuuj30LFAKjPRA/ymQ+WxYc5n7gYl2A="


def sent(
    topic: str, fields: dict[str, Any], setup: SourceSetup = SETUP, **headers: str
) -> ParsedNotices:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    case = SimulationCase(fields, headers={"x-shopify-topic": topic, **named}, id="evt_1")
    return PROVIDER.parse(PROVIDER.sign(case, SETUP, "https://hooks.example/x"), setup)


def order(**changed: Any) -> dict[str, Any]:
    return {**samples("shopify")["order-created"].case.fields, **changed}


def charge(**changed: Any) -> dict[str, Any]:
    return {**samples("shopify")["sale"].case.fields, **changed}


def payment(notices: tuple[Notice, ...]) -> TransactionNotice:
    (found,) = [one for one in notices if isinstance(one, TransactionNotice)]
    return found


@pytest.mark.parametrize(
    ("written", "trust"), [(RIGHT, Trust.SIGNED), (RIGHT[:-1], None), (RIGHT.lower(), None)]
)
def test_the_signature_is_base64_of_hmac_sha256(written: str, trust: Trust | None) -> None:
    headers = (("x-shopify-hmac-sha256", written),)
    incoming = Incoming("POST", "/", headers, b'{"id":1001}', 0)
    assert PROVIDER.verify(incoming, SETUP).trust is trust
    assert PROVIDER.verify(incoming, SourceSetup(("other", *SETUP.secrets))).trust is trust


@each(
    ("word", "cancelled_at", "status", "substate"),
    [
        ("pending", None, TransactionStatus.PENDING, None),
        ("pending", "2026-03-01T12:00:00Z", TransactionStatus.CANCELLED, None),
        ("authorized", None, TransactionStatus.PENDING, "authorized"),
        ("partially_paid", None, TransactionStatus.PENDING, None),
        ("paid", None, TransactionStatus.APPROVED, None),
        ("paid", "2026-03-01T12:00:00Z", TransactionStatus.APPROVED, None),
        ("voided", None, TransactionStatus.CANCELLED, None),
        ("odd", None, None, None),
    ],
)
def test_an_order_tells_its_payment(
    word: str, cancelled_at: str | None, status: TransactionStatus | None, substate: str | None
) -> None:
    told = order(financial_status=word, cancelled_at=cancelled_at)
    notice = payment(sent("orders/updated", told).notices)
    assert (notice.status, notice.substate, notice.is_optional) == (status, substate, True)
    assert notice.references.ours == notice.references.psp == ("5600001001",)
    assert notice.amount is not None
    assert (notice.amount.value, notice.amount.currency) == ("49.90", "EUR")


def test_the_order_has_the_catalogues_shape() -> None:
    found, _ = sent("orders/paid", order(financial_status="paid")).notices
    assert isinstance(found, OrderNotice)
    assert (found.event_type, found.moves_money) == ("order.paid", True)
    assert (found.data["id"], found.data["number"]) == ("5600001001", "#1001")
    assert (found.data["status"], found.data["amount"]) == ("paid", "49.90")
    assert found.data["customer"]["name"] == "Ada Lovelace"
    assert found.data["items"][0]["unitPrice"] == "24.95"
    assert found.data["metadata"] == {"campaign": "spring"}


@pytest.mark.parametrize(
    ("topic", "word"), [("orders/paid", "pending"), ("orders/cancelled", "paid")]
)
def test_a_topic_that_the_body_contradicts_means_nothing(topic: str, word: str) -> None:
    (notice,) = sent(topic, order(financial_status=word)).notices
    assert isinstance(notice, NoteNotice)


@pytest.mark.parametrize("word", ["refunded", "partially_refunded"])
def test_a_refunded_order_says_nothing_new_of_its_payment(word: str) -> None:
    (notice,) = sent("orders/updated", order(financial_status=word)).notices
    assert isinstance(notice, OrderNotice)
    assert notice.data["paymentStatus"] == word


@each(
    ("kind", "word", "status", "capture"),
    [
        ("sale", "success", TransactionStatus.APPROVED, "9900001"),
        ("authorization", "success", TransactionStatus.PENDING, None),
        ("capture", "success", TransactionStatus.APPROVED, "9900001"),
        ("void", "success", TransactionStatus.CANCELLED, None),
        ("sale", "failure", TransactionStatus.PENDING, None),
        ("sale", "odd", None, None),
    ],
)
def test_each_sale_and_capture_is_a_capture_of_the_order(
    kind: str, word: str, status: TransactionStatus | None, capture: str | None
) -> None:
    parent = 7 if kind in ("capture", "void") else None
    told = charge(kind=kind, status=word, parent_id=parent)
    notice = payment(sent("order_transactions/create", told).notices)
    assert (notice.kind, notice.status) == (TransactionKind.PAYMENT, status)
    assert notice.psp_transaction_id == "5600001001"
    assert (notice.capture_id, notice.is_part) == (capture, capture is not None)
    assert notice.ends_attempt is (kind == "void")
    assert (notice.details["cardBin"], notice.details["cardLastFour"]) == ("424242", "4242")


def test_a_failed_capture_changes_nothing() -> None:
    (notice,) = sent("order_transactions/create", charge(kind="capture", status="error")).notices
    assert isinstance(notice, NoteNotice)


def test_a_refund_is_the_same_by_both_topics() -> None:
    refund = charge(id=9, kind="refund", amount="10.00", parent_id=9900001)
    by_charge = payment(sent("order_transactions/create", refund).notices)
    whole = {"id": 1, "order_id": 5600001001, "transactions": [refund]}
    assert payment(sent("refunds/create", whole).notices) == by_charge
    assert (by_charge.kind, by_charge.status) == (
        TransactionKind.REFUND,
        TransactionStatus.APPROVED,
    )
    assert by_charge.references.psp == ("5600001001", "9900001")
    assert by_charge.psp_transaction_id == "9"
    (nothing,) = sent("refunds/create", {"id": 1, "transactions": []}).notices
    assert isinstance(nothing, NoteNotice)


@pytest.mark.parametrize(
    "topic", ["customers/data_request", "customers/redact", "shop/redact", "products/update"]
)
def test_other_topics_are_passed_on(topic: str) -> None:
    *records, notice = sent(topic, {"id": 1}).notices
    assert [type(record) for record in records] == [RecordNotice] * (topic == "products/update")
    assert isinstance(notice, ForwardNotice)
    assert (notice.event_type, notice.payload) == (
        f"shopify.{topic.replace('/', '.')}",
        b'{"id":1}',
    )


def test_an_event_counts_once_for_each_topic() -> None:
    keys = [sent(topic, order()).dedupe_key for topic in ("orders/create", "orders/updated")]
    assert keys == ["orders/create|evt_1", "orders/updated|evt_1"]
    again = sent("orders/create", order(), x_shopify_webhook_id="another")
    assert again.dedupe_key == keys[0]


@each(("mark", "is_test"), [(True, True), (False, False), (None, None)])
def test_test_orders_and_charges_are_marked(mark: bool | None, is_test: bool | None) -> None:
    found, by_order = sent("orders/paid", order(financial_status="paid", test=mark)).notices
    by_charge = payment(sent("order_transactions/create", charge(test=mark)).notices)
    assert isinstance(found, OrderNotice)
    assert isinstance(by_order, TransactionNotice)
    assert (found.is_test, by_order.is_test, by_charge.is_test) == (is_test,) * 3


@each(
    ("kind", "word", "expected"),
    [
        ("chargeback", "needs_response", [("chargeback", "Approved", False)]),
        ("chargeback", "lost", [("chargeback", "Approved", False)]),
        ("chargeback", "accepted", [("chargeback", "Approved", False)]),
        (
            "chargeback",
            "won",
            [("chargeback", "Approved", False), ("chargeback_reversal", "Approved", False)],
        ),
        ("chargeback", "prevented", [("chargeback", "Cancelled", True)]),
        ("chargeback", "odd", [("chargeback", "None", False)]),
        ("inquiry", "under_review", [("chargeback", "Pending", False)]),
        ("inquiry", "charge_refunded", [("chargeback", "Cancelled", True)]),
        ("inquiry", "won", [("chargeback", "Cancelled", True)]),
        ("inquiry", "lost", [("chargeback", "None", False)]),
    ],
)
def test_a_chargeback_takes_the_money_at_once_and_an_inquiry_none(
    kind: str, word: str, expected: list[tuple[str, str, bool]]
) -> None:
    fields = {"id": 5, "order_id": 7, "type": kind, "status": word, "amount": "11.50"}
    notices = sent("disputes/update", {**fields, "currency": "CAD"}).notices
    moved = [notice for notice in notices if isinstance(notice, TransactionNotice)]
    assert [(n.kind.value, str(n.status), n.is_closing) for n in moved] == expected
    assert {n.psp_transaction_id for n in moved} == {"5"}
    assert {n.references.ours for n in moved} == {("7",)}


def test_events_have_headers_without_x_and_are_passed_on() -> None:
    body = b'{"topic":"Order","action":"update","fields_changed":[],"handle":"h"}'
    written = BodyMac("shopify-hmac-sha256", "sha256", "base64").signature(SETUP.secrets[0], body)
    headers = (("shopify-hmac-sha256", written), ("shopify-webhook-id", "w1"))
    incoming = Incoming("POST", "/", headers, body, 0)

    assert PROVIDER.verify(incoming, SETUP).trust is Trust.SIGNED
    assert PROVIDER.verify(incoming._replace(body=body + b" "), SETUP).trust is None
    parsed = PROVIDER.parse(incoming, SETUP)
    (notice,) = parsed.notices
    assert isinstance(notice, ForwardNotice)
    assert (notice.event_type, parsed.dedupe_key) == ("shopify.order.update", "w1")


@pytest.mark.parametrize("topic", ["", "orders", "../etc", "orders/paid/" + "x/" * 9])
def test_a_topic_that_is_none_is_unreadable(topic: str) -> None:
    with pytest.raises(Unreadable):
        sent(topic, order())
