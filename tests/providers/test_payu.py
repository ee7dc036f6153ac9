"""PayU: the vector of its libraries, the algorithm in the header, orders and refunds."""

import hashlib
import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import NoteNotice, Notice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SourceSetup
from tillbell.providers.kit.reading import iso_time
from tillbell.providers.payu import PROVIDER

# Of the tests of openpayu_php and openpayu_ruby.
SETUP, BODY = SourceSetup(("SignatureKey",)), b"OpenPayUData"
SHA1 = "52bb16149d1a5ccc8ac05f8e435c30d82efd5364"
# md5sum and sha256sum of the body followed by the key.
MD5 = "8375034eb737d520c829fad4026a38aa"
SHA256 = "8b2fd55b48f150347df56ce18d787335f32ced1d67f214016476f7c0a8f09981"
STRICT = SETUP._replace(config={"requireSha256": True})
ORDER: dict[str, Any] = {
    "orderId": "ORDER",
    "extOrderId": "ORD-1",
    "description": "D-1",
    "currencyCode": "pln",
    "totalAmount": "4990",
    "payMethod": {"type": "CARD_TOKEN"},
}


def header(signature: str, algorithm: str) -> str:
    return f"sender=checkout;signature={signature};algorithm={algorithm};content=DOCUMENT"


def posted(body: bytes, *headers: str, name: str = "openpayu-signature") -> Incoming:
    return Incoming("POST", "/", tuple((name, text) for text in headers), body, 0)


@pytest.mark.parametrize(
    ("signature", "algorithm"),
    [(SHA1, "SHA-1"), (SHA1, "SHA"), (MD5, "MD5"), (SHA256, "SHA-256"), (SHA256, "SHA256")],
)
def test_a_right_hash_is_accepted_by_its_algorithm(signature: str, algorithm: str) -> None:
    written = header(signature, algorithm)
    assert PROVIDER.verify(posted(BODY, written), SETUP).trust is Trust.SIGNED
    older = posted(BODY, written, name="x-openpayu-signature")
    assert PROVIDER.verify(older, SETUP).trust is Trust.SIGNED
    is_strong = algorithm in ("SHA-256", "SHA256")
    assert (PROVIDER.verify(posted(BODY, written), STRICT).trust is Trust.SIGNED) is is_strong


@each(
    ("body", "headers"),
    [
        (BODY, ()),
        (BODY, ("",)),
        (BODY, (header(MD5, "MD5"),) * 2),
        (BODY, (header(MD5, "SHA-256"),)),
        (BODY, (header(MD5, "MD4"),)),
        (BODY, (header("", "MD5"),)),
        (BODY, (header(MD5, "MD5").replace("DOCUMENT", "PART"),)),
        (BODY, (header(MD5, "MD5") + f";signature={MD5}",)),
        (BODY, (f"sender=checkout;signature={MD5}",)),
        (BODY, (header(MD5[:-1] + "0", "MD5"),)),
        (BODY + b" ", (header(MD5, "MD5"),)),
    ],
)
def test_anything_else_is_refused(body: bytes, headers: tuple[str, ...]) -> None:
    assert PROVIDER.verify(posted(body, *headers), SETUP).trust is None


def test_the_key_stands_behind_the_body() -> None:
    hashed = hashlib.sha256(SETUP.secrets[0].encode() + BODY).hexdigest()
    assert PROVIDER.verify(posted(BODY, header(hashed, "SHA-256")), SETUP).trust is None


def read(body: dict[str, Any], **config: Any) -> Notice:
    parsed = PROVIDER.parse(posted(json.dumps(body).encode()), SourceSetup(config=config))
    assert parsed.dedupe_key is None, "a notification has no id"
    (notice,) = parsed.notices
    return notice


@pytest.mark.parametrize(
    ("word", "status", "substate"),
    [
        ("NEW", TransactionStatus.PENDING, None),
        ("PENDING", TransactionStatus.PENDING, None),
        ("WAITING_FOR_CONFIRMATION", TransactionStatus.PENDING, "authorized"),
        ("COMPLETED", TransactionStatus.APPROVED, None),
        ("CANCELED", TransactionStatus.CANCELLED, None),
        ("REJECTED", None, None),
    ],
)
def test_an_order_is_a_payment(
    word: str, status: TransactionStatus | None, substate: str | None
) -> None:
    notice = read({"order": {**ORDER, "status": word}})
    assert isinstance(notice, TransactionNotice)
    assert (notice.status, notice.substate) == (status, substate)
    assert (notice.psp_transaction_id, notice.references.psp) == ("ORDER", ("ORDER",))
    assert notice.references.ours == ("ORD-1",)
    assert notice.amount == ProviderAmount("4990", "PLN", is_minor=True)
    assert notice.details == {"paymentMethod": "CARD_TOKEN"}
    assert not notice.ends_attempt


def test_what_is_reserved_is_approved_if_that_is_final() -> None:
    order = {"order": {**ORDER, "status": "WAITING_FOR_CONFIRMATION"}}
    notice = read(order, authorizationIsFinal=True, reference="description")
    assert isinstance(notice, TransactionNotice)
    assert notice.status is TransactionStatus.APPROVED
    assert notice.references.ours == ("D-1",)


def test_the_id_that_the_payer_sees_is_kept() -> None:
    properties = [{"name": "X", "value": "1"}, {"name": "PAYMENT_ID", "value": "5003707594"}]
    notice = read({"order": {**ORDER, "status": "COMPLETED"}, "properties": properties})
    assert isinstance(notice, TransactionNotice)
    assert notice.psp_reference == "5003707594"


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("PENDING", TransactionStatus.PENDING),
        ("FINALIZED", TransactionStatus.APPROVED),
        ("CANCELED", TransactionStatus.CANCELLED),
        ("ODD", None),
    ],
)
def test_a_refund_belongs_to_its_order(word: str, status: TransactionStatus | None) -> None:
    refund = {"refundId": "912128", "amount": "1000", "currencyCode": "PLN", "status": word}
    body = {"orderId": "ORDER", "extOrderId": "ORD-1", "refund": refund}
    notice = read(body, statuses={word: "Approved"})
    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.REFUND, status)
    assert (notice.psp_transaction_id, notice.references.psp) == ("912128", ("ORDER",))
    assert notice.amount == ProviderAmount("1000", "PLN", is_minor=True)


@pytest.mark.parametrize("written", ["2014-03-24T16:04:31.799+00:00", "1395677071799"])
def test_the_time_of_a_refund_is_read_in_both_forms(written: str) -> None:
    refund = {"refundId": "1", "status": "FINALIZED", "statusDateTime": written}
    notice = read({"orderId": "ORDER", "refund": refund})
    assert isinstance(notice, TransactionNotice)
    assert notice.occurred_at == iso_time("2014-03-24T16:04:31.799Z")


def test_what_is_no_order_is_only_kept() -> None:
    assert isinstance(read({"payout": {"payoutId": "P1"}}), NoteNotice)
