"""Stripe: the vector, several signatures, what an unpaid session and a bare refund mean."""

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import (
    ForwardNotice,
    NoteNotice,
    Notice,
    ProviderAmount,
    References,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable
from tillbell.providers.stripe import PROVIDER

AT_S = 1_772_359_200
SETUP = SourceSetup(("whsec_demo",))
BODY = b'{"id":"evt_1","object":"event","type":"payment_intent.succeeded"}'
RIGHT = "514899751c0839d7b0437580b014f8fdf85ba52bca7c2ea211f657d2ba6475bb"


def posted(header: str, body: bytes = BODY) -> Incoming:
    return Incoming("POST", "/", (("stripe-signature", header),), body, AT_S * 1_000_000)


def told(type_: str, config: dict[str, Any] | None = None, **found: Any) -> Notice:
    body = json.dumps({"id": "evt_1", "type": type_, "data": {"object": found}}).encode()
    (notice,) = PROVIDER.parse(posted("", body), SETUP._replace(config=config or {})).notices
    return notice


@pytest.mark.parametrize(
    "header",
    [
        f"t={AT_S},v1={RIGHT}",
        f"t={AT_S},v1={'0' * 64},v1={RIGHT}",
        f"t={AT_S},v0={'1' * 64},v1={RIGHT}",
        f"v1={RIGHT},t={AT_S}",
        f"t={AT_S}, v1={RIGHT.upper()}",
    ],
)
def test_the_vector_matches_among_other_signatures(header: str) -> None:
    assert PROVIDER.verify(posted(header), SETUP).trust is Trust.SIGNED


@each(
    "header",
    [
        f"t={AT_S},v0={RIGHT}",
        f"t={AT_S}",
        f"v1={RIGHT}",
        f"t={AT_S},t={AT_S},v1={RIGHT}",
        f"t=+{AT_S},v1={RIGHT}",
        f"t={AT_S}000,v1={RIGHT}",
        f"t={AT_S}," + ",".join(["v1=" + "0" * 64] * 50) + f",v1={RIGHT}",
    ],
)
def test_what_is_only_like_it_is_refused(header: str) -> None:
    assert PROVIDER.verify(posted(header), SETUP).trust is None


@pytest.mark.parametrize(
    ("paid", "status"),
    [("paid", TransactionStatus.APPROVED), ("unpaid", TransactionStatus.PENDING)],
)
def test_a_complete_session_is_only_approved_when_it_is_paid(
    paid: str, status: TransactionStatus
) -> None:
    notice = told("checkout.session.completed", id="cs_1", payment_status=paid)

    assert isinstance(notice, TransactionNotice)
    assert notice.status is status


def test_a_session_without_anything_to_pay_is_no_payment() -> None:
    type_ = "checkout.session.completed"
    assert isinstance(told(type_, id="cs_1", payment_status="no_payment_required"), NoteNotice)


def test_an_intent_is_approved_with_what_was_received() -> None:
    notice = told(
        "payment_intent.succeeded", id="pi_1", amount=500, amount_received=300, currency="isk"
    )

    assert isinstance(notice, TransactionNotice)
    assert notice.amount == ProviderAmount("300", "ISK", is_minor=True, exponent=2)


@pytest.mark.parametrize(("is_final", "status"), [(True, "Approved"), (False, "Pending")])
def test_an_authorization_is_final_only_by_setting(is_final: bool, status: str) -> None:
    type_ = "payment_intent.amount_capturable_updated"
    notice = told(type_, {"authorizationIsFinal": is_final}, id="pi_1", amount=500)

    assert isinstance(notice, TransactionNotice)
    assert str(notice.status) == status


def test_refunds_in_a_charge_are_told_one_by_one() -> None:
    listed = [{"id": f"re_{n}", "amount": n, "status": "succeeded"} for n in (1, 2)]
    found = {"id": "ch_1", "payment_intent": "pi_1", "refunds": {"data": listed}}
    body = json.dumps({"type": "charge.refunded", "data": {"object": found}}).encode()
    notices = PROVIDER.parse(posted("", body), SETUP).notices

    kept = [n for n in notices if isinstance(n, TransactionNotice)]
    assert [(n.kind, n.psp_transaction_id) for n in kept] == [
        (TransactionKind.REFUND, "re_1"),
        (TransactionKind.REFUND, "re_2"),
    ]
    assert kept[0].references == References((), ("pi_1", "ch_1"))


def test_a_charge_that_names_no_refund_tells_their_sum_if_all_was_captured() -> None:
    for captured, value in ((500, "100"), (400, None)):
        amounts: dict[str, Any] = {
            "amount": 500,
            "amount_captured": captured,
            "amount_refunded": 100,
        }
        notice = told("charge.refunded", id="ch_1", currency="eur", **amounts)
        assert isinstance(notice, TransactionNotice)
        assert notice.is_total
        assert (notice.amount and notice.amount.value) == value


DEBIT = {"id": "txn_1", "amount": -500, "currency": "eur"}
CREDIT = {"id": "txn_2", "amount": 300, "currency": "eur"}


def dispute(type_: str, status: str, *moved: dict[str, Any]) -> dict[str, Any]:
    found = {"id": "dp_1", "amount": 500, "currency": "eur", "payment_intent": "pi_1"}
    return {"type_": f"charge.dispute.{type_}", "status": status, **found} | {
        "balance_transactions": [*moved]
    }


@each(
    ("case", "status", "is_closing"),
    [
        (dispute("created", "needs_response"), "Pending", False),
        (dispute("created", "warning_needs_response"), "Pending", False),
        (dispute("updated", "under_review", DEBIT), "Pending", False),
        (dispute("closed", "won"), "Cancelled", True),
        (dispute("closed", "prevented"), "Cancelled", True),
        (dispute("closed", "warning_closed"), "Cancelled", True),
        (dispute("updated", "won"), "Cancelled", True),
    ],
)
def test_a_dispute_is_open_or_ends_without_money(
    case: dict[str, Any], status: str, is_closing: bool
) -> None:
    notice = told(**case)
    assert isinstance(notice, TransactionNotice)
    assert (str(notice.status), notice.is_closing) == (status, is_closing)
    assert notice.kind is TransactionKind.CHARGEBACK


@each("type_", ["closed", "updated"])
def test_a_lost_dispute_alone_moves_nothing(type_: str) -> None:
    assert isinstance(told(**dispute(type_, "lost")), NoteNotice)


@each(
    ("case", "amount", "movement"),
    [
        (dispute("funds_withdrawn", "needs_response"), "500", None),
        (dispute("funds_withdrawn", "needs_response", DEBIT), "500", "txn_1"),
        (dispute("funds_withdrawn", "x", DEBIT, CREDIT, {**DEBIT, "id": "txn_3"}), "500", "txn_3"),
        (dispute("funds_withdrawn", "x", {**DEBIT, "amount": -400}), "400", "txn_1"),
        (dispute("funds_withdrawn", "x", {**DEBIT, "currency": "usd"}), "500", "txn_1"),
        (dispute("closed", "lost", DEBIT), "500", "txn_1"),
        (dispute("funds_reinstated", "won"), "500", None),
        (dispute("funds_reinstated", "lost", DEBIT, CREDIT), "300", "txn_2"),
    ],
)
def test_a_dispute_moves_what_its_last_balance_transaction_says(
    case: dict[str, Any], amount: str, movement: str | None
) -> None:
    notice = told(**case)
    assert isinstance(notice, TransactionNotice)
    assert notice.status is TransactionStatus.APPROVED
    assert notice.amount == ProviderAmount(amount, "EUR", is_minor=True)
    assert notice.movement_id == movement


@each("moved", [(), (DEBIT,), (DEBIT, {**CREDIT, "currency": "usd"})])
def test_how_much_of_a_lost_dispute_came_back_is_not_guessed(moved: tuple[Any, ...]) -> None:
    notice = told(**dispute("funds_reinstated", "lost", *moved))
    assert isinstance(notice, TransactionNotice)
    assert notice.status is None


@each(
    ("config", "resource", "ours"),
    [
        ({}, {"client_reference_id": "A", "metadata": {"order_id": "B"}}, ("A",)),
        ({}, {"metadata": {"order": "D", "orderId": "C", "order_id": "B"}}, ("B",)),
        ({}, {"metadata": {"order": "D", "customer_id": "E"}}, ("D",)),
        ({}, {"metadata": {"customer_id": "E", "my_order": "F"}}, ()),
        ({"reference": "metadata.my_order"}, {"metadata": {"my_order": "F", "order": "D"}}, ("F",)),
        ({"reference": "metadata.my_order"}, {"metadata": {"order": "D"}}, ()),
    ],
)
def test_one_field_is_the_merchants_reference(
    config: dict[str, Any], resource: dict[str, Any], ours: tuple[str, ...]
) -> None:
    notice = told("payment_intent.succeeded", config, id="pi_1", **resource)
    assert isinstance(notice, TransactionNotice)
    assert notice.references.ours == ours


@each("type_", ["refund.created", "charge.dispute.funds_withdrawn"])
def test_metadata_of_what_is_linked_names_nothing(type_: str) -> None:
    notice = told(type_, id="x_1", status="succeeded", charge="ch_1", metadata={"order_id": "2002"})
    assert isinstance(notice, TransactionNotice)
    assert notice.references == References((), ("ch_1",))


@each(
    ("type_", "resource", "psp"),
    [
        ("checkout.session.completed", {"id": "cs_1", "payment_intent": "pi_1"}, "pi_1"),
        ("checkout.session.expired", {"id": "cs_1", "payment_intent": None}, "cs_1"),
        ("payment_intent.succeeded", {"id": "pi_1", "latest_charge": "ch_1"}, "pi_1"),
        ("charge.succeeded", {"id": "ch_1", "payment_intent": "pi_1"}, "pi_1"),
        ("charge.captured", {"id": "ch_1"}, "ch_1"),
    ],
)
def test_the_intent_names_the_attempt(type_: str, resource: dict[str, Any], psp: str) -> None:
    notice = told(type_, **resource)
    assert isinstance(notice, TransactionNotice)
    assert (notice.psp_transaction_id, notice.references.psp[0]) == (psp, psp)


@each(
    ("type_", "resource", "ends_attempt"),
    [
        ("checkout.session.expired", {}, True),
        ("checkout.session.async_payment_failed", {}, True),
        ("charge.expired", {}, True),
        ("payment_intent.canceled", {"cancellation_reason": "automatic"}, True),
        ("payment_intent.canceled", {"cancellation_reason": "requested_by_customer"}, False),
        ("payment_intent.canceled", {"cancellation_reason": None}, False),
        ("payment_intent.payment_failed", {}, False),
    ],
)
def test_what_ends_only_an_attempt(
    type_: str, resource: dict[str, Any], ends_attempt: bool
) -> None:
    notice = told(type_, id="x_1", **resource)
    assert isinstance(notice, TransactionNotice)
    assert notice.ends_attempt is ends_attempt


def test_an_uncaptured_charge_is_authorized_only() -> None:
    charge = {"id": "ch_1", "amount": 500, "amount_captured": 0, "captured": False}
    for is_final, status in ((True, "Approved"), (False, "Pending")):
        notice = told("charge.succeeded", {"authorizationIsFinal": is_final}, **charge)
        assert isinstance(notice, TransactionNotice)
        assert (str(notice.status), notice.amount) == (
            status,
            ProviderAmount("500", None, is_minor=True),
        )


def thin(type_: str, related: str, **more: Any) -> Notice:
    fields = {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": type_,
        "livemode": True,
        "created": "2026-03-01T10:00:00.000Z",
        "related_object": {"id": "x_1", "type": related, "url": "/v1/x/x_1"},
    }
    (notice,) = PROVIDER.parse(posted("", json.dumps({**fields, **more}).encode()), SETUP).notices
    return notice


@each("related", ["payment_intent", "checkout.session"])
def test_a_thin_event_of_a_payment_is_a_hint(related: str) -> None:
    notice = thin("v1.payment_intent.succeeded", related)
    assert isinstance(notice, TransactionNotice)
    assert (notice.status, notice.is_hint, notice.is_test) == (None, True, False)
    assert notice.references == References((), ("x_1",))
    assert notice.occurred_at == AT_S * 1_000_000


def test_other_thin_events_are_passed_on_or_noted() -> None:
    passed_on = thin("v2.core.event_destination.ping", "v2.core.event_destination")
    assert isinstance(passed_on, ForwardNotice)
    assert isinstance(thin("v2.core.account[requirements].updated", "v2.core.account"), NoteNotice)


@each(("livemode", "is_test"), [(True, False), (False, True), (None, None)])
def test_live_and_test_events_are_told_apart(livemode: bool | None, is_test: bool | None) -> None:
    fields = {"type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1"}}}
    body = json.dumps({**fields, "livemode": livemode}).encode()
    (notice,) = PROVIDER.parse(posted("", body), SETUP).notices
    assert isinstance(notice, TransactionNotice)
    assert notice.is_test is is_test


def test_other_events_are_passed_on() -> None:
    notice = told("customer.subscription.updated", id="sub_1")

    assert isinstance(notice, ForwardNotice)
    assert notice.event_type == "stripe.customer.subscription.updated"


@each("type_", ["x", "a b.c", "A.b", "a." + "b" * 200])
def test_a_type_that_cannot_name_a_message_is_noted(type_: str) -> None:
    assert isinstance(told(type_, id="x"), NoteNotice)


def test_an_event_without_type_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        told("", id="x")
