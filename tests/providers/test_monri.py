"""Monri: the digest of its plugin, callbacks and webhooks, captures that add up."""

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import NoteNotice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, ParsedNotices, SourceSetup, Unreadable
from tillbell.providers.monri import PROVIDER

# Key and body of the tests of MonriPayments/woocommerce-monri; sha512sum of both.
SETUP = SourceSetup(("super_secret_merchant_key",))
BODY = b'{"order_number":"1001-test","status":"approved","response_code":"0000","amount":1500}'
RIGHT = (
    "WP3-callback 52d0b6a3ef699d86f03bed96e574b70f7efc92ba9b1fe09351b756ef0ca36676"
    "16558013a564e46dfe4c24320ec07682be2ed3ae6032b06214b04ef09a0cd66c"
)


def posted(body: bytes, *headers: str) -> Incoming:
    return Incoming("POST", "/", tuple(("authorization", text) for text in headers), body, 0)


def test_the_digest_of_the_plugin_matches() -> None:
    assert PROVIDER.verify(posted(BODY, RIGHT), SETUP).trust is Trust.SIGNED


@each(
    ("body", "headers"),
    [
        (BODY, ()),
        (BODY, (RIGHT, RIGHT)),
        (BODY, (RIGHT.removeprefix("WP3-callback "),)),
        (BODY, (RIGHT.replace("WP3", "Bearer"),)),
        (BODY, (RIGHT[:-2] + "00",)),
        (BODY + b"\n", (RIGHT,)),
        (BODY.replace(b"1500", b"1501"), (RIGHT,)),
    ],
)
def test_anything_else_is_refused(body: bytes, headers: tuple[str, ...]) -> None:
    assert PROVIDER.verify(posted(body, *headers), SETUP).trust is None


def test_what_can_be_appended_to_a_body_cannot_be_read() -> None:
    """SHA-512 of a longer text can be computed, but the text goes on with its padding."""
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted(BODY + b"\x80" + b"\0" * 40 + b',"amount":1}'), SETUP)


def transaction(kind: str, status: str = "approved") -> dict[str, Any]:
    return {
        "id": 7,
        "order_number": "ORD-1",
        "amount": 4990,
        "currency": "bam",
        "transaction_type": kind,
        "status": status,
        "response_code": "0000",
        "masked_pan": "411111-xxx-xxx-1111",
        "cc_type": "visa",
    }


def parse(body: dict[str, Any], **config: Any) -> ParsedNotices:
    return PROVIDER.parse(posted(json.dumps(body).encode()), SourceSetup(config=config))


@pytest.mark.parametrize(
    ("kind", "ended", "status", "substate", "ends_attempt"),
    [
        ("purchase", "approved", TransactionStatus.APPROVED, None, False),
        ("purchase", "declined", TransactionStatus.DECLINED, None, True),
        ("purchase", "odd", None, None, False),
        ("authorize", "approved", TransactionStatus.PENDING, "authorized", False),
        ("authorize", "declined", TransactionStatus.DECLINED, None, True),
        ("capture", "approved", TransactionStatus.APPROVED, None, False),
        ("capture", "declined", TransactionStatus.PENDING, "capture_failed", False),
        ("void", "approved", TransactionStatus.CANCELLED, None, False),
        ("odd", "approved", None, None, False),
    ],
)
def test_a_transaction_says_what_became_of_its_payment(
    kind: str,
    ended: str,
    status: TransactionStatus | None,
    substate: str | None,
    *,
    ends_attempt: bool,
) -> None:
    parsed = parse(transaction(kind, ended))
    (notice,) = parsed.notices
    assert isinstance(notice, TransactionNotice)
    assert notice.kind is TransactionKind.PAYMENT
    assert (notice.status, notice.substate, notice.ends_attempt) == (status, substate, ends_attempt)
    assert notice.references.ours == ("ORD-1",)
    assert notice.amount == ProviderAmount("4990", "BAM", is_minor=True)
    assert parsed.dedupe_key == f"7:{kind} {ended}"


def test_a_callback_and_a_webhook_tell_one_thing() -> None:
    body = transaction("purchase")
    assert parse({"event": "transaction:purchase:approved", "payload": body}) == parse(body)


def test_an_attempt_and_a_capture_have_ids_of_their_own() -> None:
    (attempt,) = parse(transaction("authorize")).notices
    (capture,) = parse(transaction("capture")).notices
    assert isinstance(attempt, TransactionNotice)
    assert isinstance(capture, TransactionNotice)
    assert (attempt.psp_transaction_id, attempt.references.psp) == ("7", ("7",))
    assert (attempt.capture_id, capture.capture_id) == (None, "7")
    assert (capture.psp_transaction_id, capture.references.psp) == (None, ())


@pytest.mark.parametrize(
    ("ended", "status"),
    [("approved", TransactionStatus.APPROVED), ("declined", TransactionStatus.DECLINED)],
)
def test_a_refund_is_a_transaction_of_its_own(ended: str, status: TransactionStatus) -> None:
    (notice,) = parse(transaction("refund", ended)).notices
    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.REFUND, status)
    assert notice.psp_transaction_id == "7"


@pytest.mark.parametrize(
    "body",
    [
        {"event": "transaction:void:declined", "payload": transaction("void", "declined")},
        {"event": "payment-method:tokenized", "payload": {}},
    ],
)
def test_what_changes_nothing_is_only_kept(body: dict[str, Any]) -> None:
    assert isinstance(parse(body).notices[0], NoteNotice)


def test_of_a_card_only_its_ends_are_kept() -> None:
    (notice,) = parse(transaction("purchase")).notices
    assert isinstance(notice, TransactionNotice)
    assert notice.details == {
        "cardBin": "411111",
        "cardLastFour": "1111",
        "cardBrand": "visa",
    }
