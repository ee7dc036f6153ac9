"""Postmark (ActiveCampaign): what became of e-mails. Nothing is signed.

One JSON object for each event, with `RecordType`. The only proof is the user and password that
the owner writes into the webhook's URL; Postmark sends them as `Authorization: Basic`.

Sources: postmarkapp.com/developer/webhooks (overview, one page for each event) and
/developer/api/bounce-api (bounce types); the official Node.js library's models; django-anymail.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from tillbell.model.callbacks import EmailNotice, ForwardNotice, NoteNotice, Notice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Verdict,
)
from tillbell.providers.kit.proof import (
    from_base64,
    key_bytes,
    same,
    secret_problem,
    verify_with_secrets,
)
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
from tillbell.providers.kit.requests import JSON, json_body, request, usual


class EmailMeaning(NamedTuple):
    """What a record means: the last part of our event type, and how lasting a bounce is."""

    event: str
    bounce_type: str | None = None


_BOUNCED, _DELAYED, _FAILED = (EmailMeaning(word) for word in ("bounced", "delayed", "failed"))
_SUPPRESSED, _UNSUBSCRIBED = EmailMeaning("suppressed"), EmailMeaning("unsubscribed")
_COMPLAINED, _PERMANENT = EmailMeaning("complained"), EmailMeaning("bounced", "permanent")
RECORDS = {
    "Delivery": EmailMeaning("delivered"),
    "Open": EmailMeaning("opened"),
    "Click": EmailMeaning("clicked"),
    "SpamComplaint": _COMPLAINED,
}
# Types of `Bounce`. The others are answers of people and machines, which leave the e-mail where it
# is: AutoResponder, AddressChange, ChallengeVerification, Subscribe, OpenRelayTest, Unknown.
BOUNCES = {
    "HardBounce": _PERMANENT,
    "BadEmailAddress": _PERMANENT,
    "SoftBounce": EmailMeaning("bounced", "temporary"),
    "Transient": _DELAYED,
    "DnsError": _DELAYED,
    "Blocked": _BOUNCED,
    "SpamNotification": _BOUNCED,
    "VirusNotification": _BOUNCED,
    "DMARCPolicy": _BOUNCED,
    "SpamComplaint": _COMPLAINED,
    "Unsubscribe": _UNSUBSCRIBED,
    "ManuallyDeactivated": _SUPPRESSED,
    "SMTPApiError": _FAILED,
    "TemplateRenderingFailed": _FAILED,
}
# Reasons of a `SubscriptionChange` that stops sending.
SUPPRESSIONS = {
    "HardBounce": _SUPPRESSED,
    "SpamComplaint": _SUPPRESSED,
    "ManualSuppression": _UNSUBSCRIBED,
}
TIMES = ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt")
AUTHORIZATION = "authorization"


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare user and password."""
    scheme, _, encoded = (incoming.header(AUTHORIZATION) or "").partition(" ")
    presented = from_base64(encoded) if scheme.lower() == "basic" else b""
    if not presented:
        why = "There is no Authorization: Basic. Write user:password@ into the webhook's URL."
        return Verdict(None, why)
    return verify_with_secrets(
        setup.secrets,
        lambda secret: same(presented, key_bytes(secret)),
        "User and password",
        Trust.SECRET,
    )


def _secret_problem(secret: str) -> str | None:
    if not all(secret.partition(":")):
        return "write user and password as in the URL: user:password"
    return secret_problem(secret)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. Only bounces and complaints have an id; of others the bytes are the key."""
    del setup
    body = json_object(incoming.body)
    record = required_text(body, "RecordType")
    number = text(body, "ID")
    key = f"{record[:100]}:{number}"[:KEY_MAX] if number is not None else None
    return ParsedNotices((_notice(record, body, incoming.body),), key)


def _notice(record: str, body: dict[str, Any], content: bytes) -> Notice:
    if record == "SubscriptionChange" and text(body, "MessageID") is None:
        return ForwardNotice("postmark.subscription_change", content)  # of no certain e-mail
    meaning = _meaning(record, body)
    if meaning is None:
        kind = " ".join(word for word in (record, text(body, "Type")) if word)
        return NoteNotice(f"{kind[:200]} does not tell where an e-mail is.")
    return _email(meaning, body)


def _meaning(record: str, body: dict[str, Any]) -> EmailMeaning | None:
    if record == "Bounce":
        return BOUNCES.get(text(body, "Type") or "")
    if record != "SubscriptionChange":
        return RECORDS.get(record)
    if body.get("SuppressSending") is False:
        return EmailMeaning("resubscribed")
    return SUPPRESSIONS.get(text(body, "SuppressionReason") or "")


def _email(meaning: EmailMeaning, body: dict[str, Any]) -> EmailNotice:
    address = text(body, "Email") or text(body, "Recipient")
    stream = text(body, "MessageStream")
    metadata = {"messageStream": stream} if stream is not None else {}
    has_failed = meaning.event in ("bounced", "delayed", "failed", "suppressed", "complained")
    reason = text(body, "Details") or text(body, "Description") or text(body, "SuppressionReason")
    return EmailNotice(
        email_id=required_text(body, "MessageID")[:KEY_MAX],
        event=meaning.event,
        to=present_values(address),
        sender=text(body, "From"),
        subject=text(body, "Subject"),
        reason=reason if has_failed else None,
        bounce_type=meaning.bounce_type,
        url=text(body, "OriginalLink"),
        metadata={**metadata, **plain_json(object_member(body, "Metadata"))},
        occurred_at=next((at for name in TIMES if (at := iso_time(body.get(name)))), None),
        recipient=address[:KEY_MAX] if address is not None else None,
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Send user and password as Postmark takes them out of the webhook's URL."""
    encoded = base64.b64encode(key_bytes(setup.secrets[0])).decode()
    headers = {"content-type": JSON, AUTHORIZATION: f"Basic {encoded}"}
    return request(case, url, json_body(case.fields), headers)


PROVIDER = Provider(
    name="postmark",
    title="Postmark",
    about="States of e-mails: delivered, bounced, opened, clicked, marked as spam, unsubscribed.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SECRET,
    bare_trust=None,
    secret=SecretRule(
        "User and password of your choice, as user:password. Write them into the webhook's URL: "
        "https://user:password@…",
        problem=_secret_problem,
    ),
    answers="200; 401 when user or password is wrong.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    masked=(AUTHORIZATION,),
    note="Postmark publishes its addresses; they may be listed in allowedNetworks.",
)
