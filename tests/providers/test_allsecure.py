"""AllSecure: what is signed, by today's and by old set-ups, and that a GET moves nothing."""

from typing import Any

import pytest

from tests.cases import each
from tillbell.clock import SECOND
from tillbell.model.callbacks import NoteNotice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.allsecure import PROVIDER, message, signature
from tillbell.providers.kit.base import (
    Incoming,
    IntakeStatus,
    SimulationCase,
    SourceSetup,
    Unreadable,
)

TARGET = "/api/webhooks/allsecure?requestEvent=callback&orderId=ORD-1001"
URL = "https://hooks.example/api/webhooks/allsecure?requestEvent=callback&orderId=ORD-1001"
DATE = "Sun, 01 Mar 2026 10:00:00 GMT"
AT = 1_772_359_200 * SECOND
TYPE = "application/json; charset=utf-8"
BODY = (
    b'{"result":"OK","uuid":"d94c0d72f3a36e21f16e","merchantTransactionId":"ORD-1001",'
    b'"purchaseId":"20260301-d94c0d72f3a36e21f16e","transactionType":"DEBIT",'
    b'"paymentMethod":"Creditcard","amount":"49.90","currency":"EUR"}'
)
SHA512 = "MlyH49MMHl0N0/+vs54YJPA5QvotJjnRKIousYfZlw7FyU1ljf8n2ZN99X7uGixJwds/b8rkjeeBTAmOKsawEg=="
MD5 = "oYEBka5n5kx2Nrh9om80ulQPdNT4yRIB8tHaefFyYbsQAighdpA1gIsCDcjS95dBNSTOeabEDS6XtsknkO2Fmw=="
SECRET = "demo-shared-secret"
KEYED = SourceSetup((SECRET,))


def sent(
    written: str = SHA512, body: bytes = BODY, target: str = TARGET, **headers: str
) -> Incoming:
    named = {"content-type": TYPE, "date": DATE, "x-signature": written}
    named.update({name.replace("_", "-"): value for name, value in headers.items()})
    return Incoming("POST", target, tuple(named.items()), body, AT)


def opened(query: str) -> Incoming:
    return Incoming("GET", f"/api/webhooks/allsecure?{query}", (), b"", AT)


def heard(config: dict[str, Any] | None = None, **fields: Any) -> TransactionNotice:
    base = {"result": "OK", "uuid": "u-2", "transactionType": "DEBIT", "purchaseId": "20260301-u-1"}
    made = PROVIDER.sign(SimulationCase({**base, **fields}, at=AT), KEYED, URL)
    (notice,) = PROVIDER.parse(made, SourceSetup((SECRET,), config or {})).notices
    assert isinstance(notice, TransactionNotice)
    return notice


# ── signatures ───────────────────────────────────────────────────────────────────────────────────


def test_the_published_example_is_signed_as_published() -> None:
    incoming = Incoming("POST", "/api/v3/transaction/YOUR-API-KEY-HERE/debit", (), b"", AT)
    covered = message(incoming, "sha512", TYPE, "Tue, 28 Apr 2026 15:23:40 GMT")

    assert signature("", covered) == (
        "4ICq+hfHFA81dAJHcXoP2/Pb+nkp9GljLe2S+REN0vMBhbQYNQUHIw/YxUTEIWS5Uu5WgdDEc7keMtqS0mpnAA=="
    )


def test_a_signed_callback_is_proven() -> None:
    assert PROVIDER.verify(sent(), KEYED).trust is Trust.SIGNED


@each(
    "changed",
    [
        sent(body=BODY + b"\n"),
        sent(target=TARGET.replace("1001", "1002")),
        sent(target=TARGET.partition("?")[0]),
        sent(date="Sun, 01 Mar 2026 10:00:01 GMT"),
        sent(written=SHA512.rstrip("=")),
        sent(written="é" * 10_000),
        sent(written=""),
    ],
)
def test_what_was_changed_on_the_way_is_refused(changed: Incoming) -> None:
    assert PROVIDER.verify(changed, KEYED).trust is None


def test_a_proxy_may_have_changed_the_content_type_or_the_date() -> None:
    proxied = sent(content_type="application/json", date="Sun, 01 Mar 2026 10:00:07 GMT")
    headers = (*proxied.headers, ("x-date", DATE))

    assert PROVIDER.verify(proxied._replace(headers=headers), KEYED).trust is Trust.SIGNED


def test_an_md5_body_hash_is_taken_only_where_its_owner_allows_it() -> None:
    refused = PROVIDER.verify(sent(MD5), KEYED)
    allowed = PROVIDER.verify(sent(MD5), SourceSetup((SECRET,), {"allowMd5BodyHash": True}))

    assert refused.trust is None
    assert "MD5" in refused.why
    assert allowed.trust is Trust.SIGNED


def test_an_old_date_is_reported_and_refused_only_where_its_owner_wants_it() -> None:
    late = sent()._replace(received_at=AT + 301 * SECOND)
    reported = PROVIDER.verify(late, KEYED)

    assert reported.trust is Trust.SIGNED
    assert "300 s old" in reported.why
    assert PROVIDER.verify(late, SourceSetup((SECRET,), {"maxAgeMode": "refuse"})).trust is None
    assert (
        PROVIDER.verify(late, SourceSetup((SECRET,), {"maxAgeMode": "refuse", "maxAge": 600})).trust
        is Trust.SIGNED
    )


@pytest.mark.parametrize("secrets", [(), ("",), (SECRET + "\n",), ("other",)])
def test_without_the_secret_nothing_is_proven(secrets: tuple[str, ...]) -> None:
    assert PROVIDER.verify(sent(), SourceSetup(secrets)).trust is None


# ── the old XML ──────────────────────────────────────────────────────────────────────────────────

XML = b"""<?xml version="1.0" encoding="utf-8"?>
<callback xmlns="https://asxgw.com/Schema/V2/Callback">
  <result>ERROR</result>
  <referenceId>d94c0d72f3a36e21f16e</referenceId>
  <transactionId>ORD-1001</transactionId>
  <purchaseId>20260301-d94c0d72f3a36e21f16e</purchaseId>
  <transactionType>DEBIT</transactionType>
  <errors><error><message>Declined</message><code>2003</code></error></errors>
  <returnData type="creditcardData"><creditcardData>
    <type>visa</type><firstSixDigits>424242</firstSixDigits><lastFourDigits>4242</lastFourDigits>
  </creditcardData></returnData>
</callback>"""


@pytest.mark.parametrize("header", ["authorization", "x-authorization"])
@pytest.mark.parametrize("scheme", ["Gateway", "Exchange"])
def test_the_old_signature_with_one_more_line_end_is_taken(header: str, scheme: str) -> None:
    bare = Incoming("POST", TARGET, (("content-type", "text/xml"), ("date", DATE)), XML, AT)
    lines = message(bare, "sha512", "text/xml", DATE).split(b"\n")
    written = signature(SECRET, b"\n".join([*lines[:4], b"", lines[4]]))
    incoming = bare._replace(headers=(*bare.headers, (header, f"{scheme} api-key:{written}")))

    assert PROVIDER.verify(incoming, KEYED).trust is Trust.SIGNED


def test_the_old_xml_says_the_same_as_json() -> None:
    (notice,) = PROVIDER.parse(sent(body=XML), KEYED).notices

    assert isinstance(notice, TransactionNotice)
    assert notice.references.ours == ("ORD-1001",)
    assert notice.psp_transaction_id == "d94c0d72f3a36e21f16e"
    assert (notice.status, notice.reason, notice.message) == (
        TransactionStatus.DECLINED,
        "2003",
        "Declined",
    )
    assert notice.details == {"cardBin": "424242", "cardLastFour": "4242"}


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><callback>&e;</callback>",
        b"<callback><result>OK</result><result>ERROR</result></callback>",
        b"<other/>",
        b"<callback",
    ],
)
def test_xml_that_is_dangerous_or_ambiguous_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(sent(body=body), KEYED)


# ── meaning ──────────────────────────────────────────────────────────────────────────────────────


@each(
    ("fields", "status", "substate"),
    [
        ({}, TransactionStatus.APPROVED, None),
        ({"transactionType": "PREAUTHORIZE"}, TransactionStatus.PENDING, "authorized"),
        ({"transactionType": "CAPTURE"}, TransactionStatus.APPROVED, None),
        ({"transactionType": "VOID"}, TransactionStatus.CANCELLED, None),
        ({"transactionType": "VOID", "result": "ERROR"}, TransactionStatus.PENDING, "authorized"),
        (
            {"transactionType": "CAPTURE", "result": "ERROR"},
            TransactionStatus.PENDING,
            "authorized",
        ),
        ({"result": "PENDING"}, TransactionStatus.PENDING, None),
        ({"result": "PENDING", "transactionType": "PAYOUT"}, TransactionStatus.PROCESSING, None),
        ({"result": "ERROR", "code": 2003}, TransactionStatus.DECLINED, None),
        ({"result": "ERROR", "code": "2021"}, TransactionStatus.DECLINED, None),
        ({"result": "ERROR", "code": 2005}, TransactionStatus.CANCELLED, None),
        ({"result": "ERROR", "code": 2001}, TransactionStatus.FAILED, None),
        ({"result": "ERROR", "code": 1002}, TransactionStatus.FAILED, None),
        ({"result": "ERROR"}, TransactionStatus.FAILED, None),
        ({"result": "INVALID_REQUEST"}, TransactionStatus.FAILED, None),
        ({"result": "MAYBE"}, None, None),
        ({"transactionType": "TRANSFER"}, None, None),
    ],
)
def test_the_table_of_results(
    fields: dict[str, Any], status: TransactionStatus | None, substate: str | None
) -> None:
    notice = heard(**fields)

    assert (notice.status, notice.substate, notice.is_hint) == (status, substate, False)


def test_an_authorization_is_final_where_its_owner_says_so() -> None:
    notice = heard({"authorizationIsFinal": True}, transactionType="PREAUTHORIZE")

    assert notice.status is TransactionStatus.APPROVED


def test_what_belongs_to_a_payment_names_it_and_itself() -> None:
    refund = heard(transactionType="REFUND")
    chargeback = heard(
        transactionType="CHARGEBACK",
        chargebackData={"originalUuid": "u-1", "originalMerchantTransactionId": "ORD-1"},
    )

    assert (refund.kind, refund.psp_transaction_id) == (TransactionKind.REFUND, "u-2")
    assert refund.references.psp == ("u-1",)
    assert chargeback.kind is TransactionKind.CHARGEBACK
    assert chargeback.references == (("ORD-1001",), ("u-1",))
    assert heard(transactionType="CHARGEBACK-REVERSAL").kind is TransactionKind.CHARGEBACK_REVERSAL


def test_a_capture_does_not_give_the_payment_another_id() -> None:
    assert heard(transactionType="CAPTURE").psp_transaction_id is None


def test_a_registered_card_is_no_transaction() -> None:
    made = PROVIDER.sign(
        SimulationCase({"result": "OK", "uuid": "u", "transactionType": "REGISTER"}, at=AT),
        KEYED,
        URL,
    )

    assert isinstance(PROVIDER.parse(made, KEYED).notices[0], NoteNotice)


def test_an_error_and_a_later_success_are_two_events() -> None:
    assert PROVIDER.parse(sent(), KEYED).dedupe_key == "d94c0d72f3a36e21f16e|DEBIT|OK"


# ── the browser ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event", "silent", "page"),
    [
        ("success", None, "https://shop.example/ok"),
        ("callback", None, "https://shop.example/no"),
        ("cancel", TransactionStatus.CANCELLED, "https://shop.example/no"),
        ("error", TransactionStatus.FAILED, "https://shop.example/no"),
    ],
)
def test_a_get_proves_nothing_and_sends_the_payer_on(
    event: str, silent: TransactionStatus | None, page: str
) -> None:
    pages = {"successUrl": "https://shop.example/ok", "errorUrl": "https://shop.example/no"}
    incoming = opened(f"requestEvent={event}&orderId=ORD-1001")
    setup = SourceSetup((SECRET,), pages)
    parsed = PROVIDER.parse(incoming, setup)
    (notice,) = parsed.notices
    answer = PROVIDER.answer(incoming, setup, IntakeStatus.STORED)

    assert PROVIDER.verify(incoming, setup).trust is Trust.NONE
    assert isinstance(notice, TransactionNotice)
    assert (notice.status, notice.is_hint, notice.if_silent) == (None, True, silent)
    assert parsed.dedupe_key == ""
    assert (answer.status, dict(answer.headers)["location"]) == (303, page)


def test_a_get_with_a_body_that_is_signed_still_proves_nothing() -> None:
    forged = sent()._replace(method="GET")

    assert PROVIDER.verify(forged, KEYED).trust is Trust.NONE


def test_a_return_of_an_unknown_kind_is_only_noted_and_one_without_order_unreadable() -> None:
    (notice,) = PROVIDER.parse(opened("requestEvent=paid&orderId=1"), KEYED).notices

    assert isinstance(notice, NoteNotice)
    with pytest.raises(Unreadable):
        PROVIDER.parse(opened("requestEvent=success"), KEYED)


def test_the_gateway_is_told_ok_and_nothing_else() -> None:
    assert PROVIDER.answer(sent(), KEYED, IntakeStatus.STORED).body == b"OK"
    assert PROVIDER.answer(sent(), KEYED, IntakeStatus.REFUSED).status == 401
