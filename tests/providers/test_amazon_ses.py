"""Amazon SES through SNS: the documented texts, both versions, one topic, pinned certificates."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.cases import each
from tests.providers.pinned import TOPIC, another, pinned
from tillbell.model.callbacks import EmailNotice, NoteNotice, Notice
from tillbell.model.sources import Trust
from tillbell.providers.amazon_ses import PROVIDER, signed_text
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup
from tillbell.providers.kit.cases import samples

AT = 1_772_359_200_000_000
YEAR = 365 * 86_400_000_000
URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0000.pem"
# The page "Verifying the signatures of Amazon SNS messages" shows these two texts to sign.
NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "4d4dc071-ddbf-465d-bba8-08f81c89da64",
    "TopicArn": "arn:aws:sns:us-east-2:123456789012:s4-MySNSTopic-1G1WEFCOXTC0P",
    "Subject": "My subject",
    "Message": "My Test Message",
    "Timestamp": "2019-01-31T04:37:04.321Z",
}
NOTIFICATION_TEXT = b"""Message
My Test Message
MessageId
4d4dc071-ddbf-465d-bba8-08f81c89da64
Subject
My subject
Timestamp
2019-01-31T04:37:04.321Z
TopicArn
arn:aws:sns:us-east-2:123456789012:s4-MySNSTopic-1G1WEFCOXTC0P
Type
Notification
"""
CONFIRMATION = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "3d891288-136d-417f-bc05-901c108273ee",
    "Token": "233",
    "TopicArn": "arn:aws:sns:us-east-2:123456789012:s4-MySNSTopic-1G1WEFCOXTC0P",
    "Message": "My Test Message",
    "SubscribeURL": "https://sns.us-east-2.amazonaws.com/?Action=ConfirmSubscription&Token=233",
    "Timestamp": "2019-01-31T19:25:13.719Z",
}
CONFIRMATION_TEXT = b"""Message
My Test Message
MessageId
3d891288-136d-417f-bc05-901c108273ee
SubscribeURL
https://sns.us-east-2.amazonaws.com/?Action=ConfirmSubscription&Token=233
Timestamp
2019-01-31T19:25:13.719Z
Token
233
TopicArn
arn:aws:sns:us-east-2:123456789012:s4-MySNSTopic-1G1WEFCOXTC0P
Type
SubscriptionConfirmation
"""


def setup(**config: Any) -> SourceSetup:
    return SourceSetup((), {**pinned("amazon-ses"), **config})


def signed(version: str, **changed: Any) -> Incoming:
    """Sign the documented text with a key of ours, without the adapter."""
    key = load_pem_private_key(pinned("amazon-ses")["simulatorKey"].encode(), password=None)
    assert isinstance(key, RSAPrivateKey)
    algorithm = SHA1() if version == "1" else SHA256()
    signature = base64.b64encode(key.sign(NOTIFICATION_TEXT, PKCS1v15(), algorithm)).decode()
    message = {
        **NOTIFICATION,
        "SignatureVersion": version,
        "Signature": signature,
        "SigningCertURL": URL,
        **changed,
    }
    body = json.dumps({name: value for name, value in message.items() if value is not ...})
    return Incoming("POST", "/x", (), body.encode(), AT)


def trust(incoming: Incoming, **config: Any) -> Trust | None:
    topic = {"topicArn": NOTIFICATION["TopicArn"]}
    return PROVIDER.verify(incoming, setup(**{**topic, **config})).trust


def told(event: dict[str, Any] | str, **message: Any) -> list[Notice]:
    content = event if isinstance(event, str) else json.dumps(event)
    body = json.dumps({**NOTIFICATION, "Message": content, **message}).encode()
    return list(PROVIDER.parse(Incoming("POST", "/x", (), body, AT), setup()).notices)


# ── proof ────────────────────────────────────────────────────────────────────────────────────────


def test_the_text_to_sign_is_the_documented_one() -> None:
    assert signed_text(NOTIFICATION) == NOTIFICATION_TEXT
    assert signed_text(CONFIRMATION) == CONFIRMATION_TEXT
    without = {name: value for name, value in NOTIFICATION.items() if name != "Subject"}
    assert signed_text(without) == NOTIFICATION_TEXT.replace(b"Subject\nMy subject\n", b"")


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_are_accepted(version: str) -> None:
    assert trust(signed(version)) is Trust.SIGNED


@each(
    "changed",
    [
        {"Message": "My Test Messagf"},
        {"MessageId": "4d4dc071-ddbf-465d-bba8-08f81c89da65"},
        {"Subject": ...},
        {"Subject": "my subject"},
        {"Timestamp": "2019-01-31T04:37:04.322Z"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"SignatureVersion": ...},
        {"Signature": ...},
        {"Signature": "AAAA"},
        {"Type": "SubscriptionConfirmation"},
        {"Type": "Other"},
        {"MessageId": ...},
        {"MessageId": 7},
    ],
)
def test_one_thing_changed_is_refused(changed: dict[str, Any]) -> None:
    assert trust(signed("2", **changed)) is None


def test_where_a_value_ends_cannot_be_moved() -> None:
    merged = "My Test Message\nMessageId\n4d4dc071-ddbf-465d-bba8-08f81c89da64"
    moved = signed("2", MessageId="My subject\nTimestamp\n2019-01-31T04:37:04.321Z", Message=merged)
    assert trust(moved) is None
    assert signed_text({**NOTIFICATION, "MessageId": "a\nb"}) is None
    assert signed_text({**NOTIFICATION, "Message": "a\nb"}) is not None


def test_another_topic_is_refused_though_amazon_signed_it() -> None:
    verdict = PROVIDER.verify(signed("2"), setup())
    assert verdict.trust is None
    assert "topicArn" in verdict.why


@each(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0.pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com/bucket/key.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem?x=1",
        "",
        None,
    ],
)
def test_a_certificate_from_elsewhere_is_refused(url: str | None) -> None:
    assert trust(signed("2", SigningCertURL=url)) is None


def test_the_addresses_of_china_are_amazons_too() -> None:
    china = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0000.pem"
    assert trust(signed("2", SigningCertURL=china)) is Trust.SIGNED


def test_only_a_pinned_certificate_in_its_time_proves_anything() -> None:
    other = another("amazon-ses")["certificate"]
    assert trust(signed("2"), certificate=other + pinned("amazon-ses")["certificate"]) is not None
    assert trust(signed("2"), certificate=other) is None
    assert trust(signed("2")._replace(received_at=AT + 11 * YEAR)) is None
    verdict = PROVIDER.verify(signed("2"), setup(certificate="", topicArn=NOTIFICATION["TopicArn"]))
    assert URL in verdict.why


def test_a_raw_message_is_refused_with_advice() -> None:
    raw = Incoming("POST", "/x", (), b'{"eventType":"Send","mail":{"messageId":"m"}}', AT)
    verdict = PROVIDER.verify(raw, setup())
    assert verdict.trust is None
    assert "Raw message delivery" in verdict.why


def test_a_simulated_message_comes_from_the_topic_of_the_source() -> None:
    case = samples("amazon-ses")["bounce"].case._replace(at=AT)
    arn = f"{TOPIC}-2"
    made = PROVIDER.sign(case, setup(topicArn=arn), "https://hooks.example/x")
    incoming = made._replace(received_at=AT)
    assert PROVIDER.verify(incoming, setup(topicArn=arn)).trust is Trust.SIGNED
    with pytest.raises(ValueError, match="simulatorKey"):
        PROVIDER.sign(SimulationCase({}), SourceSetup(), "https://hooks.example/x")


# ── meaning ──────────────────────────────────────────────────────────────────────────────────────


def test_a_confirmation_shows_the_address_to_open() -> None:
    body = json.dumps(CONFIRMATION).encode()
    parsed = PROVIDER.parse(Incoming("POST", "/x", (), body, AT), setup())
    (notice,) = parsed.notices
    assert isinstance(notice, NoteNotice)
    assert CONFIRMATION["SubscribeURL"] in notice.text
    assert parsed.dedupe_key == CONFIRMATION["MessageId"]


def test_an_event_that_names_nobody_is_still_told() -> None:
    (notice,) = told({"eventType": "Send", "mail": {"messageId": "m"}})
    assert isinstance(notice, EmailNotice)
    assert (notice.email_id, notice.event, notice.recipient) == ("m", "sent", None)


@each(
    "event",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        {"eventType": "Invented", "mail": {"messageId": "m"}},
        {"notificationType": "Received", "mail": {"messageId": "m"}},
        {"notificationType": "AmazonSnsSubscriptionSucceeded"},
    ],
)
def test_what_tells_no_state_is_only_noted(event: dict[str, Any] | str) -> None:
    (notice,) = told(event)
    assert isinstance(notice, NoteNotice)
