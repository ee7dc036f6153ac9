"""Resend: whether e-mails were delivered, bounced, opened and so on. Signed by Svix.

`{"type": "email.bounced", "created_at", "data": {"email_id", "from", "to", "subject", …}}`.
Sent at least once, in no order, again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h; an
endpoint that keeps failing is disabled, so what is genuine is always answered 200.
Source: resend.com/docs/webhooks, docs.svix.com.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.model.callbacks import EmailNotice, NoteNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit import standard_proof
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SecretRule,
    SimulationCase,
    SourceSetup,
)
from tillbell.providers.kit.proof import prefixed_secret
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    plain_json,
    present_values,
    required_text,
    text,
)
from tillbell.providers.kit.requests import json_body, request, usual

# The last part of our event type. Events of contacts and domains are only noted.
EVENTS: Mapping[str, str] = {
    "email.sent": "sent",
    "email.scheduled": "scheduled",
    "email.delivered": "delivered",
    "email.delivery_delayed": "delayed",
    "email.bounced": "bounced",
    "email.complained": "complained",
    "email.opened": "opened",
    "email.clicked": "clicked",
    "email.failed": "failed",
    "email.suppressed": "suppressed",
    "email.received": "received",
}
# Only `Permanent` suppresses an address. `Undetermined` is neither and left out.
BOUNCES: Mapping[str, str] = {
    "permanent": "permanent",
    "temporary": "temporary",
    "transient": "temporary",
}


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. Its Svix id stays the same over all attempts."""
    del setup
    body = json_object(incoming.body)
    type_ = required_text(body, "type")
    key = standard_proof.event_id(incoming)
    event = EVENTS.get(type_)
    if event is None:
        return ParsedNotices((NoteNotice(f"{type_[:100]} is not about an e-mail."),), key)
    return ParsedNotices((_email(event, body),), key)


def _email(event: str, body: dict[str, Any]) -> EmailNotice:
    email = object_member(body, "data")
    bounce, click = object_member(email, "bounce"), object_member(email, "click")
    return EmailNotice(
        email_id=required_text(email, "email_id"),
        event=event,
        to=_addresses(email.get("to")),
        sender=text(email, "from"),
        subject=text(email, "subject"),
        reason=_reason(email, bounce),
        bounce_type=BOUNCES.get((text(bounce, "type") or "").lower()),
        url=text(click, "link"),
        metadata=plain_json(_tags(email.get("tags"))),
        occurred_at=iso_time(body.get("created_at")),
    )


def _reason(email: dict[str, Any], bounce: dict[str, Any]) -> str | None:
    return (
        text(bounce, "message")
        or text(object_member(email, "failed"), "reason")
        or text(object_member(email, "suppressed"), "message")
    )


def _addresses(value: Any) -> tuple[str, ...]:
    several = value if isinstance(value, list) else [value]
    return present_values(*[plain_json(address) for address in several if isinstance(address, str)])


def _tags(value: Any) -> dict[str, Any]:
    """Return tags as an object. They come as an object, or as a list of name and value."""
    if isinstance(value, dict):
        return value
    pairs = [tag for tag in value if isinstance(tag, dict)] if isinstance(value, list) else []
    return {name: tag.get("value") for tag in pairs if (name := text(tag, "name"))}


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Svix sends it for Resend."""
    body = json_body(case.fields)
    start = standard_proof.SVIX
    return request(case, url, body, standard_proof.signing_headers(case, setup, body, start))


def _secret_problem(secret: str) -> str | None:
    return prefixed_secret("whsec_")(secret) or standard_proof.secret_problem(secret)


PROVIDER = Provider(
    name="resend",
    title="Resend",
    about="States of e-mails: delivered, bounced, opened, clicked, marked as spam.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        about="Resend → Webhooks → the endpoint → Signing secret (whsec_…).",
        problem=_secret_problem,
    ),
    answers="200; 401 when the signature does not match.",
    verify=standard_proof.verify,
    parse=parse,
    answer=usual(malformed=200),
    sign=sign,
)
