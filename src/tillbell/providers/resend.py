"""Resend: what became of e-mails. Signed by Svix.

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

# The last part of our event type; what is not of an e-mail (contacts, domains) is only kept.
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
# Only `Permanent` closes an address; `Undetermined` does not say so, and is not told as either.
BOUNCES: Mapping[str, str] = {
    "permanent": "permanent",
    "temporary": "temporary",
    "transient": "temporary",
}


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. The Svix id is the same over all attempts."""
    del setup
    body = json_object(incoming.body)
    type_ = required_text(body, "type")
    key = standard_proof.event_id(incoming)
    event = EVENTS.get(type_)
    if event is None:
        return ParsedNotices((NoteNotice(f"{type_[:100]} is not about an e-mail."),), key)
    return ParsedNotices((_email(event, body),), key)


def _email(event: str, body: dict[str, Any]) -> EmailNotice:
    found = object_member(body, "data")
    bounce, click = object_member(found, "bounce"), object_member(found, "click")
    return EmailNotice(
        email_id=required_text(found, "email_id"),
        event=event,
        to=_addresses(found.get("to")),
        sender=text(found, "from"),
        subject=text(found, "subject"),
        reason=_reason(found, bounce),
        bounce_type=BOUNCES.get((text(bounce, "type") or "").lower()),
        url=text(click, "link"),
        metadata=plain_json(_tags(found.get("tags"))),
        occurred_at=iso_time(body.get("created_at")),
    )


def _reason(found: dict[str, Any], bounce: dict[str, Any]) -> str | None:
    return (
        text(bounce, "message")
        or text(object_member(found, "failed"), "reason")
        or text(object_member(found, "suppressed"), "message")
    )


def _addresses(found: Any) -> tuple[str, ...]:
    several = found if isinstance(found, list) else [found]
    return present_values(*[plain_json(address) for address in several if isinstance(address, str)])


def _tags(found: Any) -> dict[str, Any]:
    """Return tags as an object; they are sent as one, or as they were set: a list of pairs."""
    if isinstance(found, dict):
        return found
    pairs = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return {name: one.get("value") for one in pairs if (name := text(one, "name"))}


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Svix sends it for Resend."""
    body = json_body(case.fields)
    start = standard_proof.SVIX
    return request(case, url, body, standard_proof.signing_headers(case, setup, body, start))


PROVIDER = Provider(
    name="resend",
    title="Resend",
    about="What became of e-mails: delivered, bounced, opened, clicked, marked as spam.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        about="Resend → Webhooks → the endpoint → Signing secret (whsec_…).",
        problem=standard_proof.secret_problem,
    ),
    answers="200; 401 when the signature does not match.",
    verify=standard_proof.verify,
    parse=parse,
    answer=usual(malformed=200),
    sign=sign,
)
