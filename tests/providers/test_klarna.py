"""Klarna: what its plugin accepts, pushes that only make us ask, disputes and payment requests."""

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import Notice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable
from tillbell.providers.klarna import PROVIDER

SETUP = SourceSetup(("klarna signing key 01",))
BODY = '{"metadata":{"event_id":"e1"},"payload":{"note":"øre"}}'.encode()
# `openssl dgst -sha256 -hmac` of BODY with this key, which is how Klarna's plugin compares.
RIGHT = "3090c70235efd5d8dc5f5d14335fc7a8c86a5b4e3906f10c9b62389c5239d0a9"


def posted(body: bytes, signature: str | None, target: str = "/", key_id: str = "k1") -> Incoming:
    headers: tuple[tuple[str, str], ...] = (("klarna-signing-key-id", key_id),)
    if signature is not None:
        headers = (("klarna-signature", signature), *headers)
    return Incoming("POST", target, headers, body, 0)


def read(word: str, config: dict[str, Any] | None = None, **payload: Any) -> Notice:
    metadata = {"event_type": word, "event_id": "e1", "live": True}
    body = json.dumps({"metadata": metadata, "payload": payload}).encode()
    parsed = PROVIDER.parse(posted(body, None), SourceSetup(config=config or {}))
    assert parsed.dedupe_key == "e1"
    (notice,) = parsed.notices
    return notice


def test_what_the_plugin_accepts_is_accepted() -> None:
    assert PROVIDER.verify(posted(BODY, RIGHT), SETUP).trust is Trust.SIGNED
    changed = BODY.replace(b"e1", b"e2")
    for refused in (posted(changed, RIGHT), posted(BODY, RIGHT[::-1]), posted(BODY, None)):
        assert PROVIDER.verify(refused, SETUP).trust is None
    assert PROVIDER.verify(posted(BODY, RIGHT), SourceSetup()).trust is None


def test_another_key_is_refused_where_the_source_names_its_own() -> None:
    setup = SETUP._replace(config={"keyId": "k1"})
    assert PROVIDER.verify(posted(BODY, RIGHT), setup).trust is Trust.SIGNED
    assert PROVIDER.verify(posted(BODY, RIGHT, key_id="k2"), setup).trust is None


@each(
    ("body", "target"),
    [
        (b"", "/hook?klarna_order_id=o-1"),
        (b'{"order_id": "o-1", "event_type": "FRAUD_RISK_ACCEPTED"}', "/hook"),
    ],
)
def test_an_order_is_asked_for(body: bytes, target: str) -> None:
    incoming = posted(body, None, target)
    assert PROVIDER.verify(incoming, SETUP).trust is Trust.NONE
    parsed = PROVIDER.parse(incoming, SETUP)
    (notice,) = parsed.notices
    assert isinstance(notice, TransactionNotice)
    assert (notice.psp_transaction_id, notice.status, notice.is_hint) == ("o-1", None, True)
    assert parsed.dedupe_key == "", "state changes without a new id"


def test_a_push_that_names_no_order_cannot_be_read() -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted(b"", None, "/hook?order=1"), SETUP)


def test_a_dispute_takes_its_amount_when_it_opens_and_gives_it_back_when_it_is_won() -> None:
    details = {"dispute_amount": 3990, "currency": "EUR"}
    about: dict[str, Any] = {
        "payment_dispute_id": "d1",
        "order_id": "o-1",
        "payment_transaction_id": "a1",
    }
    opened = read("payment.dispute.state-change.initiated", **about, dispute_details=details)
    won = read("payment.dispute.state-change.closed", **about, dispute_outcome="WON")
    assert isinstance(opened, TransactionNotice)
    assert isinstance(won, TransactionNotice)
    assert opened.amount == ProviderAmount("3990", "EUR", is_minor=True)
    assert (opened.kind, opened.status) == (TransactionKind.CHARGEBACK, TransactionStatus.APPROVED)
    assert (won.kind, won.amount) == (TransactionKind.CHARGEBACK_REVERSAL, None)
    assert opened.references.psp == won.references.psp == ("o-1", "a1")


def test_the_reference_is_one_configured_member() -> None:
    fields: dict[str, Any] = {
        "payment_request_id": "r1",
        "payment_request_reference": "O-1",
        "cart": "C-1",
    }
    word = "payment.request.state-change.completed"
    for config, ours in ((None, ("O-1",)), ({"reference": "cart"}, ("C-1",))):
        notice = read(word, config, **fields)
        assert isinstance(notice, TransactionNotice)
        assert notice.references.ours == ours
