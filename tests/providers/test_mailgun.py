"""Mailgun: what is signed and what is not, the main account's signature, a token once."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.clock import SECOND
from tillbell.model.callbacks import EmailNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming, IntakeStatus, SourceSetup
from tillbell.providers.mailgun import PROVIDER

AT = 1_772_359_200
KEY = "mailgun-signing-key-0123"
TOKEN = "4f1c9b7e2a6d8053c1e4b7a90f6d2c5b8e3a17d04c96f2b501"
SETUP = SourceSetup((KEY,))


def digest(key: str, time: str = str(AT), token: str = TOKEN) -> str:
    """Sign as Mailgun's page says: time and token without separator, HMAC-SHA256 in hex."""
    return hmac.new(key.encode(), f"{time}{token}".encode(), hashlib.sha256).hexdigest()


def posted(signature: dict[str, Any], **event: Any) -> Incoming:
    headers = {"message-id": "1@shop.example"}
    data = {"event": "delivered", "recipient": "ada@example.com", "message": {"headers": headers}}
    body = {"signature": signature, "event-data": {**data, **event}}
    return Incoming("POST", "/x", (), json.dumps(body).encode(), AT * SECOND)


def signed(**changed: Any) -> dict[str, Any]:
    return {"timestamp": str(AT), "token": TOKEN, "signature": digest(KEY), **changed}


def trust(signature: dict[str, Any], setup: SourceSetup = SETUP) -> Trust | None:
    return PROVIDER.verify(posted(signature), setup).trust


def test_a_signature_made_as_the_page_says_is_accepted() -> None:
    assert trust(signed()) is Trust.PARTIALLY_SIGNED
    assert trust(signed(timestamp=AT)) is Trust.PARTIALLY_SIGNED
    assert trust(signed(), SourceSetup(("newer-key", KEY))) is Trust.PARTIALLY_SIGNED


@each(
    "signature",
    [
        signed(timestamp=str(AT + 1)),
        signed(token=TOKEN[:-1] + "2"),
        signed(signature=digest("another-key")),
        signed(signature=digest(KEY)[:-2]),
        signed(signature=""),
        signed(token=None),
        signed(timestamp=None),
        {},
    ],
)
def test_another_time_token_or_key_is_refused(signature: dict[str, Any]) -> None:
    assert trust(signature) is None


def test_the_main_account_signs_for_its_subaccounts() -> None:
    of_subaccount = {"signature": digest("key-of-the-subaccount"), "parent-signature": digest(KEY)}
    assert trust(signed(**of_subaccount)) is Trust.PARTIALLY_SIGNED
    assert trust(signed(**of_subaccount), SourceSetup(("key-of-the-subaccount",))) is not None
    assert trust(signed(**of_subaccount), SourceSetup(("neither",))) is None


@pytest.mark.parametrize(("late_s", "is_good"), [(-1, True), (43_199, True), (43_201, False)])
def test_a_repeat_may_carry_the_first_time(late_s: int, *, is_good: bool) -> None:
    incoming = posted(signed())._replace(received_at=(AT + late_s) * SECOND)
    assert (PROVIDER.verify(incoming, SETUP).trust is not None) is is_good


def test_the_signed_token_is_what_makes_it_unique() -> None:
    delivered = PROVIDER.parse(posted(signed(), id="e1"), SETUP)
    forged = PROVIDER.parse(posted(signed(), id="e2", event="complained"), SETUP)
    assert delivered.dedupe_key == forged.dedupe_key == TOKEN


@each(
    ("event", "meaning", "bounce_type"),
    [
        ({"event": "failed", "severity": "permanent", "reason": "bounce"}, "bounced", "permanent"),
        ({"event": "failed", "severity": "permanent", "reason": "generic"}, "bounced", None),
        ({"event": "failed", "severity": "permanent"}, "bounced", None),
        ({"event": "failed", "severity": "temporary", "reason": "bounce"}, "delayed", None),
        (
            {"event": "failed", "severity": "permanent", "reason": "suppress-complaint"},
            "suppressed",
            None,
        ),
    ],
)
def test_only_a_hard_bounce_condemns_the_address(
    event: dict[str, Any], meaning: str, bounce_type: str | None
) -> None:
    (notice,) = PROVIDER.parse(posted(signed(), **event), SETUP).notices
    assert isinstance(notice, EmailNotice)
    assert (notice.event, notice.bounce_type) == (meaning, bounce_type)


def test_what_cannot_be_read_is_not_sent_again() -> None:
    assert PROVIDER.answer(posted(signed()), SETUP, IntakeStatus.MALFORMED).status == 406
    assert PROVIDER.answer(posted(signed()), SETUP, IntakeStatus.REFUSED).status == 401
