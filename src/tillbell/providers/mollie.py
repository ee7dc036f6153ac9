"""Mollie: payments, captures, refunds and chargebacks.

Classic webhooks are a form with the payment's id and no proof at all: anybody who knows the
address can send one, so they only make us ask Mollie. The newer ones are JSON, signed in
`X-Mollie-Signature: sha256=<hex>` (HMAC-SHA256 of the body; the header stands twice for a day while
the secret is changed): an event with the entity in `_embedded`, an event without it, which makes us
ask too, or the entity alone. Unknown ids are answered 200 too.

Sources: docs.mollie.com, Webhooks, Next-gen webhooks, webhooks of the Payments, Refunds,
Chargebacks and Captures APIs, changelog; mollie/mollie-api-php.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from tillbell.model.callbacks import NoteNotice, Notice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
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
    not_another_credential,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import (
    fields,
    iso_time,
    object_member,
    present_values,
    provider_amount,
    required_text,
    text,
)
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import FORM, JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    FAILED,
    PENDING,
    STATUSES,
    WordMeaning,
    authorizing_words,
    linked,
    meaning_of,
    statuses,
    table,
)

HEADER = "x-mollie-signature"
_PREFIX = "sha256="
REFERENCE = reference_setting(
    "",
    "The member of a payment in which you send your order id: metadata.order_id. Without it a "
    "payment is known by Mollie's id alone.",
)
PAYMENTS = table(
    {
        "open": PENDING,
        "pending": PENDING,
        "authorized": AUTHORIZED,
        "paid": APPROVED,
        "failed": FAILED,
        "canceled": CANCELLED,
        "expired": CANCELLED,
    }
)
REFUNDS = table(
    {
        "queued": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "pending": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "processing": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "refunded": linked(TransactionKind.REFUND),
        "failed": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "canceled": linked(TransactionKind.REFUND, TransactionStatus.CANCELLED),
    }
)
CAPTURES = table(
    {
        "pending": WordMeaning(TransactionStatus.PENDING, "settling"),
        "succeeded": APPROVED,
        "failed": WordMeaning(TransactionStatus.PENDING, "capture_failed"),
    }
)
CHARGEBACKS = table(
    {
        "received": linked(TransactionKind.CHARGEBACK),
        "reversed": linked(TransactionKind.CHARGEBACK_REVERSAL),
    }
)
# A payment is one attempt of the payer, who may begin another.
_ENDS_ATTEMPT = frozenset({"canceled", "expired", "failed"})
_KINDS = ("payment", "refund", "chargeback", "capture", "payment-link")
_PAYMENT_ID = re.compile(r"tr_[A-Za-z0-9]+")
_LOOKUP: Mapping[str, Any] = MappingProxyType(
    {
        "status": "/status",
        "authorized": "/amount/value",
        # Of what was authorised a part may be captured: the status is paid then too.
        "amount": ("/amountCaptured/value", "/amount/value", "/amount"),
        "currency": "/amount/currency",
        "mode": "/mode",
        "refunded": "/amountRefunded/value",
        "chargedBack": "/amountChargedBack/value",
    }
)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signatures of an event. A classic webhook has none and proves nothing."""
    written = [value for name, value in incoming.headers if name == HEADER][:2]
    if not written and not _is_json(incoming):
        return Verdict(Trust.NONE, "A classic webhook proves nothing: Mollie is asked.")
    signatures = [from_hex(value.removeprefix(_PREFIX)) for value in written]
    if not any(signatures):
        return Verdict(None, f"The event has no {HEADER} of hex.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: is_one_of(signatures, [_signature(secret, incoming.body)]),
        HEADER,
    )


def _is_json(incoming: Incoming) -> bool:
    return incoming.body.lstrip()[:1] == b"{"


def _signature(secret: str, body: bytes) -> bytes:
    return mac("sha256", secret.encode("utf-8", "surrogatepass"), body)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read a webhook. A classic one is never a duplicate: every change sends the same one."""
    body = fields(incoming)
    if not _is_json(incoming):
        return ParsedNotices((_changed(required_text(body, "id"), "changed"),), "")
    if text(body, "type") is None and text(body, "entityId") is None:
        return ParsedNotices((_snapshot(body, setup),))
    notice = _event(body, setup)
    if isinstance(notice, TransactionNotice):
        notice = notice._replace(occurred_at=iso_time(body.get("createdAt")))
    return ParsedNotices((notice,), text(body, "id"))


def _changed(payment_id: str, word: str) -> TransactionNotice:
    return TransactionNotice(
        References(psp=present_values(payment_id)),
        raw_status=word,
        status=None,
        psp_transaction_id=payment_id,
        is_hint=True,
    )


def _event(event: dict[str, Any], setup: SourceSetup) -> Notice:
    """Read an event `<kind>.<word>`, by the entity that it holds."""
    word, entity_id = text(event, "type") or "changed", text(event, "entityId") or ""
    kind, _, change = word.partition(".")
    entity = object_member(object_member(event, "_embedded"), "entity")
    if kind in _KINDS and entity:
        return _entity(kind, change, entity, setup)._replace(raw_status=word)
    if kind not in _KINDS and not entity_id.startswith("tr_"):
        return NoteNotice(f"{word[:100]} is not about a payment.")
    payment_id = _payment_id(event, entity_id)
    if payment_id is not None:
        return _changed(payment_id, word)
    return TransactionNotice(References(psp=present_values(entity_id)), word, None)


def _payment_id(event: dict[str, Any], entity_id: str) -> str | None:
    """Return the payment of an event without entity, from its id or its link to the entity."""
    link = text(object_member(object_member(event, "_links"), "entity"), "href") or ""
    named = _PAYMENT_ID.fullmatch(entity_id) or _PAYMENT_ID.search(link)
    return None if named is None else named[0]


def _snapshot(entity: dict[str, Any], setup: SourceSetup) -> Notice:
    """Read an entity that came without an event."""
    kind = text(entity, "resource") or ""
    if kind not in _KINDS or text(entity, "id") is None:
        return NoteNotice("It names no event and no entity about money.")
    notice = _entity(kind, "", entity, setup)
    return notice._replace(raw_status=f"{kind} {notice.raw_status}".strip())


def _entity(
    kind: str, change: str, entity: dict[str, Any], setup: SourceSetup
) -> TransactionNotice:
    """Read an entity. `change` is what the event says of it; without event "" ."""
    mode = text(entity, "mode")
    read = {
        "payment": _payment,
        "refund": _refund,
        "capture": _capture,
        "chargeback": _chargeback,
        "payment-link": _payment_link,
    }
    notice = read[kind](change, entity, setup)
    return notice._replace(is_test=None if mode is None else mode == "test")


def _payment(change: str, payment: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    word, own_id = text(payment, "status") or change, required_text(payment, "id")
    meaning = meaning_of(word, PAYMENTS, setup.config)
    captured = object_member(payment, "amountCaptured") if word == "paid" else {}
    return TransactionNotice(
        References(merchant_reference(payment, setup, REFERENCE), present_values(own_id)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        amount=provider_amount(captured or object_member(payment, "amount"), "value", "currency"),
        psp_transaction_id=own_id,
        ends_attempt=word in _ENDS_ATTEMPT,
    )


def _refund(change: str, refund: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    word = text(refund, "status") or change
    return _linked(word, refund, meaning_of(word, REFUNDS, setup.config), TransactionKind.REFUND)


def _chargeback(change: str, chargeback: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read a chargeback, which has no status: it was reversed if it says when."""
    is_reversed = text(chargeback, "reversedAt") is not None
    word = change or ("reversed" if is_reversed else "received")
    meaning = meaning_of(word, CHARGEBACKS, setup.config)
    return _linked(word, chargeback, meaning, TransactionKind.CHARGEBACK)


def _linked(
    word: str, entity: dict[str, Any], meaning: WordMeaning | None, kind: TransactionKind
) -> TransactionNotice:
    return TransactionNotice(
        References(psp=present_values(text(entity, "paymentId"))),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=kind if meaning is None else meaning.kind,
        amount=provider_amount(object_member(entity, "amount"), "value", "currency"),
        psp_transaction_id=required_text(entity, "id"),
    )


def _capture(change: str, capture: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    word, own_id = text(capture, "status") or change, required_text(capture, "id")
    meaning, payment_id = meaning_of(word, CAPTURES, setup.config), text(capture, "paymentId")
    return TransactionNotice(
        References(psp=present_values(payment_id)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        amount=provider_amount(object_member(capture, "amount"), "value", "currency"),
        psp_transaction_id=payment_id,
        psp_reference=own_id,
        capture_id=own_id if word == "succeeded" else None,
    )


def _payment_link(change: str, link: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read a payment link: it pays a transaction that bears its id."""
    own_id = required_text(link, "id")
    amount = provider_amount(object_member(link, "amount"), "value", "currency")
    is_paid = change == "paid" or text(link, "paidAt") is not None
    return TransactionNotice(
        References(merchant_reference(link, setup, REFERENCE), present_values(own_id)),
        raw_status=change,
        status=TransactionStatus.APPROVED if is_paid and amount is not None else None,
        amount=amount,
        psp_transaction_id=own_id,
        is_optional=True,
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Mollie sends it: a form of one id, or signed JSON.

    Raises `ValueError` for JSON without a secret, because it is signed.
    """
    if not {"resource", "entityId"} & set(case.fields):
        return request(case, url, urlencode(case.fields).encode(), {"content-type": FORM})
    if not setup.secrets:
        raise ValueError("An event is signed: the webhook's signing secret is missing.")
    body = json_body(case.fields)
    signature = _PREFIX + _signature(setup.secrets[0], body).hex()
    return request(case, url, body, {"content-type": JSON, HEADER: signature})


PROVIDER = Provider(
    name="mollie",
    title="Mollie",
    about="Payments, captures, refunds and chargebacks; of classic webhooks only which changed.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=Trust.NONE,
    secret=SecretRule(
        "Mollie → Developers → Webhooks → the webhook's signing secret; classic ones have none.",
        is_required=False,
        problem=not_another_credential(
            live_="an API key", test_="an API key", access_="an access token"
        ),
    ),
    answers="200, also for ids that nobody knows; 401 when an event's signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(malformed=200),
    sign=sign,
    settings=(REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES),
    note="A classic webhook does not say what state the payment has: set lookupUrl, or a person "
    "must confirm.",
    statuses=statuses(PAYMENTS),
    authorizing=authorizing_words(PAYMENTS),
    payer_may_retry=True,
    lookup=_LOOKUP,
)
