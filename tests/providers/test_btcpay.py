"""BTCPay Server: the signature as documented, what became of an invoice, repeats."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.clock import SECOND
from tillbell.model.callbacks import NoteNotice, Notice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.btcpay import PROVIDER
from tillbell.providers.kit.base import Incoming, SourceSetup

SETUP = SourceSetup(("btcpay webhook secret",))
BODY = b'{"type":"InvoiceSettled","invoiceId":"INV1"}'
# As documented: `sha256=HMAC256(UTF8(webhook's secret), body)`.
RIGHT = "sha256=" + hmac.new(SETUP.secrets[0].encode(), BODY, hashlib.sha256).hexdigest()


def posted(body: bytes, *signatures: str) -> Incoming:
    headers = tuple(("btcpay-sig", text) for text in signatures)
    return Incoming("POST", "/", headers, body, 0)


def read(event: str, config: dict[str, Any] | None = None, **members: Any) -> Notice:
    body = {"type": event, "invoiceId": "INV1", "timestamp": 1772359190, **members}
    incoming = posted(json.dumps(body).encode())
    (notice,) = PROVIDER.parse(incoming, SourceSetup(config=config or {})).notices
    return notice


def test_the_documented_signature_matches() -> None:
    assert RIGHT.endswith("f98f6d52b69cc27083fea094ee427f70f2eec7b090af333d108f74848a68ed85"), (
        "as openssl computes it"
    )
    assert PROVIDER.verify(posted(BODY, RIGHT), SETUP).trust is Trust.SIGNED


@each(
    ("body", "signatures"),
    [
        (BODY, ()),
        (BODY, (RIGHT.removeprefix("sha256="),)),
        (BODY, (RIGHT.replace("sha256", "sha1"),)),
        (BODY, (RIGHT, RIGHT)),
        (BODY, (RIGHT[:-2] + "00",)),
        (BODY + b" ", (RIGHT,)),
        (BODY.replace(b"INV1", b"INV2"), (RIGHT,)),
    ],
)
def test_anything_else_is_refused(body: bytes, signatures: tuple[str, ...]) -> None:
    assert PROVIDER.verify(posted(body, *signatures), SETUP).trust is None


@pytest.mark.parametrize(
    ("event", "marks", "status", "substate", "ends_attempt"),
    [
        ("InvoiceCreated", {}, TransactionStatus.PENDING, None, False),
        ("InvoiceReceivedPayment", {}, TransactionStatus.PENDING, "payment_received", False),
        ("InvoicePaymentSettled", {}, TransactionStatus.PENDING, "payment_settled", False),
        ("InvoiceProcessing", {}, TransactionStatus.PENDING, "processing", False),
        ("InvoiceSettled", {}, TransactionStatus.APPROVED, None, False),
        ("InvoiceSettled", {"overPaid": True}, TransactionStatus.APPROVED, None, False),
        ("InvoiceSettled", {"manuallyMarked": True}, TransactionStatus.APPROVED, None, False),
        ("InvoiceExpired", {"partiallyPaid": False}, TransactionStatus.CANCELLED, None, True),
        ("InvoiceExpired", {"partiallyPaid": True}, TransactionStatus.ON_HOLD, "underpaid", False),
        ("InvoiceExpiredPaidPartial", {}, TransactionStatus.ON_HOLD, "underpaid", False),
        ("InvoicePaidAfterExpiration", {}, TransactionStatus.ON_HOLD, "paid_late", False),
        ("InvoiceInvalid", {"manuallyMarked": False}, TransactionStatus.FAILED, None, True),
        ("InvoiceInvalid", {"manuallyMarked": True}, TransactionStatus.CANCELLED, None, False),
        ("InvoiceRefund", {}, None, None, False),
    ],
)
def test_an_event_says_how_the_invoice_stands(
    event: str,
    marks: dict[str, Any],
    status: TransactionStatus | None,
    substate: str | None,
    *,
    ends_attempt: bool,
) -> None:
    notice = read(event, **marks)
    assert isinstance(notice, TransactionNotice)
    assert (notice.status, notice.substate, notice.ends_attempt) == (status, substate, ends_attempt)
    assert (notice.psp_transaction_id, notice.references.psp) == ("INV1", ("INV1",))
    assert notice.amount is None, "none is told"


@pytest.mark.parametrize(
    ("mark", "said"),
    [("overPaid", "more"), ("manuallyMarked", "person"), ("afterExpiration", "expired")],
)
def test_what_a_person_should_know_is_said(mark: str, said: str) -> None:
    marked: dict[str, Any] = {mark: True}
    unmarked: dict[str, Any] = {mark: False}
    notice, plain = read("InvoiceSettled", **marked), read("InvoiceSettled", **unmarked)
    assert isinstance(notice, TransactionNotice)
    assert isinstance(plain, TransactionNotice)
    assert said in (notice.message or "")
    assert plain.message is None


def test_the_metadata_names_the_order() -> None:
    metadata = {"orderId": "ORD-1", "cart": "C-1"}
    notice = read("InvoiceSettled", metadata=metadata)
    other = read("InvoiceSettled", {"reference": "metadata.cart"}, metadata=metadata)
    assert isinstance(notice, TransactionNotice)
    assert isinstance(other, TransactionNotice)
    assert (notice.references.ours, other.references.ours) == (("ORD-1",), ("C-1",))


def test_a_repeat_is_the_same_event_and_tells_no_time() -> None:
    first = {"type": "InvoiceSettled", "invoiceId": "INV1", "timestamp": 1772359190}
    first |= {"deliveryId": "D1", "originalDeliveryId": "D1", "isRedelivery": False}
    repeat = {**first, "deliveryId": "D2", "isRedelivery": True, "timestamp": 1772359999}
    parsed = [PROVIDER.parse(posted(json.dumps(body).encode()), SETUP) for body in (first, repeat)]
    notices = [notice for one in parsed for notice in one.notices]
    assert [one.dedupe_key for one in parsed] == ["D1", "D1"]
    assert [n.occurred_at for n in notices if isinstance(n, TransactionNotice)] == [
        1772359190 * SECOND,
        None,
    ]


@pytest.mark.parametrize(
    ("event", "members"),
    [
        ("PayoutUpdated", {"invoiceId": None, "payoutId": "P1"}),
        ("PaymentRequestUpdated", {}),
        ("InvoiceSettled", {"invoiceId": "__test__0f1e__test__"}),
    ],
)
def test_what_is_no_invoice_of_ours_is_only_kept(event: str, members: dict[str, Any]) -> None:
    assert isinstance(read(event, **members), NoteNotice)
