"""Klarna: orders of Klarna Payments and Klarna Checkout, payment requests and disputes.

Two kinds of requests come to one address:

- Webhooks are JSON, signed in `Klarna-Signature`: hex HMAC-SHA256 of the body, keyed with the text
  of the signing key that `Klarna-Signing-Key-Id` names. `metadata.event_id` is unique.
- Pushes of Klarna Checkout (the order's id in the address, an empty body) and notifications about
  the fraud check (`order_id` and `event_type`) are not signed and hold no state: Klarna is asked.

A payment request is one attempt of the payer. It moves no money: the shop makes an order of it,
captures that and is answered at once, without a webhook. So what is captured and refunded is
looked up. The amount of a dispute is withheld when it is opened, and comes back when it is won.

Sources: docs.klarna.com, Webhooks, Monitor the payment request state, Disputes states, Confirm
purchase, Pending orders; krokedil/klarna-payments-for-woocommerce; klarna/kco_rest_dotnet.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.model.callbacks import NoteNotice, Notice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.forwarding import forwarded_event
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
    provider_amount,
    query,
    required_text,
    text,
)
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    PENDING,
    STATUSES,
    authorizing_words,
    linked,
    meaning_of,
    statuses,
    table,
)

PROOF = BodyMac("klarna-signature", "sha256")
KEY_ID_HEADER = "klarna-signing-key-id"
KEY_ID = ProviderSetting("keyId", "The id of the signing key; what another one signed is refused.")
ORDER_PARAMETER = ProviderSetting(
    "orderParameter",
    "The parameter of the push address that holds Klarna's order id.",
    default="klarna_order_id",
)
REFERENCE = reference_setting(
    "payment_transaction_reference",
    "The member of a webhook's payload with your order id: payment_transaction_reference, "
    "merchant_reference2, payment_request_reference, purchase_reference.",
)
_REQUEST = "payment.request.state-change."
_DISPUTE = "payment.dispute.state-change."
REQUESTS = table(
    {
        "submitted": PENDING,
        "in-progress": PENDING,
        "authorized": PENDING,  # the shop still has to make an order of it
        "completed": PENDING,
        "declined": DECLINED,
        "canceled": CANCELLED,
        "expired": CANCELLED,
    }
)
DISPUTES = table(
    {
        "initiated": linked(TransactionKind.CHARGEBACK),
        "closed won": linked(TransactionKind.CHARGEBACK_REVERSAL),
        "closed lost": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
    }
)
_ORDERS = table(
    {
        "AUTHORIZED": AUTHORIZED,
        "PART_CAPTURED": APPROVED,
        "CAPTURED": APPROVED,
        "CLOSED": APPROVED,  # with what is captured
        "CANCELLED": CANCELLED,
        "EXPIRED": CANCELLED,
    }
)
_IN_REVIEW = frozenset({"representment", "pre-arbitration", "arbitration"})
LOOKUP: Mapping[str, Any] = MappingProxyType(
    {
        "status": "/status",
        "authorized": "/order_amount",
        "amount": "/captured_amount",
        "currency": "/purchase_currency",
        "refunded": "/refunded_amount",
        "minorUnits": True,
    }
)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature of a webhook. A push or notification has none and proves nothing."""
    if incoming.header(PROOF.header) is None and not _is_webhook(incoming):
        return Verdict(Trust.NONE, "It is not signed and holds no state: Klarna is asked.")
    key_id = setup.config.get(KEY_ID.name)
    if key_id and incoming.header(KEY_ID_HEADER) != str(key_id):
        return Verdict(None, "Klarna-Signing-Key-Id is not what the setting keyId says.")
    return PROOF.verify(incoming, setup)


def _is_webhook(incoming: Incoming) -> bool:
    try:
        return "metadata" in json_object(incoming.body)
    except Unreadable:
        return False


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one webhook, push or notification. Only a webhook may be a repeat."""
    if not _is_webhook(incoming):
        return ParsedNotices((_order(incoming, setup),), "")
    event = json_object(incoming.body)
    metadata, payload = object_member(event, "metadata"), object_member(event, "payload")
    notice = _notice(required_text(metadata, "event_type"), payload, incoming, setup)
    if isinstance(notice, TransactionNotice):
        is_live = metadata.get("live")
        notice = notice._replace(
            occurred_at=iso_time(metadata.get("occurred_at")),
            is_test=not is_live if isinstance(is_live, bool) else None,
        )
    return ParsedNotices((notice,), text(metadata, "event_id"))


def _order(incoming: Incoming, setup: SourceSetup) -> TransactionNotice:
    """Read the id of an order, which says nothing of its state."""
    body = json_object(incoming.body) if incoming.body.strip() else {}
    name = str(setup.config.get(ORDER_PARAMETER.name) or ORDER_PARAMETER.default)
    order_id = text(body, "order_id") or text(query(incoming.target), name)
    if order_id is None:
        raise Unreadable(f"Neither the body's order_id nor the parameter {name} names an order.")
    return TransactionNotice(
        References(psp=(order_id,)),
        raw_status=text(body, "event_type") or "push",
        status=None,
        psp_transaction_id=order_id,
        is_hint=True,
    )


def _notice(word: str, payload: dict[str, Any], incoming: Incoming, setup: SourceSetup) -> Notice:
    if word.startswith(_REQUEST):
        return _request(word, payload, setup)
    if word.startswith(_DISPUTE):
        return _dispute(word, payload, setup)
    if word.startswith("payment.dispute."):
        return NoteNotice(f"{word[:100]} moves no money.")
    return forwarded_event("klarna", word.replace("-", "_"), incoming.body)


def _request(word: str, payload: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read how the payer's way through Klarna ended. Another request may follow."""
    meaning = meaning_of(word.removeprefix(_REQUEST), REQUESTS, setup.config)
    request_id = required_text(payload, "payment_request_id")
    return TransactionNotice(
        References(_ours(payload, setup), (request_id,)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        reason=text(payload, "state_reason"),
        psp_transaction_id=request_id,
        ends_attempt=meaning in (CANCELLED, DECLINED),
    )


def _dispute(word: str, payload: dict[str, Any], setup: SourceSetup) -> Notice:
    """Read a state of a dispute. Only the first one names its amount."""
    state = word.removeprefix(_DISPUTE)
    if state in _IN_REVIEW:
        return NoteNotice(f"{word} moves no money: the amount is withheld already.")
    if state == "closed":
        state = f"closed {text(payload, 'dispute_outcome') or ''}".rstrip()
    meaning = meaning_of(state, DISPUTES, setup.config)
    details = object_member(payload, "dispute_details")
    return TransactionNotice(
        References(
            _ours(payload, setup),
            present_values(text(payload, "order_id"), text(payload, "payment_transaction_id")),
        ),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.CHARGEBACK if meaning is None else meaning.kind,
        reason=text(payload, "dispute_reason") or text(payload, "dispute_outcome_detailed"),
        amount=provider_amount(details, "dispute_amount", "currency", is_minor=True),
        psp_transaction_id=required_text(payload, "payment_dispute_id"),
        is_closing=state == "closed LOST",
    )


def _ours(payload: dict[str, Any], setup: SourceSetup) -> tuple[str, ...]:
    """Return the shop's own id. Webhooks of payment requests have a field of their own for it."""
    ours = merchant_reference(payload, setup, REFERENCE)
    if ours or setup.config.get(REFERENCE.name, REFERENCE.default) != REFERENCE.default:
        return ours
    return present_values(text(payload, "payment_request_reference"))


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Klarna sends it: a webhook is signed, all else is not."""
    if "metadata" in case.fields:
        key_id = str(setup.config.get(KEY_ID.name) or "krn:partner:global:notification:key")
        return PROOF.sign(case, setup, url, {KEY_ID_HEADER: key_id})
    body = json_body(case.fields) if case.fields else b""
    return request(case, url, body, {"content-type": JSON})


PROVIDER = Provider(
    name="klarna",
    title="Klarna",
    about="Orders, which are looked up; payment requests and disputes.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=Trust.NONE,
    secret=SecretRule(
        "The signing key of the webhook, as createSigningKey answers it.", is_required=False
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(REFERENCE, ORDER_PARAMETER, KEY_ID, AUTHORIZATION_IS_FINAL, STATUSES),
    note="Klarna sends nothing when an order is captured or refunded: set lookupUrl, or report it "
    "over the API.",
    statuses=statuses(_ORDERS),
    authorizing=authorizing_words(_ORDERS),
    lookup=LOOKUP,
)
