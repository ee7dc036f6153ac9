"""Mailgun (Sinch): what became of e-mails. The signature does not cover what the event says.

`{"signature": {"timestamp", "token", "signature"}, "event-data": {"event", "recipient", …}}`. The
signature is HMAC-SHA256 in hex over `<timestamp><token>` with the webhook signing key; for a
subaccount `parent-signature` is made with the key of the main account. A token counts once.
Sent again after 10, 10, 15 and 30 minutes, 1, 2 and 4 hours, unless the answer is 200 or 406.

Sources: documentation.mailgun.com (securing webhooks, webhook payloads, event types);
help.mailgun.com (webhooks); django-anymail, whose tests hold events as they came.
"""

from __future__ import annotations

from typing import Any

from tillbell.clock import SECOND
from tillbell.model.callbacks import EmailNotice, NoteNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit import timedmac
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.proof import (
    clock_problem,
    from_hex,
    is_one_of,
    key_bytes,
    mac,
    not_another_credential,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import (
    KEY_MAX,
    json_object,
    object_member,
    plain_json,
    present_values,
    required_text,
    text,
    unix_seconds,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual

EVENTS = {
    "accepted": "sent",
    "rejected": "failed",
    "delivered": "delivered",
    "failed temporary": "delayed",
    "failed permanent": "bounced",
    "opened": "opened",
    "clicked": "clicked",
    "unsubscribed": "unsubscribed",
    "complained": "complained",
}
# Reasons of a permanent failure. Only `bounce` says that the address itself is no good: the others
# are of one e-mail, for example one that was tried for too long.
PERMANENT = "bounce"
SUPPRESSED = "suppress-"  # begins the reasons that are about one of Mailgun's own lists
# A repeat comes up to eight hours later, and may carry the first time.
TOLERANCE = timedmac.tolerance(43_200)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Check the time, then compare the signature, or that of the main account."""
    try:
        signed = object_member(json_object(incoming.body), "signature")
    except Unreadable as error:
        return Verdict(None, str(error))
    time, token = text(signed, "timestamp"), text(signed, "token")
    signatures = [from_hex(text(signed, name)) for name in ("signature", "parent-signature")]
    if time is None or token is None or not any(signatures):
        return Verdict(None, "The body has no signature with timestamp, token and signature.")
    seconds = setup.config.get(TOLERANCE.name)
    tolerance_s = seconds if isinstance(seconds, int) else int(TOLERANCE.default)
    if wrong := clock_problem(unix_seconds(time), incoming.received_at, tolerance_s):
        return Verdict(None, wrong)
    return verify_with_secrets(
        setup.secrets,
        lambda secret: is_one_of(signatures, [_digest(secret, time, token)]),
        "The signature",
        Trust.PARTIALLY_SIGNED,
    )


def _digest(secret: str, time: str, token: str) -> bytes:
    return mac("sha256", key_bytes(secret), key_bytes(time + token))


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. Its id is unique for a day only, so the signed token is the key."""
    del setup
    body = json_object(incoming.body)
    token = text(object_member(body, "signature"), "token")
    key = token[:KEY_MAX] if token is not None else None
    event = object_member(body, "event-data")
    word = required_text(event, "event")
    headers = object_member(object_member(event, "message"), "headers")
    meaning, email_id = _meaning(word, event), text(headers, "message-id")
    if meaning is None or email_id is None:
        return ParsedNotices((NoteNotice(f"{word[:100]} is not about an e-mail."),), key)
    return ParsedNotices((_email(meaning, email_id, event, headers),), key)


def _meaning(word: str, event: dict[str, Any]) -> str | None:
    if word == "failed":
        word = f"{word} {text(event, 'severity') or ''}"
    if word == "failed permanent" and (text(event, "reason") or "").startswith(SUPPRESSED):
        return "suppressed"
    return EVENTS.get(word)


def _email(
    meaning: str, email_id: str, event: dict[str, Any], headers: dict[str, Any]
) -> EmailNotice:
    recipient = text(event, "recipient")
    is_permanent = meaning == "bounced" and text(event, "reason") == PERMANENT
    return EmailNotice(
        email_id=email_id.strip("<>")[:KEY_MAX],
        event=meaning,
        to=present_values(recipient),
        sender=text(headers, "from"),
        subject=text(headers, "subject"),
        reason=_reason(event)
        if meaning in ("bounced", "delayed", "failed", "suppressed")
        else None,
        bounce_type="permanent" if is_permanent else None,
        url=text(event, "url"),
        metadata=plain_json(object_member(event, "user-variables")),
        occurred_at=unix_seconds(event.get("timestamp")),
        recipient=recipient[:KEY_MAX] if recipient is not None else None,
    )


def _reason(event: dict[str, Any]) -> str | None:
    status = object_member(event, "delivery-status")
    return (
        text(status, "message")
        or text(status, "description")
        or text(object_member(event, "reject"), "reason")
        or text(event, "reason")
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Sign time and token; the token of the case, if it has one, else its id."""
    signature = dict(object_member(case.fields, "signature"))
    time, token = str(case.at // SECOND), text(signature, "token") or case.id
    signature |= {"timestamp": time, "token": token}
    signature["signature"] = _digest(setup.secrets[0], time, token).hex()
    body = json_body({**case.fields, "signature": signature})
    return request(case, url, body, {"content-type": JSON})


PROVIDER = Provider(
    name="mailgun",
    title="Mailgun",
    about="States of e-mails: delivered, failed, opened, clicked, marked as spam.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.PARTIALLY_SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Mailgun → Settings → API security → HTTP webhook signing key.",
        problem=not_another_credential(**{"pubkey-": "the public validation key"}),
    ),
    answers="200; 401 when the signature does not match; 406 to what cannot be read, so that it "
    "is not sent again.",
    verify=verify,
    parse=parse,
    answer=usual(malformed=406),
    sign=sign,
    settings=(TOLERANCE,),
    note="Only time and token are signed, not what the event says.",
)
