"""Braintree: what its SDK signs and accepts, snapshots of transactions, captures, disputes."""

from __future__ import annotations

import base64
import random
import warnings
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from tests.cases import each
from tests.scale import full_or_tenth, soak
from tillbell.model.callbacks import NoteNotice, Notice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.braintree import PROVIDER
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable

PUBLIC, PRIVATE = "public_key", "a-private-key-0123456789abcdef"
SETUP = SourceSetup((PRIVATE,))
URL = "https://hooks.example/api/webhooks/braintree/token"
TRANSACTION_WITHOUT_ID = (
    "<notification><kind>transaction_settled</kind><subject><transaction>"
    "<status>settled</status></transaction></subject></notification>"
)
DISPUTE_WITHOUT_PAYMENT = (
    "<notification><kind>dispute_won</kind><subject><dispute>"
    "<id>d</id><status>won</status></dispute></subject></notification>"
)
KINDS = 40  # notifications that the SDK knows, at least


@cache
def sdk() -> Any:
    """Return the SDK's gateway; it warns while it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import braintree

    configuration = braintree.Configuration(
        environment=braintree.Environment.Sandbox,
        merchant_id="merchant",
        public_key=PUBLIC,
        private_key=PRIVATE,
    )
    return braintree.BraintreeGateway(configuration)


def sdk_accepts(signature: str, payload: str) -> bool:
    gateway = sdk()
    from braintree.exceptions.invalid_signature_error import InvalidSignatureError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gateway.webhook_notification.parse(signature, payload)
    except InvalidSignatureError:
        return False
    return True


def sample(kind: str, id_: str = "my_id") -> tuple[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fields = sdk().webhook_testing.sample_notification(kind, id_)
    return fields["bt_signature"], fields["bt_payload"].decode()


def kinds() -> list[str]:
    assert sdk()
    from braintree.webhook_notification import WebhookNotification

    members = vars(WebhookNotification.Kind).items()
    return [value for name, value in members if not name.startswith("_")]


def posted(signature: str, payload: str) -> Incoming:
    body = urlencode({"bt_signature": signature, "bt_payload": payload}).encode()
    return Incoming("POST", "/", (("content-type", "application/x-www-form-urlencoded"),), body, 0)


def ours_accepts(signature: str, payload: str, setup: SourceSetup = SETUP) -> bool:
    return PROVIDER.verify(posted(signature, payload), setup).trust is Trust.SIGNED


def notice(kind: str, subject: dict[str, Any], config: dict[str, Any] | None = None) -> Notice:
    fields = {"timestamp": "2026-03-01T10:00:00Z", "kind": kind, "subject": subject}
    incoming = PROVIDER.sign(SimulationCase(fields), SETUP, URL)
    (only,) = PROVIDER.parse(incoming, SourceSetup((PRIVATE,), config or {})).notices
    return only


def raw_notice(document: str) -> Notice:
    payload = base64.encodebytes(document.encode()).decode()
    (only,) = PROVIDER.parse(posted("", payload), SETUP).notices
    return only


def test_every_notification_of_the_sdk_is_proven_and_read() -> None:
    names = kinds()
    assert len(names) >= KINDS
    for kind in names:
        signature, payload = sample(kind)
        assert ours_accepts(signature, payload), kind
        assert PROVIDER.parse(posted(signature, payload), SETUP).notices, kind


@each(
    ("kind", "status", "money_kind"),
    [
        ("transaction_settled", "Approved", "payment"),
        ("transaction_disbursed", "Approved", "payment"),
        ("transaction_settlement_declined", "Failed", "payment"),
        ("local_payment_funded", "Approved", "payment"),
        ("local_payment_expired", "Cancelled", "payment"),
        ("local_payment_reversed", "Cancelled", "payment"),
        ("refund_failed", "Declined", "refund"),
        ("dispute_opened", "Approved", "chargeback"),
        ("dispute_lost", "Approved", "chargeback"),
        ("dispute_won", "Approved", "chargeback_reversal"),
    ],
)
def test_the_samples_of_the_sdk_mean_what_their_kind_says(
    kind: str, status: str, money_kind: str
) -> None:
    (only,) = PROVIDER.parse(posted(*sample(kind)), SETUP).notices
    assert isinstance(only, TransactionNotice)
    assert (only.status, only.kind) == (TransactionStatus(status), TransactionKind(money_kind))


def test_an_old_dispute_has_one_amount() -> None:
    (only,) = PROVIDER.parse(posted(*sample("dispute_won", "legacy_dispute_id")), SETUP).notices
    assert isinstance(only, TransactionNotice)
    assert only.amount is not None
    assert (only.amount.value, only.amount.currency) == ("250.00", "USD")


def test_the_sdk_accepts_what_we_simulate() -> None:
    fields = {"timestamp": "2026-03-01T10:00:00Z", "kind": "check", "subject": {"check": "true"}}
    incoming = PROVIDER.sign(SimulationCase(fields), SETUP, URL)
    form = parse_qs(incoming.body.decode())
    assert sdk_accepts(form["bt_signature"][0], form["bt_payload"][0])


def changed(chance: random.Random, signature: str, payload: str) -> tuple[str, str]:
    """Change one letter of the signature or payload, or how they are written."""
    key, _, hexadecimal = signature.partition("|")
    place = chance.randrange(len(payload) - 1)
    other = chance.choice("ABCDEFGHabcdefgh01234+/\n= é.")
    position = chance.randrange(len(hexadecimal))
    choices = [
        (signature, payload[:place] + other + payload[place + 1 :]),
        (signature, payload.rstrip("\n")),
        (signature, payload + "\n"),
        (signature, payload + "="),
        (f"{key}|{hexadecimal.upper()}", payload),
        (f"{key}|{hexadecimal[:position]}{hexadecimal[position + 1 :]}", payload),
        (f"other|{'0' * 40}&{signature}", payload),
        (hexadecimal, payload),
        (f"{key}|", payload),
        ("", payload),
        (signature, ""),
        (signature, payload),
    ]
    return chance.choice(choices)


@soak
def test_the_sdk_and_we_accept_the_same() -> None:
    chance, names, accepted, total = random.Random(20_260_301), kinds(), 0, full_or_tenth(3_000)
    for _ in range(total):
        signature, payload = changed(chance, *sample(chance.choice(names)))
        try:
            expected = sdk_accepts(signature, payload)
        except UnicodeEncodeError:  # the SDK wants ASCII
            expected = False
        assert ours_accepts(signature, payload) is expected, (signature, payload)
        accepted += expected
    assert total // 10 < accepted < total


def test_another_private_key_is_refused() -> None:
    signature, payload = sample("check")
    assert not ours_accepts(signature, payload, SourceSetup((PRIVATE + "0",)))
    assert ours_accepts(signature, payload, SourceSetup((PRIVATE + "0", PRIVATE)))


def test_no_flipped_bit_of_the_payload_is_accepted() -> None:
    signature, payload = sample("check")
    written = payload.encode()
    for position in range(len(written) * 7):
        flipped = bytearray(written)
        flipped[position // 7] ^= 1 << position % 7
        assert not ours_accepts(signature, flipped.decode()), position


def test_a_part_of_an_authorised_sum_is_a_capture_of_it() -> None:
    transaction = {"id": "tx2", "authorized_transaction_id": "tx1", "amount": "4.00"}
    settled = notice("transaction_settled", {"transaction": {**transaction, "status": "settled"}})
    waiting = notice("transaction_settled", {"transaction": {**transaction, "status": "settling"}})

    assert isinstance(settled, TransactionNotice)
    assert isinstance(waiting, TransactionNotice)
    assert (settled.psp_transaction_id, settled.capture_id) == ("tx1", "tx2")
    assert (waiting.psp_transaction_id, waiting.capture_id) == ("tx1", None)


def test_a_charge_of_a_subscription_need_not_be_known() -> None:
    newest = {"transaction": {"id": "tx1", "status": "settled", "amount": "4.00"}}
    subject = {"subscription": {"id": "s", "transactions": [newest]}}
    charged = notice("subscription_charged_successfully", subject)

    assert isinstance(charged, TransactionNotice)
    assert charged.is_optional
    assert isinstance(notice("subscription_canceled", subject), NoteNotice)


def test_a_word_of_no_table_means_nothing_until_its_owner_says() -> None:
    subject = {"transaction": {"id": "tx1", "status": "thinking"}}
    unknown = notice("transaction_settled", subject)
    known = notice("transaction_settled", subject, {"statuses": {"thinking": "Pending"}})

    assert isinstance(unknown, TransactionNotice)
    assert isinstance(known, TransactionNotice)
    assert (unknown.status, unknown.ends_attempt) == (None, False)
    assert known.status is TransactionStatus.PENDING


@each(
    "document",
    [
        "no xml",
        "<other/>",
        "<notification/>",
        "<notification>text</notification>",
        "<notification><kind>a</kind><kind>b</kind></notification>",
        "<notification>" + "<a>" * 70 + "</a>" * 70 + "</notification>",
        '<!DOCTYPE n [<!ENTITY e "x">]><notification><kind>&e;</kind></notification>',
        TRANSACTION_WITHOUT_ID,
        DISPUTE_WITHOUT_PAYMENT,
    ],
)
def test_what_is_no_notification_is_unreadable(document: str) -> None:
    with pytest.raises(Unreadable):
        raw_notice(document)


@pytest.mark.parametrize("payload", ["A", "====", "YQ", "Y=Q="])
def test_a_payload_that_is_no_base64_is_unreadable(payload: str) -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted("", payload), SETUP)


def test_names_may_be_written_with_underscores() -> None:
    only = raw_notice(
        "<notification><kind>local_payment_expired</kind><subject><local_payment_expired>"
        "<payment_id>lp1</payment_id></local_payment_expired></subject></notification>"
    )
    assert isinstance(only, TransactionNotice)
    assert only.psp_transaction_id == "lp1"
