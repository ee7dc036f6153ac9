"""SendGrid (Twilio): what became of e-mails, in batches, signed with ECDSA.

A JSON array of events: `{"event", "email", "timestamp", "sg_event_id", "sg_message_id", …}`, with
the custom arguments of the e-mail beside them. `X-Twilio-Email-Event-Webhook-Signature` is
ECDSA P-256 with SHA-256 over `<timestamp header><body>`; the public key is shown at SendGrid.
A batch is sent again for 24 hours, and an event may come in two batches.

Sources: twilio.com/docs/sendgrid, Event Webhook (reference, security, troubleshooting); the
official libraries' EventWebhook with its test vector.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_der_public_key,
    load_pem_private_key,
)

from tillbell.clock import SECOND
from tillbell.model.callbacks import EmailNotice, NoteNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit import timedmac
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
from tillbell.providers.kit.proof import clock_problem, from_base64
from tillbell.providers.kit.reading import (
    KEY_MAX,
    json_value,
    plain_json,
    present_values,
    text,
    unix_seconds,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual

EVENTS = {
    "processed": "sent",
    "deferred": "delayed",
    "delivered": "delivered",
    "bounce": "bounced",
    "dropped": "failed",
    "open": "opened",
    "click": "clicked",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
    "group_resubscribe": "resubscribed",
}
# Reasons of `dropped`: the address is on one of SendGrid's own lists.
SUPPRESSED = frozenset(
    {"bounced address", "unsubscribed address", "spam reporting address", "invalid"}
)
# Types of `bounce`. A block is of this e-mail, not of the address.
BOUNCES = {"bounce": "permanent", "blocked": "temporary"}
# Members that SendGrid writes itself. Any other is a custom argument of the e-mail.
OWN_MEMBERS = frozenset(
    {
        "asm_group_id",
        "attempt",
        "bounce_classification",
        "category",
        "cert_err",
        "email",
        "event",
        "ip",
        "marketing_campaign_id",
        "marketing_campaign_name",
        "newsletter",
        "pool",
        "post_type",
        "reason",
        "response",
        "send_at",
        "sg_content_type",
        "sg_event_id",
        "sg_machine_open",
        "sg_message_id",
        "sg_template_id",
        "sg_template_name",
        "sg_user_id",
        "singlesend_id",
        "singlesend_name",
        "smtp-id",
        "status",
        "template_id",
        "template_hash",
        "template_version_id",
        "timestamp",
        "tls",
        "type",
        "url",
        "url_offset",
        "useragent",
    }
)
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
TOLERANCE = timedmac.tolerance(86_400)
PUBLIC_KEY = ProviderSetting(
    "publicKey",
    "SendGrid's verification key, as it is shown beside the webhook; several while it changes.",
    is_required=True,
)
SIMULATOR_KEY = ProviderSetting(
    "simulatorKey",
    "Only to simulate SendGrid: the private key, in PEM, of a public key of your own.",
    is_secret=True,
)
_MARKER = re.compile(r"-----(BEGIN|END) PUBLIC KEY-----")
_TAIL = re.compile(r"\.(filter|recvd).*", re.DOTALL)  # which machine took it, and for whom


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Check the time, then the signature with each of the source's public keys."""
    signature, time = incoming.header(SIGNATURE), incoming.header(TIMESTAMP)
    if not signature or not time:
        return Verdict(None, f"{SIGNATURE} or {TIMESTAMP} is missing or stands twice.")
    keys = _public_keys(str(setup.config.get(PUBLIC_KEY.name) or ""))
    if not keys:
        why = "config.publicKey holds no ECDSA key. Copy SendGrid's verification key."
        return Verdict(None, why)
    seconds = setup.config.get(TOLERANCE.name)
    tolerance_s = seconds if isinstance(seconds, int) else int(TOLERANCE.default)
    if wrong := clock_problem(unix_seconds(time), incoming.received_at, tolerance_s):
        return Verdict(None, wrong)
    signed = time.encode("latin-1", "replace") + incoming.body
    if any(_verifies(key, from_base64(signature), signed) for key in keys):
        return Verdict(Trust.SIGNED, f"{SIGNATURE} matches.")
    return Verdict(None, f"{SIGNATURE} does not match. Check config.publicKey.")


@lru_cache(maxsize=64)
def _public_keys(texts: str) -> tuple[EllipticCurvePublicKey, ...]:
    """Read public keys in base64 or PEM, one after another; () if one of them is none."""
    keys = []
    for block in _MARKER.sub("\n\n", texts).split("\n\n"):
        if encoded := "".join(block.split()):
            try:
                key = load_der_public_key(from_base64(encoded))
            except (ValueError, UnsupportedAlgorithm):
                return ()
            if not isinstance(key, EllipticCurvePublicKey):
                return ()
            keys.append(key)
    return tuple(keys)


def _verifies(key: EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read a batch of events. Each counts once, in whichever batch it comes."""
    del setup
    events = json_value(incoming.body)
    if not isinstance(events, list) or not events:
        raise Unreadable("The body is not a JSON array of events.")
    keys = [_event_key(event) for event in events]
    notices = tuple(
        _notice(event, key)
        for number, (event, key) in enumerate(zip(events, keys, strict=True))
        if key is None or key not in keys[:number]
    )
    return ParsedNotices(notices, keys[0] if len(keys) == 1 else None)


def _event_key(event: Any) -> str | None:
    key = text(event, "sg_event_id") if isinstance(event, dict) else None
    return key[:KEY_MAX] if key is not None else None


def _notice(event: Any, key: str | None) -> EmailNotice | NoteNotice:
    if not isinstance(event, dict):
        return NoteNotice("An item of the batch is not an event.")
    word, address = text(event, "event") or "", text(event, "email")
    email_id = text(event, "sg_message_id") or text(event, "smtp-id")
    if word not in EVENTS or email_id is None or address is None:
        return NoteNotice(f"{word[:100] or 'An event without a name'} is not about an e-mail.")
    custom = {name: value for name, value in event.items() if name not in OWN_MEMBERS}
    return EmailNotice(
        email_id=_TAIL.sub("", email_id)[:KEY_MAX],
        event=_meaning(word, event),
        to=present_values(address),
        reason=text(event, "reason") or (text(event, "response") if word == "deferred" else None),
        bounce_type=BOUNCES.get(text(event, "type") or "") if word == "bounce" else None,
        url=text(event, "url"),
        metadata=plain_json(custom),
        occurred_at=unix_seconds(event.get("timestamp")),
        recipient=address[:KEY_MAX],
        event_key=key,
    )


def _meaning(word: str, event: dict[str, Any]) -> str:
    is_suppressed = word == "dropped" and (text(event, "reason") or "").lower() in SUPPRESSED
    return "suppressed" if is_suppressed else EVENTS[word]


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as SendGrid sends it, with the key of the setting `simulatorKey`.

    Raises `ValueError` without that setting, because only SendGrid has SendGrid's own key.
    """
    pem = str(setup.config.get(SIMULATOR_KEY.name) or "")
    if not pem:
        raise ValueError("SendGrid's proof needs a private key: set config.simulatorKey.")
    key = load_pem_private_key(pem.encode("ascii"), password=None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise TypeError("The key is not an EC private key in PEM.")
    body, time = json_body(case.fields), str(case.at // SECOND)
    signature = key.sign(time.encode() + body, ECDSA(SHA256()))
    headers = {
        "content-type": JSON,
        SIGNATURE: base64.b64encode(signature).decode(),
        TIMESTAMP: time,
    }
    return request(case, url, body, headers)


PROVIDER = Provider(
    name="sendgrid",
    title="SendGrid",
    about="States of e-mails, in batches: delivered, bounced, opened, clicked, marked as spam.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=Trust.SIGNED,
    secret=None,
    answers="200; 401 when the signature does not match. Sent again for 24 hours.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(PUBLIC_KEY, TOLERANCE, SIMULATOR_KEY),
    note="Whether a repeat is signed anew is not documented, so a signature is good for a day.",
)
