"""Receivers that were written for somebody else accept what we send, and only that."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, tzinfo
from typing import Self

import pytest
import standardwebhooks
import svix.webhooks

from tests.cases import each
from tests.profiles import receivers
from tests.profiles.exchange import SENT_AT_S, Exchange, exchange, payload, sample
from tillbell import ed25519
from tillbell.profiles import PROFILES, profile
from tillbell.verify import VerificationError, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SPOKEN = {
    "standard": "order.paid",
    "svix": "order.paid",
    "cloudevents": "order.paid",
    "shoppex": "order.paid",
    "zenofy": "order.paid",
    "mozarto": "transaction.approved",
    "mozarto-legacy": "transaction.approved",
    "slack": "order.paid",
    "discord": "order.paid",
    "teams": "order.paid",
}
DOCUMENTS = {
    "order.paid": sample("paid_order"),
    "transaction.approved": sample("approved_transaction"),
}


def sent(name: str, *secrets: str, part: int = 0) -> Exchange:
    event_type = SPOKEN[name]
    return exchange(name, event_type, DOCUMENTS[event_type], *secrets, part=part)


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the reference library's clock to when the samples are sent."""

    class Present(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(SENT_AT_S + 3, tz or UTC)

    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Present)


def test_shoppex_receiver() -> None:
    body, headers = sent("shoppex", "a shop secret")
    assert receivers.shoppex(body, headers, "a shop secret") == (
        200,
        "fulfil 673f92b2c3d94a0012abcd01",
    )
    assert receivers.shoppex(body + b" ", headers, "a shop secret")[0] == 401
    body, headers = sent("shoppex", "a shop secret", part=1)
    assert receivers.shoppex(body, headers, "a shop secret") == (200, "OK")


def test_zenofy_receiver() -> None:
    body, headers = sent("zenofy", "hush")
    accepted = receivers.zenofy(body, headers, "hush")
    assert accepted == (200, "order_paid PAID 673f92b2c3d94a0012abcd01")
    assert receivers.zenofy(body, headers, "Hush")[0] == 401


def test_mozarto_receiver() -> None:
    body, headers = sent("mozarto", "hush")
    assert receivers.mozarto(body, headers, "hush") == (200, "credit user_123 100.00")
    body, headers = exchange("mozarto", "transaction.on_hold", payload(id="t"), "hush")
    assert receivers.mozarto(body, headers, "hush") == (200, "wait")


def test_mozarto_legacy_receiver() -> None:
    body, headers = sent("mozarto-legacy", "tok")
    assert receivers.mozarto_legacy(body, headers, "tok") == (200, "credit user_123")
    assert receivers.mozarto_legacy(body, headers, "")[0] == 401


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("name", ["standard", "cloudevents"])
def test_standard_webhooks_library(name: str) -> None:
    body, headers = sent(name, OTHER, SECRET)
    for secret in (SECRET, OTHER):
        assert standardwebhooks.Webhook(secret).verify(body, headers) == json.loads(body)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(body + b" ", headers)


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("name", ["standard", "svix"])
def test_svix_library(name: str) -> None:
    body, headers = sent(name, SECRET)
    svix.webhooks.Webhook(SECRET).verify(body, headers)
    with pytest.raises(svix.webhooks.WebhookVerificationError):
        svix.webhooks.Webhook(OTHER).verify(body, headers)


@pytest.mark.usefixtures("present")
def test_secret_without_prefix_signs_as_its_owner_means_it() -> None:
    body, headers = sent("standard", SECRET.removeprefix("whsec_"))
    standardwebhooks.Webhook(SECRET).verify(body, headers)


@pytest.mark.usefixtures("present")
def test_new_shoppex_secret_serves_both_signatures() -> None:
    secret = profile("shoppex").new_secret(b"e" * 32)
    body, headers = sent("shoppex", secret)
    assert receivers.shoppex(body, headers, secret)[0] == 200
    standardwebhooks.Webhook(secret).verify(body, headers)


def test_plain_secret_of_a_platform_also_signs_with_a_timestamp() -> None:
    body, headers = sent("zenofy", "hush")
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"hush", content, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_ed25519_receivers_need_only_the_public_key() -> None:
    secret = ed25519.new_secret(b"s" * 32)
    body, headers = sent("standard", secret)
    assert verify(body, headers, ed25519.public_text(secret), now=SENT_AT_S).id == "msg_1"


def _secret_of(name: str) -> str:
    return profile(name).new_secret(b"r" * 32)


@each("name", PROFILES)
def test_our_library_accepts_every_profile(name: str) -> None:
    body, headers = sent(name, _secret_of(name))
    verified = verify(body, headers, _secret_of(name), profile=name, now=SENT_AT_S + 3)
    assert (verified.id, verified.timestamp, verified.body) == ("msg_1", SENT_AT_S, body)


@each(
    ("name", "word"),
    [
        ("standard", "order.paid"),
        ("svix", "order.paid"),
        ("cloudevents", "order.paid"),
        ("shoppex", "order:paid"),
        ("zenofy", "order_paid"),
        ("mozarto", "Approved"),
        ("mozarto-legacy", "Confirmed"),
    ],
)
def test_our_library_tells_the_platforms_word(name: str, word: str) -> None:
    body, headers = sent(name, _secret_of(name))
    verified = verify(body, headers, _secret_of(name), profile=name, now=SENT_AT_S)
    assert verified.event_type == word
    assert verified.json() == json.loads(body)


@each("name", PROFILES)
def test_our_library_refuses_a_changed_body_and_another_secret(name: str) -> None:
    secret = _secret_of(name)
    body, headers = sent(name, secret)
    changed = body.replace(b"a", b"b", 1)
    for forged_body, forged_secret in ((changed, secret), (body, profile(name).new_secret(b"z"))):
        with pytest.raises(VerificationError) as refusal:
            verify(forged_body, headers, forged_secret, profile=name, now=SENT_AT_S)
        assert refusal.value.reason == "no_match"


@each("name", PROFILES)
def test_rotation_loses_nothing_for_a_receiver_that_knows_both(name: str) -> None:
    old, new = _secret_of(name), profile(name).new_secret(b"n" * 32)
    for secrets in ((old,), (new, old), (new,)):
        body, headers = sent(name, *secrets)
        assert verify(body, headers, [old, new], profile=name, now=SENT_AT_S).id == "msg_1"
