"""Amazon SES: what became of e-mails, as Amazon SNS delivers it over HTTPS.

`{"Type": "Notification", "MessageId", "TopicArn", "Message": "<JSON of SES>", "Signature", …}`.
The signature is RSA with PKCS#1 v1.5 over the names and values of certain members, each followed
by a line feed, in the order of their names; version 1 with SHA-1, version 2 with SHA-256. All
topics of Amazon's customers in a region are signed with the same key, so the topic must be the
owner's. The certificate is pinned by the owner: the address that a message names for it must be
Amazon's, and is never fetched. A topic is silent until somebody opens the SubscribeURL.

Sources: docs.aws.amazon.com/sns (verifying signatures, message formats), docs.aws.amazon.com/ses
(contents and examples of event data and notifications).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from tillbell.model.callbacks import EmailNotice, NoteNotice, Notice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.certsig import certificates, is_signed_by, sign_with
from tillbell.providers.kit.order_fields import parts
from tillbell.providers.kit.proof import from_base64, key_bytes, same_text
from tillbell.providers.kit.reading import (
    KEY_MAX,
    iso_time,
    json_object,
    object_member,
    plain_json,
    present_values,
    required_text,
    text,
)
from tillbell.providers.kit.requests import json_body, request, usual

# What is signed. `Subject` only if the message has one.
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
TYPES = {
    "Notification": NOTIFICATION,
    "SubscriptionConfirmation": CONFIRMATION,
    "UnsubscribeConfirmation": CONFIRMATION,
}
ALGORITHMS: Mapping[str, HashAlgorithm] = {
    "1": SHA1(),  # noqa: S303 - what Amazon signs with unless the topic says version 2
    "2": SHA256(),
}
CERTIFICATE_URL = re.compile(
    r"https://sns\.[a-z0-9-]{3,32}\.amazonaws\.com(\.cn)?/SimpleNotificationService-\w{1,100}\.pem",
    re.ASCII,
)
EVENTS = {
    "Send": "sent",
    "Delivery": "delivered",
    "DeliveryDelay": "delayed",
    "Bounce": "bounced",
    "Complaint": "complained",
    "Reject": "failed",
    "Rendering Failure": "failed",
    "Open": "opened",
    "Click": "clicked",
}
MEMBERS = {"Rendering Failure": "failure", "DeliveryDelay": "deliveryDelay"}  # else in lower case
BOUNCES = {"Permanent": "permanent", "Transient": "temporary"}
TOPIC = ProviderSetting(
    "topicArn", "The ARN of your topic; what comes from another is refused.", is_required=True
)
CERTIFICATE = ProviderSetting(
    "certificate",
    "Amazon's signing certificate, or several, in PEM: what SigningCertURL of a message names.",
    is_required=True,
)
SIMULATOR_KEY = ProviderSetting(
    "simulatorKey",
    "Only to simulate Amazon SNS: the private key, in PEM, of a certificate of your own.",
    is_secret=True,
)


# ── proof ────────────────────────────────────────────────────────────────────────────────────────


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Check the topic, then the signature with the pinned certificates."""
    try:
        message = json_object(incoming.body)
    except Unreadable as error:
        return Verdict(None, str(error))
    signed = signed_text(message)
    if signed is None:
        return Verdict(
            None, "It is no message of SNS. Raw message delivery must be off: it is not signed."
        )
    if not same_text(str(message["TopicArn"]), _topic(setup)):
        return Verdict(None, "It comes from another topic than config.topicArn.")
    algorithm = ALGORITHMS.get(str(message.get("SignatureVersion")))
    if algorithm is None:
        return Verdict(None, "The SignatureVersion is neither 1 nor 2.")
    url = str(message.get("SigningCertURL"))
    if CERTIFICATE_URL.fullmatch(url) is None:
        return Verdict(None, "The SigningCertURL is not an address of Amazon SNS.")
    pem = str(setup.config.get(CERTIFICATE.name) or "")
    if not certificates(pem):
        return Verdict(None, f"No certificate is pinned. Set config.certificate to that of {url}.")
    signature = from_base64(text(message, "Signature"))
    if is_signed_by(pem, signature, signed, incoming.received_at, algorithm):
        return Verdict(Trust.SIGNED, "The signature of Amazon SNS matches.")
    why = f"The signature does not match. Has Amazon changed its certificate? See {url}"
    return Verdict(None, why)


def _topic(setup: SourceSetup) -> str:
    return str(setup.config.get(TOPIC.name) or "").strip()


def signed_text(message: Mapping[str, Any]) -> bytes | None:
    """Return what is signed; None if the message has not the members that its type needs.

    Only `Message` may hold a line feed, or where a value ends would not be proven.
    """
    names = TYPES.get(str(message.get("Type")))
    if names is None:
        return None
    lines = []
    for name in names:
        value = message.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str) or ("\n" in value and name != "Message"):
            return None
        lines += [name, value]
    return key_bytes("\n".join([*lines, ""]))


# ── meaning ──────────────────────────────────────────────────────────────────────────────────────


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one message. Its id stays the same over all attempts."""
    del setup
    message = json_object(incoming.body)
    key = required_text(message, "MessageId")[:KEY_MAX]
    kind = required_text(message, "Type")
    if kind != "Notification":
        return ParsedNotices((NoteNotice(_confirmation(kind, message)),), key)
    content = message.get("Message")
    if not isinstance(content, str) or not content.lstrip().startswith("{"):
        return ParsedNotices((NoteNotice("A message of SNS that is not of SES."),), key)
    return ParsedNotices(tuple(_notices(json_object(key_bytes(content)))), key)


def _confirmation(kind: str, message: dict[str, Any]) -> str:
    url = text(message, "SubscribeURL")
    if kind == "SubscriptionConfirmation":
        return f"Open this address to confirm the subscription: {url}"
    return f"The subscription was ended. To subscribe again open {url}"


def _notices(event: dict[str, Any]) -> Iterator[Notice]:
    """Read an event of SES: one notice for each recipient that it is about."""
    word = required_text(event, "eventType" if "eventType" in event else "notificationType")
    detail = object_member(event, MEMBERS.get(word, word.lower()))
    if word == "Subscription":
        yield from _subscription(event, detail)
    elif word not in EVENTS or text(detail, "complaintFeedbackType") == "not-spam":
        yield NoteNotice(f"{word[:100]} does not tell where an e-mail is.")
    elif word in ("Open", "Click"):  # by one of the recipients; SES does not tell which
        yield _email(EVENTS[word], event, detail)
    else:
        email = _email(EVENTS[word], event, detail)
        copies = [
            email._replace(to=(address,), reason=reason or email.reason, recipient=address)
            for address, reason in _recipients(event, detail)
        ]
        yield from copies or [email]


def _subscription(event: dict[str, Any], detail: dict[str, Any]) -> Iterator[Notice]:
    preferences = object_member(detail, "newTopicPreferences")
    if preferences.get("unsubscribeAll") is True:
        yield _email("unsubscribed", event, detail)
    else:
        yield NoteNotice("Subscription: the recipient has chosen among your topics.")


def _recipients(event: dict[str, Any], detail: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Give the addresses that an event is about, each with the reason that its server gave."""
    names = ("bouncedRecipients", "complainedRecipients", "delayedRecipients")
    members = [member for name in names for member in parts(detail, name)]
    if members:
        for member in members:
            yield required_text(member, "emailAddress")[:KEY_MAX], text(member, "diagnosticCode")
        return
    for address in _addresses(detail.get("recipients")) or _destination(event):
        yield address, None


def _destination(event: dict[str, Any]) -> tuple[str, ...]:
    return _addresses(object_member(event, "mail").get("destination"))


def _addresses(value: Any) -> tuple[str, ...]:
    several = value if isinstance(value, list) else []
    return present_values(*(plain_json(address) for address in several if isinstance(address, str)))


def _email(meaning: str, event: dict[str, Any], detail: dict[str, Any]) -> EmailNotice:
    mail = object_member(event, "mail")
    headers = object_member(mail, "commonHeaders")
    return EmailNotice(
        email_id=required_text(mail, "messageId")[:KEY_MAX],
        event=meaning,
        to=_destination(event),
        sender=text(mail, "source"),
        subject=text(headers, "subject"),
        reason=_reason(detail),
        bounce_type=BOUNCES.get(text(detail, "bounceType") or ""),
        url=text(detail, "link"),
        metadata=plain_json(_tags(object_member(mail, "tags"))),
        occurred_at=iso_time(detail.get("timestamp")) or iso_time(mail.get("timestamp")),
    )


def _reason(detail: dict[str, Any]) -> str | None:
    names = ("reason", "errorMessage", "delayType", "complaintFeedbackType", "bounceSubType")
    return next((reason for name in names if (reason := text(detail, name))), None)


def _tags(tags: dict[str, Any]) -> dict[str, Any]:
    """Return the owner's tags, each with its first value; those of SES begin with `ses:`."""
    return {
        name: values[0]
        for name, values in tags.items()
        if isinstance(values, list) and values and not name.startswith("ses:")
    }


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the message as SNS sends it, with the key of the setting `simulatorKey`.

    A `Message` that is an object is written as the JSON text that SES puts there. Raises
    `ValueError` without that setting, because only Amazon has Amazon's own key.
    """
    key = str(setup.config.get(SIMULATOR_KEY.name) or "")
    if not key:
        raise ValueError("The proof of SNS needs a private key: set config.simulatorKey.")
    content = case.fields.get("Message")
    message: dict[str, Any] = {
        "SignatureVersion": "2",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0000.pem",
        **case.fields,
        "Message": content if isinstance(content, str) else json_body(content).decode(),
    }
    if topic := _topic(setup):
        message["TopicArn"] = topic
    signed = signed_text(message)
    if signed is None:
        raise ValueError("A member that is signed is missing.")
    algorithm = ALGORITHMS[str(message["SignatureVersion"])]
    message["Signature"] = base64.b64encode(sign_with(key, signed, algorithm)).decode()
    headers = {
        "content-type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": str(message["Type"]),
        "x-amz-sns-message-id": str(message["MessageId"]),
        "x-amz-sns-topic-arn": str(message["TopicArn"]),
    }
    return request(case, url, json_body(message), headers)


PROVIDER = Provider(
    name="amazon-ses",
    title="Amazon SES",
    about="States of e-mails: delivered, bounced, opened, clicked, marked as spam. Through SNS.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=Trust.SIGNED,
    secret=None,
    answers="200; 403 when the signature or the topic is wrong.",
    verify=verify,
    parse=parse,
    answer=usual(refused=403),
    sign=sign,
    settings=(TOPIC, CERTIFICATE, SIMULATOR_KEY),
    note=(
        "Amazon's certificate is pinned, not fetched: add the new one before it changes. The "
        "subscription must be confirmed by opening the address in the callback log."
    ),
)
