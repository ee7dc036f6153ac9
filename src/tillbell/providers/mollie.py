"""Mollie: which payment changed, but not how.

Classic webhooks are a form with the payment's id and no proof at all: anybody who knows the
address can send one, so they only make us ask Mollie. The newer ones are JSON events, signed in
`X-Mollie-Signature: sha256=<hex>` (HMAC-SHA256 of the body; the header stands twice for a day while
the secret is changed). Unknown ids are answered 200 too.

Source: docs.mollie.com, Webhooks.
"""

from __future__ import annotations

from urllib.parse import urlencode

from tillbell.model.callbacks import NoteNotice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
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
    from_hex,
    is_one_of,
    mac,
    secret_problem,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import fields, iso_time, present_values, required_text, text
from tillbell.providers.kit.requests import FORM, JSON, json_body, request, usual

HEADER = "x-mollie-signature"
_PREFIX = "sha256="


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signatures of an event. A classic webhook has none and proves nothing."""
    written = [value for name, value in incoming.headers if name == HEADER][:2]
    if not written and not _is_event(incoming):
        return Verdict(Trust.NONE, "A classic webhook proves nothing: Mollie is asked.")
    signatures = [from_hex(value.removeprefix(_PREFIX)) for value in written]
    if not any(signatures):
        return Verdict(None, f"The event has no {HEADER} of hex.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: is_one_of(signatures, [_signature(secret, incoming.body)]),
        HEADER,
    )


def _is_event(incoming: Incoming) -> bool:
    return incoming.body.lstrip()[:1] == b"{"


def _signature(secret: str, body: bytes) -> bytes:
    return mac("sha256", secret.encode("utf-8", "surrogatepass"), body)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Say which payment changed. A hint is never a duplicate: every change sends the same one."""
    del setup
    body = fields(incoming)
    if not _is_event(incoming):
        return ParsedNotices((_changed(required_text(body, "id"), "changed"),), "")
    word, entity = required_text(body, "type"), text(body, "entityId") or ""
    if not entity.startswith("tr_"):
        return ParsedNotices(
            (NoteNotice(f"{word[:100]} is not about a payment."),), text(body, "id")
        )
    notice = _changed(entity, word)._replace(occurred_at=iso_time(body.get("createdAt")))
    return ParsedNotices((notice,), text(body, "id"))


def _changed(payment_id: str, word: str) -> TransactionNotice:
    return TransactionNotice(
        References(psp=present_values(payment_id)),
        raw_status=word,
        status=None,
        psp_transaction_id=payment_id,
        is_hint=True,
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Mollie sends it: a form of one id, or a signed event.

    Raises `ValueError` for an event without a secret, because events are signed.
    """
    if "entityId" not in case.fields:
        return request(case, url, urlencode(case.fields).encode(), {"content-type": FORM})
    if not setup.secrets:
        raise ValueError("An event is signed: the webhook's signing secret is missing.")
    body = json_body(case.fields)
    signature = _PREFIX + _signature(setup.secrets[0], body).hex()
    return request(case, url, body, {"content-type": JSON, HEADER: signature})


PROVIDER = Provider(
    name="mollie",
    title="Mollie",
    about="Which payment changed; how, Mollie must be asked.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=Trust.NONE,
    secret=SecretRule(
        "Mollie → Developers → Webhooks → the webhook's signing secret; classic ones have none.",
        is_required=False,
        problem=secret_problem,
    ),
    answers="200, also for ids that nobody knows; 401 when an event's signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(malformed=200),
    sign=sign,
    note="No webhook says what state the payment has: set lookupUrl, or a person must confirm.",
    statuses={
        "open": TransactionStatus.PENDING,
        "pending": TransactionStatus.PENDING,
        "authorized": TransactionStatus.PENDING,
        "paid": TransactionStatus.APPROVED,
        "failed": TransactionStatus.FAILED,
        "canceled": TransactionStatus.CANCELLED,
        "expired": TransactionStatus.CANCELLED,
    },
)
