"""emerchantpay: a signature of the id alone, and an echo."""

from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import pytest

from tests.cases import each
from tillbell.model.callbacks import NoteNotice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.emerchantpay import PROVIDER
from tillbell.providers.kit.base import Incoming, IntakeStatus, SourceSetup, Unreadable

ID = "0123456789abcdef0123456789abcdef"
KEYED = SourceSetup(("emp-demo-password",))
SHA1 = "9ce10cfde551cb9f1b06f720cd65dd1c63b975ad"
SHA256 = "9036a81cd5fda5b4a14c4b5e00600395533d28d7461d3c0e11d760d5d3bc5d47"
SHA512 = (
    "ea2d7d4cd5f069f7f064b4185a24bbeea6d14fef45eaac3dc14f7434b527e1e9"
    "ca2485d6003ae8fb7347d10a54fcaa1288a94b7e9bf25f9c0b1f36a6b2dbc317"
)
FIELDS = {
    "unique_id": ID,
    "transaction_id": "ORD-1001",
    "transaction_type": "sale3d",
    "status": "approved",
    "amount": "4990",
    "currency": "EUR",
    "signature": SHA1,
}


def posted(**changed: str) -> Incoming:
    body = urlencode({**FIELDS, **changed}).encode()
    return Incoming("POST", "/api/webhooks/emerchantpay", (), body, 0)


def heard(config: dict[str, Any] | None = None, **changed: str) -> TransactionNotice:
    (notice,) = PROVIDER.parse(posted(**changed), SourceSetup((), config or {})).notices
    assert isinstance(notice, TransactionNotice)
    return notice


@pytest.mark.parametrize("signature", [SHA1, SHA256, SHA512, SHA1.upper()])
def test_the_signatures_length_tells_how_it_is_made(signature: str) -> None:
    verdict = PROVIDER.verify(posted(signature=signature), KEYED)
    assert verdict.trust is Trust.PARTIALLY_SIGNED


@pytest.mark.parametrize("signature", ["", SHA1[:-2], SHA1 + "00", "zz" * 20, SHA256[:40]])
def test_another_signature_is_refused(signature: str) -> None:
    assert PROVIDER.verify(posted(signature=signature), KEYED).trust is None
    assert PROVIDER.verify(posted(unique_id=ID[::-1]), KEYED).trust is None


def test_a_captured_one_proves_any_status_so_it_is_not_signed() -> None:
    forged = posted(status="approved", amount="1")
    assert PROVIDER.verify(forged, KEYED).trust is Trust.PARTIALLY_SIGNED


def test_the_payment_pages_id_goes_first() -> None:
    page: dict[str, Any] = {
        "wpf_unique_id": ID,
        "wpf_status": "declined",
        "wpf_transaction_id": "ORD-2002",
    }
    incoming = posted(unique_id="another", **page)
    assert PROVIDER.verify(incoming, KEYED).trust is Trust.PARTIALLY_SIGNED
    notice = heard(unique_id="another", **page)
    assert (notice.status, notice.psp_transaction_id) == (TransactionStatus.DECLINED, ID)
    assert notice.references.ours == ("ORD-2002",)


@each(
    ("word", "type_", "status", "kind"),
    [
        ("approved", "sale", TransactionStatus.APPROVED, TransactionKind.PAYMENT),
        ("approved", "authorize", TransactionStatus.PENDING, TransactionKind.PAYMENT),
        ("approved", "authorize3d", TransactionStatus.PENDING, TransactionKind.PAYMENT),
        ("approved", "void", TransactionStatus.CANCELLED, TransactionKind.PAYMENT),
        ("approved", "refund", None, TransactionKind.PAYMENT),
        ("declined", "authorize", TransactionStatus.DECLINED, TransactionKind.PAYMENT),
        ("pending_hold", "sale", TransactionStatus.PENDING, TransactionKind.PAYMENT),
        ("pending_review", "sale", TransactionStatus.ON_HOLD, TransactionKind.PAYMENT),
        ("timeout", "sale", TransactionStatus.CANCELLED, TransactionKind.PAYMENT),
        ("unsuccessful", "payout", TransactionStatus.FAILED, TransactionKind.PAYMENT),
        ("refunded", "sale", TransactionStatus.APPROVED, TransactionKind.REFUND),
        ("chargebacked", "sale", TransactionStatus.APPROVED, TransactionKind.CHARGEBACK),
        (
            "chargeback_reversed",
            "sale",
            TransactionStatus.APPROVED,
            TransactionKind.CHARGEBACK_REVERSAL,
        ),
        (
            "represented",
            "sale",
            TransactionStatus.APPROVED,
            TransactionKind.CHARGEBACK_REVERSAL,
        ),
        ("approved", "chargeback", TransactionStatus.APPROVED, TransactionKind.CHARGEBACK),
    ],
)
def test_the_type_decides_with_the_state(
    word: str, type_: str, status: TransactionStatus | None, kind: TransactionKind
) -> None:
    notice = heard(status=word, transaction_type=type_)
    assert (notice.status, notice.kind) == (status, kind)


def test_what_belongs_to_a_payment_has_a_name_of_its_own() -> None:
    first, second = heard(status="chargebacked"), heard(status="second_chargebacked")
    assert first.psp_transaction_id == second.psp_transaction_id != ID
    assert (first.movement_id, second.movement_id) == ("first", "second")
    assert first.references.psp == (ID,)
    assert first.amount == ProviderAmount("4990", "EUR", is_minor=True)


def test_an_authorization_is_final_where_its_owner_says_so() -> None:
    notice = heard({"authorizationIsFinal": True}, transaction_type="authorize")
    assert notice.status is TransactionStatus.APPROVED


def test_an_identity_check_is_not_about_money() -> None:
    body = urlencode({"reference_id": "kyc-1", "status": "approved", "signature": SHA1}).encode()
    (notice,) = PROVIDER.parse(Incoming("POST", "/", (), body, 0), KEYED).notices
    assert isinstance(notice, NoteNotice)


def test_without_an_id_it_is_unreadable_and_cannot_be_echoed() -> None:
    incoming = Incoming("POST", "/", (), b"status=approved", 0)
    with pytest.raises(Unreadable):
        PROVIDER.parse(incoming, KEYED)
    assert PROVIDER.answer(incoming, KEYED, IntakeStatus.MALFORMED).status == 400


def test_the_answer_repeats_the_id_that_was_signed() -> None:
    answer = PROVIDER.answer(posted(), KEYED, IntakeStatus.STORED)
    assert (answer.status, answer.content_type) == (200, "application/xml")
    assert answer.body == (
        b'<?xml version="1.0" encoding="UTF-8"?><notification_echo><unique_id>'
        b"0123456789abcdef0123456789abcdef</unique_id></notification_echo>"
    )


@pytest.mark.parametrize("id_", ["<a>&amp;</a>", "a\x00\x1bb\ufffe", "é]]>", "x" * 5_000])
def test_the_echo_is_xml_whatever_the_id(id_: str) -> None:
    answer = PROVIDER.answer(posted(unique_id=id_), KEYED, IntakeStatus.STORED)
    assert fromstring(answer.body)[0].tag == "unique_id"
