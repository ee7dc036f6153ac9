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


def test_a_charge_that_names_no_refund_moves_nothing() -> None:
    assert isinstance(told("charge.refunded", id="ch_1", amount_refunded=100), NoteNotice)


@pytest.mark.parametrize(
    ("ended", "status"),
    [("lost", TransactionStatus.APPROVED), ("warning_closed", TransactionStatus.CANCELLED)],
)
def test_a_closed_dispute_took_the_money_or_never_was_one(
    ended: str, status: TransactionStatus
) -> None:
    notice = told("charge.dispute.closed", id="dp_1", status=ended, payment_intent="pi_1")

    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.CHARGEBACK, status)


def test_a_won_dispute_is_told_by_the_money_that_comes_back() -> None:
    assert isinstance(told("charge.dispute.closed", id="dp_1", status="won"), NoteNotice)


def test_other_events_are_passed_on() -> None:
    notice = told("customer.subscription.updated", id="sub_1")

    assert isinstance(notice, ForwardNotice)
    assert notice.event_type == "stripe.customer.subscription.updated"


@pytest.mark.parametrize("type_", ["", "x", "a b.c", "A.b", "a." + "b" * 200])
def test_a_type_that_is_none_of_theirs_is_unreadable(type_: str) -> None:
    with pytest.raises(Unreadable):
        told(type_, id="x")
