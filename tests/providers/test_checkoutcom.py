"""Checkout.com: the documented signature, one action at a time, amounts in its own decimals."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import Notice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.checkoutcom import PROVIDER
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable

KEY = "8V8x0dLK%AyD*DNS8JJr"  # as the SDK's tests write one
SETUP = SourceSetup((KEY,))
BODY = '{"id":"evt_1","type":"payment_approved","data":{"id":"pay_1","note":"©"}}'.encode()


def signed(body: bytes, key: str = KEY) -> str:
    """Compute the signature as the documentation says: hex of the HMAC of the raw body."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def posted(body: bytes, *signatures: str) -> Incoming:
    headers = tuple(("cko-signature", signature) for signature in signatures)
    return Incoming("POST", "/", headers, body, 0)


def notice(
    data: dict[str, Any], word: str = "payment_captured", config: dict[str, Any] | None = None
) -> Notice:
    body = json.dumps({"id": "evt_1", "type": word, "data": data}).encode()
    (only,) = PROVIDER.parse(posted(body), SourceSetup((), config or {})).notices
    return only


def test_the_documented_signature_is_accepted_in_either_case() -> None:
    assert PROVIDER.verify(posted(BODY, signed(BODY)), SETUP).trust is Trust.SIGNED
    assert PROVIDER.verify(posted(BODY, signed(BODY).upper()), SETUP).trust is Trust.SIGNED


def test_what_is_simulated_has_the_documented_signature() -> None:
    incoming = PROVIDER.sign(SimulationCase({"id": "evt_1"}), SETUP, "https://hooks.example/x")
    assert incoming.header("cko-signature") == signed(incoming.body)


@each(
    "signatures",
    [
        (),
        ("",),
        (signed(BODY, KEY + " "),),
        (signed(BODY + b" "),),
        (signed(BODY)[:-1],),
        ("sha256=" + signed(BODY),),
        (signed(BODY), signed(BODY)),
    ],
)
def test_any_other_signature_is_refused(signatures: tuple[str, ...]) -> None:
    assert PROVIDER.verify(posted(BODY, *signatures), SETUP).trust is None


def test_no_flipped_bit_is_accepted() -> None:
    signature = signed(BODY)
    for position in range(len(BODY) * 8):
        body = bytearray(BODY)
        body[position // 8] ^= 1 << position % 8
        assert PROVIDER.verify(posted(bytes(body), signature), SETUP).trust is None


def test_an_event_counts_once_by_its_id() -> None:
    assert PROVIDER.parse(posted(BODY), SETUP).dedupe_key == "evt_1"


def test_captures_of_one_payment_are_told_apart() -> None:
    first = notice({"id": "pay_1", "action_id": "act_1", "amount": 1, "currency": "EUR"})
    second = notice({"id": "pay_1", "action_id": "act_2", "amount": 1, "currency": "EUR"})

    assert isinstance(first, TransactionNotice)
    assert isinstance(second, TransactionNotice)
    assert (first.capture_id, second.capture_id) == ("act_1", "act_2")
    assert first.psp_transaction_id == second.psp_transaction_id == "pay_1"


def test_metadata_is_no_reference_unless_its_owner_says_so() -> None:
    data = {"id": "pay_1", "metadata": {"order_id": "7", "other": "8"}}
    free, chosen = notice(data), notice(data, config={"reference": "metadata.order_id"})

    assert isinstance(free, TransactionNotice)
    assert isinstance(chosen, TransactionNotice)
    assert free.references.ours == ()
    assert chosen.references.ours == ("7",)


@pytest.mark.parametrize("word", ["payment_something_new", "dispute_something_new"])
def test_a_word_of_no_table_means_nothing(word: str) -> None:
    unknown = notice({"id": "dsp_1", "payment_id": "pay_1"}, word)

    assert isinstance(unknown, TransactionNotice)
    assert (unknown.status, unknown.ends_attempt) == (None, False)


def test_an_owner_gives_a_word_its_meaning() -> None:
    known = notice(
        {"id": "pay_1"}, "payment_returned", {"statuses": {"payment_returned": "Failed"}}
    )

    assert isinstance(known, TransactionNotice)
    assert known.status is TransactionStatus.FAILED


@each(
    ("word", "data"),
    [
        ("payment_captured", {}),
        ("payment_refunded", {"id": "pay_1"}),
        ("dispute_lost", {"id": "dsp_1"}),
        ("dispute_lost", {"payment_id": "pay_1"}),
    ],
)
def test_an_event_without_its_ids_is_unreadable(word: str, data: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        notice(data, word)


@each(
    ("host", "is_test"),
    [
        ("api.sandbox.checkout.com", True),
        ("abc.api.sandbox.checkout.com", True),
        ("api.checkout.com", False),
        ("abc.api.checkout.com", False),
        ("sandbox.checkout.com.evil.example", None),
        ("[", None),
    ],
)
def test_the_events_own_address_tells_test_from_live(host: str, is_test: bool | None) -> None:
    links = {"self": {"href": f"https://{host}/workflows/events/evt_1"}}
    event = {"id": "e", "type": "payment_pending", "data": {"id": "p"}, "_links": links}
    (only,) = PROVIDER.parse(posted(json.dumps(event).encode()), SETUP).notices

    assert isinstance(only, TransactionNotice)
    assert only.is_test is is_test
