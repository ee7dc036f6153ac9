"""Authorize.Net: the signature of a real webhook, codes that fail, what must be looked up."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import NoteNotice, Notice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.authorizenet import PROVIDER
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable

# Key, body and header of a webhook of the sandbox, as a merchant published them in December 2023:
# community.developer.cybersource.com, "The verification of the webhook signature is contingent on
# the value of authAmount".
KEY = (
    "A6214F6105625D5ED957CF02E749BB440DBD4E418533D219CAD26AECD104BFFE"
    "7F47DBBE5C81927CCA484AE7722BE82CE57FB5318EDE02122277A2FE90EE68EB"
)
BODY = (
    b'{"notificationId":"570f7282-687a-42b7-903b-48e487d7694d",'
    b'"eventType":"net.authorize.payment.authcapture.created",'
    b'"eventDate":"2023-12-12T12:45:09.3492643Z",'
    b'"webhookId":"a585ea29-a370-495a-bd83-f9be7160f260",'
    b'"payload":{"responseCode":1,"avsResponse":"P","authAmount":1.10,'
    b'"merchantReferenceId":"2M4zHFzshYBudvgIZ11B","entityName":"transaction",'
    b'"id":"120011377052"}}'
)
RIGHT = (
    "sha512="
    "8E3D41B0191A9A1E668FB729F350B73C6BBB81D676070FE7CFF001CA2543ABA9"
    "1BD16A4374A0F6FA4542659728C7DAF79D7EC901FEC582FC2DA3263A2D604DCF"
)
SETUP = SourceSetup((KEY,))


def posted(body: bytes, *signatures: str) -> Incoming:
    headers = tuple(("x-anet-signature", signature) for signature in signatures)
    return Incoming("POST", "/", headers, body, 0)


def trust(body: bytes, *signatures: str, key: str = KEY) -> Trust | None:
    return PROVIDER.verify(posted(body, *signatures), SourceSetup((key,))).trust


def notice(word: str, config: dict[str, Any] | None = None, **payload: Any) -> Notice:
    event = {
        "notificationId": "n1",
        "eventType": word,
        "payload": {"id": "1", "responseCode": 1, **payload},
    }
    (only,) = PROVIDER.parse(
        posted(json.dumps(event).encode()), SourceSetup((), config or {})
    ).notices
    return only


def test_a_real_webhook_is_proven_and_read() -> None:
    assert trust(BODY, RIGHT) is Trust.SIGNED
    parsed = PROVIDER.parse(posted(BODY, RIGHT), SETUP)
    (only,) = parsed.notices

    assert isinstance(only, TransactionNotice)
    assert parsed.dedupe_key == "570f7282-687a-42b7-903b-48e487d7694d"
    assert only.status is TransactionStatus.APPROVED
    assert only.amount == ProviderAmount("1.10")
    assert only.psp_transaction_id == "120011377052"


def test_a_body_that_was_written_anew_is_refused() -> None:
    assert trust(BODY.replace(b"1.10", b"1.1"), RIGHT) is None
    assert trust(json.dumps(json.loads(BODY)).encode(), RIGHT) is None


def test_the_key_is_text_although_it_looks_like_hex() -> None:
    decoded = hmac.new(bytes.fromhex(KEY), BODY, hashlib.sha512).hexdigest()
    assert trust(BODY, f"sha512={decoded.upper()}") is None
    assert trust(BODY, RIGHT, key=KEY.lower()) is None


@each(
    "signatures",
    [
        (),
        ("",),
        (RIGHT.removeprefix("sha512="),),
        (RIGHT.replace("sha512", "sha256"),),
        (RIGHT[:-2],),
        (RIGHT + "00",),
        (RIGHT, RIGHT),
    ],
)
def test_any_other_header_is_refused(signatures: tuple[str, ...]) -> None:
    assert trust(BODY, *signatures) is None


def test_no_flipped_bit_is_accepted() -> None:
    for position in range(len(BODY) * 8):
        flipped = bytearray(BODY)
        flipped[position // 8] ^= 1 << position % 8
        assert trust(bytes(flipped), RIGHT) is None


def test_what_is_simulated_is_signed_as_the_real_one() -> None:
    incoming = PROVIDER.sign(SimulationCase({"eventType": "x"}), SETUP, "https://hooks.example/x")
    expected = hmac.new(KEY.encode(), incoming.body, hashlib.sha512).hexdigest().upper()
    assert incoming.header("x-anet-signature") == f"sha512={expected}"


def test_a_refund_is_not_taken_for_its_payment() -> None:
    refund = notice("net.authorize.payment.refund.created", invoiceNumber="INV1")

    assert isinstance(refund, TransactionNotice)
    assert refund.kind is TransactionKind.REFUND
    assert (refund.references.psp, refund.references.ours) == ((), ("INV1",))
    assert refund.psp_transaction_id == "1"


def test_a_refund_that_failed_stays_a_refund() -> None:
    refund = notice("net.authorize.payment.refund.created", responseCode=3)

    assert isinstance(refund, TransactionNotice)
    assert (refund.kind, refund.status) == (TransactionKind.REFUND, TransactionStatus.FAILED)
    assert not refund.ends_attempt


def test_an_approval_after_a_review_is_looked_up() -> None:
    approved = notice("net.authorize.payment.fraud.approved")

    assert isinstance(approved, TransactionNotice)
    assert (approved.is_hint, approved.status) == (True, None)


@each(
    ("word", "code", "ends"),
    [
        ("authcapture.created", 2, True),
        ("authorization.created", 3, True),
        ("authcapture.created", 4, False),
        ("void.created", 1, False),
        ("fraud.declined", 1, False),
    ],
)
def test_a_refused_try_ends_one_attempt_and_a_decision_the_payment(
    word: str, code: int, ends: bool
) -> None:
    only = notice(f"net.authorize.payment.{word}", responseCode=code)

    assert isinstance(only, TransactionNotice)
    assert only.ends_attempt is ends


@pytest.mark.parametrize("word", ["net.authorize.customer.created", "net.other.payment.x"])
def test_what_is_no_payment_is_only_noted(word: str) -> None:
    assert isinstance(notice(word), NoteNotice)


def test_a_payment_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        notice("net.authorize.payment.authcapture.created", id=None)
