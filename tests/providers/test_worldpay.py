"""Worldpay WPG: XML that is read safely, and an exact answer."""

from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import (
    Incoming,
    IntakeStatus,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.worldpay import PROVIDER

DOCTYPE = (
    '<!DOCTYPE paymentService PUBLIC "-//WorldPay//DTD WorldPay PaymentService v1//EN" '
    '"http://dtd.worldpay.com/paymentService_v1.dtd">'
)
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
EVENT = (
    '<orderStatusEvent orderCode="ORD-1001"><payment><paymentMethod>VISA_CREDIT-SSL'
    '</paymentMethod><amount value="4990" currencyCode="EUR" exponent="2" '
    'debitCreditIndicator="credit"/><lastEvent>AUTHORISED</lastEvent></payment>'
    '<journal journalType="AUTHORISED"><bookingDate><date dayOfMonth="01" month="03" '
    'year="2026"/></bookingDate></journal></orderStatusEvent>'
)
LISTED = SourceSetup(config={"networks": ["192.0.2.0/24"]})


def document(events: str = EVENT, doctype: str = DOCTYPE) -> str:
    return (
        f'{HEAD}\n{doctype}\n<paymentService version="1.4" merchantCode="DEMOSHOP"><notify>'
        f"{events}</notify></paymentService>"
    )


def posted(body: str) -> Incoming:
    headers = (("content-type", "text/xml"),)
    return Incoming("POST", "/api/webhooks/worldpay", headers, body.encode(), 0, "192.0.2.1")


def heard(body: str | None = None, **config: Any) -> TransactionNotice:
    (notice,) = PROVIDER.parse(posted(body or document()), SourceSetup(config=config)).notices
    assert isinstance(notice, TransactionNotice)
    return notice


def sent(**fields: str) -> TransactionNotice:
    case = SimulationCase({"orderCode": "ORD-1001", "value": "4990", **fields})
    incoming = PROVIDER.sign(case, SourceSetup(), "https://hooks.example/api/webhooks/worldpay")
    (notice,) = PROVIDER.parse(incoming, SourceSetup()).notices
    assert isinstance(notice, TransactionNotice)
    return notice


@pytest.mark.parametrize("doctype", [DOCTYPE, ""])
def test_the_line_that_names_a_dtd_is_tolerated(doctype: str) -> None:
    notice = heard(document(doctype=doctype))
    assert (notice.status, notice.substate) == (TransactionStatus.PENDING, "authorized")
    assert notice.references.ours == ("ORD-1001",)
    assert notice.amount == ProviderAmount("4990", "EUR", is_minor=True, exponent=2)


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE paymentService [<!ENTITY a "ORD-2002">]>',
        '<!DOCTYPE paymentService [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE paymentService [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x"> %a;]>',
        '<!DOCTYPE paymentService [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;&a;">]>',
    ],
)
def test_entities_are_refused_even_when_they_are_not_used(doctype: str) -> None:
    with pytest.raises(Unreadable, match="safely"):
        heard(document(doctype=doctype))


@each(
    "body",
    [
        "<paymentService/>",
        "<orderStatusEvent orderCode='ORD-1001'/>",
        "<paymentService><notify><orderStatusEvent/></notify></paymentService>",
        "<paymentService><notify><orderStatusEvent orderCode='A'/></notify></paymentService>",
        "<paymentService><notify>",
        document(EVENT * 101),
    ],
)
def test_what_is_no_order_notification_is_unreadable(body: str) -> None:
    with pytest.raises(Unreadable):
        heard(body)


def test_several_events_are_several_notices() -> None:
    second = EVENT.replace("ORD-1001", "ORD-1002")
    parsed = PROVIDER.parse(posted(document(EVENT + second)), LISTED)
    assert [notice.references.ours for notice in parsed.notices] == [("ORD-1001",), ("ORD-1002",)]  # type: ignore[union-attr]
    assert parsed.dedupe_key is None  # two refunds may differ in nothing but their bytes


def test_nothing_is_proven_but_the_address() -> None:
    assert PROVIDER.verify(posted(document()), SourceSetup()).trust is Trust.NONE
    assert PROVIDER.verify(posted(document()), LISTED).trust is Trust.NETWORK


def test_an_authorization_is_final_where_its_owner_says_so() -> None:
    assert heard(authorizationIsFinal=True).status is TransactionStatus.APPROVED


def test_a_refund_is_another_transaction_with_the_amount_that_moved() -> None:
    refund = sent(lastEvent="REFUNDED", moved="900", reference="RET-7")
    assert (refund.kind, refund.status) == (TransactionKind.REFUND, TransactionStatus.APPROVED)
    assert refund.amount == ProviderAmount("900", "EUR", is_minor=True, exponent=2)
    assert refund.psp_transaction_id == "RET-7"


def test_two_refunds_without_a_reference_are_told_apart_by_their_amount() -> None:
    sent_ = sent(lastEvent="SENT_FOR_REFUND", moved="900")
    done = sent(lastEvent="REFUNDED", moved="900", day="2026-03-02")
    other = sent(lastEvent="REFUNDED", moved="1000")
    assert sent_.psp_transaction_id == done.psp_transaction_id != other.psp_transaction_id


def test_the_journal_says_what_happened_now() -> None:
    notice = sent(lastEvent="SETTLED", journalType="INFORMATION_REQUESTED")
    assert (notice.kind, notice.substate) == (TransactionKind.CHARGEBACK, "information_requested")
    assert sent(lastEvent="SETTLED", journalType="SOMETHING_NEW").status is None


def test_of_the_card_only_the_ends_are_kept() -> None:
    notice = sent(lastEvent="CAPTURED", cardNumber="4111111111111111")
    assert notice.details["cardBin"] == "411111"
    assert notice.details["cardLastFour"] == "1111"
    assert "4111111111111111" not in str(notice)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_parameters_instead_of_xml(method: str) -> None:
    told = "OrderCode=ORD-1001&PaymentId=15390&PaymentStatus=CAPTURED&PaymentAmount=1000"
    told += "&PaymentCurrency=EUR&PaymentMethod=VISA-SSL"
    is_get = method == "GET"
    target = "/api/webhooks/worldpay" + (f"?{told}" if is_get else "")
    incoming = Incoming(method, target, (), b"" if is_get else told.encode(), 0)
    (notice,) = PROVIDER.parse(incoming, SourceSetup()).notices
    assert isinstance(notice, TransactionNotice)
    assert (notice.status, notice.psp_transaction_id) == (TransactionStatus.APPROVED, "15390")
    assert notice.amount == ProviderAmount("1000", "EUR", is_minor=True)


def test_what_the_browser_carries_to_the_result_page_is_not_taken_for_it() -> None:
    target = "/?orderKey=ADMIN^SHOP^ORD-1001&paymentStatus=AUTHORISED&paymentAmount=4990&mac2=00"
    with pytest.raises(Unreadable):
        PROVIDER.parse(Incoming("GET", target, (), b"", 0), SourceSetup())


def test_the_answer_is_ok_in_brackets_and_nothing_else() -> None:
    answer = PROVIDER.answer(posted(document()), SourceSetup(), IntakeStatus.STORED)
    assert (answer.status, answer.body) == (200, b"[OK]")
    assert answer.content_type.startswith("text/plain")
    assert PROVIDER.answer(posted("<"), SourceSetup(), IntakeStatus.MALFORMED).status == 400
