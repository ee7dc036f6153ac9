"""PayPal: orders, authorizations, captures, refunds, disputes and pay-outs, with a certificate.

`PAYPAL-TRANSMISSION-SIG` is RSA with SHA-256 over `<transmission id>|<time>|<webhook id>|<CRC-32 of
the body>`. A checksum can easily be made to fit another body. A captured request is still
worthless, because each transmission counts once; an event that is sent in another transmission is
known by its own id. The certificate is pinned by the source's owner;
the address that a request names for it must be PayPal's, and is never fetched.

A lost dispute is one debit, reported as the dispute's end and as a reversal of the capture.

Sources: developer.paypal.com, Webhooks (verification, event names), Payments v1 and v2, Orders v2,
Customer Disputes (dispute_outcome), Payouts.
"""

from __future__ import annotations

import base64
import re
import zlib
from typing import Any
from urllib.parse import urlsplit

from tillbell.clock import iso
from tillbell.model.callbacks import (
    ForwardNotice,
    Notice,
    ProviderAmount,
    References,
    TransactionNotice,
)
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
from tillbell.providers.kit.certsig import certificates, is_signed_by, sign_with
from tillbell.providers.kit.order_fields import parts
from tillbell.providers.kit.proof import NO_SECRET, formed_secret, from_base64, verify_with_secrets
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
    required_text,
    text,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    FAILED,
    PENDING,
    SETTLING,
    STATUSES,
    WordMeaning,
    linked,
    meaning_of,
    table,
)

EVENTS = table(
    {
        "CHECKOUT.ORDER.APPROVED": PENDING,  # by the payer; the merchant has to capture it
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED": CANCELLED,
        "PAYMENT.AUTHORIZATION.CREATED": AUTHORIZED,
        "PAYMENT.AUTHORIZATION.VOIDED": CANCELLED,  # by the merchant, or after its time
        "PAYMENT.CAPTURE.PENDING": SETTLING,
        "PAYMENT.CAPTURE.COMPLETED": APPROVED,
        "PAYMENT.CAPTURE.DECLINED": DECLINED,
        "PAYMENT.CAPTURE.DENIED": DECLINED,
        "PAYMENT.CAPTURE.REFUNDED": linked(TransactionKind.REFUND),
        "PAYMENT.CAPTURE.REVERSED": linked(TransactionKind.REVERSAL),
        "PAYMENT.SALE.PENDING": SETTLING,
        "PAYMENT.SALE.COMPLETED": APPROVED,
        "PAYMENT.SALE.DENIED": DECLINED,
        "PAYMENT.SALE.REFUNDED": linked(TransactionKind.REFUND),
        "PAYMENT.SALE.REVERSED": linked(TransactionKind.REVERSAL),
        "PAYMENT.PAYOUTS-ITEM.SUCCEEDED": APPROVED,
        "PAYMENT.PAYOUTS-ITEM.UNCLAIMED": WordMeaning(TransactionStatus.PROCESSING, "unclaimed"),
        "PAYMENT.PAYOUTS-ITEM.HELD": WordMeaning(TransactionStatus.PROCESSING, "held"),
        "PAYMENT.PAYOUTS-ITEM.BLOCKED": FAILED,
        "PAYMENT.PAYOUTS-ITEM.CANCELED": CANCELLED,
        "PAYMENT.PAYOUTS-ITEM.DENIED": DECLINED,
        "PAYMENT.PAYOUTS-ITEM.FAILED": FAILED,
        "PAYMENT.PAYOUTS-ITEM.RETURNED": CANCELLED,  # nobody claimed it
        "PAYMENT.PAYOUTS-ITEM.REFUNDED": linked(TransactionKind.RETURN),
    }
)
_OPEN = linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING)
_CLOSED = linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED)
# With the outcome, where the event has one.
DISPUTES = table(
    {
        "CUSTOMER.DISPUTE.CREATED": _OPEN,
        "CUSTOMER.DISPUTE.UPDATED": _OPEN,
        "CUSTOMER.DISPUTE.RESOLVED RESOLVED_BUYER_FAVOUR": linked(TransactionKind.CHARGEBACK),
        "CUSTOMER.DISPUTE.RESOLVED ACCEPTED": linked(TransactionKind.CHARGEBACK),
        "CUSTOMER.DISPUTE.RESOLVED RESOLVED_SELLER_FAVOUR": _CLOSED,
        "CUSTOMER.DISPUTE.RESOLVED RESOLVED_WITH_PAYOUT": _CLOSED,  # PayPal paid
        "CUSTOMER.DISPUTE.RESOLVED CANCELED_BY_BUYER": _CLOSED,
        "CUSTOMER.DISPUTE.RESOLVED DENIED": _CLOSED,
        "CUSTOMER.DISPUTE.RESOLVED NONE": _CLOSED,
    }
)
# A refund that the event tells of, and that is not done.
_REFUNDS_NOT_DONE = {
    "PENDING": TransactionStatus.PENDING,  # an eCheck that has not cleared
    "FAILED": TransactionStatus.FAILED,
    "CANCELLED": TransactionStatus.CANCELLED,
}
# They end one attempt to pay. The payer may try again.
_ENDS_ATTEMPT = frozenset(
    {
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
        "PAYMENT.AUTHORIZATION.VOIDED",
        "PAYMENT.CAPTURE.DECLINED",
        "PAYMENT.CAPTURE.DENIED",
        "PAYMENT.SALE.DENIED",
    }
)
# PayPal reports the debit of a lost dispute twice: as this, and with the end of the dispute.
_REVERSED = frozenset({"PAYMENT.CAPTURE.REVERSED", "PAYMENT.SALE.REVERSED"})
# The fields that may hold the order's id, under their newer and older names.
_REFERENCES = {
    "custom_id": ("custom_id", "custom"),
    "invoice_id": ("invoice_id", "invoice_number"),
    "reference_id": ("reference_id",),
}
REFERENCE = ProviderSetting(
    "reference",
    "The field in which you send your order id.",
    choices=tuple(_REFERENCES),
    default="custom_id",
)
FORWARDED = re.compile(r"[A-Z][A-Z0-9_-]{1,30}(\.[A-Z][A-Z0-9_-]{1,40}){1,4}")
ID, TIME, SIGNATURE = (f"paypal-transmission-{name}" for name in ("id", "time", "sig"))
CERTIFICATE_URL, ALGORITHM = "paypal-cert-url", "paypal-auth-algo"
HOSTS = frozenset(
    f"{name}{zone}.paypal.com" for name in ("api", "api-m") for zone in ("", ".sandbox")
)
CERTIFICATE = ProviderSetting(
    "certificate",
    "PayPal's signing certificate, or several, in PEM: what PAYPAL-CERT-URL of a request names.",
    is_required=True,
)
SIMULATOR_KEY = ProviderSetting(
    "simulatorKey",
    "Only to simulate PayPal: the private key, in PEM, of a certificate of your own.",
    is_secret=True,
)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Check the signature with the pinned certificates and each webhook id."""
    if not any(setup.secrets):
        return NO_SECRET
    named = [incoming.header(name) for name in (ID, TIME, SIGNATURE, CERTIFICATE_URL, ALGORITHM)]
    id_, time, signature, url, algorithm = (value or "" for value in named)
    if not (id_ and time and from_base64(signature)):
        return Verdict(None, f"{ID}, {TIME} or {SIGNATURE} is missing or stands twice.")
    if algorithm != "SHA256withRSA":
        return Verdict(None, f"{ALGORITHM} is not SHA256withRSA.")
    if not _is_theirs(url):
        return Verdict(None, f"{CERTIFICATE_URL} is not an address of PayPal.")
    pem = str(setup.config.get(CERTIFICATE.name) or "")
    if not certificates(pem):
        return Verdict(None, f"No certificate is pinned. Set config.certificate to that of {url}.")
    verdict = verify_with_secrets(
        setup.secrets,
        lambda secret: is_signed_by(
            pem, from_base64(signature), _text(incoming, secret), incoming.received_at
        ),
        SIGNATURE,
    )
    if verdict.trust is None:
        return Verdict(None, f"{verdict.why} Or PayPal changed its certificate: {url}")
    return verdict


def _is_theirs(url: str) -> bool:
    try:
        named = urlsplit(url)
        return named.scheme == "https" and named.netloc in HOSTS and len(url) < 500
    except ValueError:
        return False


def _text(incoming: Incoming, webhook_id: str) -> bytes:
    """Return what is signed."""
    id_, time = incoming.header(ID) or "", incoming.header(TIME) or ""
    checksum = zlib.crc32(incoming.body)
    signed = f"{id_}|{time}|{webhook_id}|{checksum}"
    return signed.encode("utf-8", "surrogatepass")


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. What is not about a payment becomes a message `paypal.<type>`."""
    body = json_object(incoming.body)
    word, resource = required_text(body, "event_type"), object_member(body, "resource")
    notice = _notice(word, resource, setup) or _other(word, body, incoming.body)
    if isinstance(notice, TransactionNotice):
        notice = notice._replace(
            occurred_at=iso_time(body.get("create_time")),
            is_test=_is_test([*parts(resource, "links")[:20], *parts(body, "links")[:20]]),
        )
    return ParsedNotices((notice,), incoming.header(ID) or text(body, "id"))


def _is_test(links: list[dict[str, Any]]) -> bool | None:
    """Say whether links lead to PayPal's sandbox; None if none leads to PayPal."""
    hosts = {_host(text(link, "href") or "") for link in links} & HOSTS
    return any(".sandbox." in host for host in hosts) if hosts else None


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _notice(word: str, resource: dict[str, Any], setup: SourceSetup) -> Notice | None:
    if word.startswith("CUSTOMER.DISPUTE."):
        return _dispute(word, resource, setup)
    meaning = meaning_of(word, EVENTS, setup.config)
    if meaning is None:
        return None
    if word.startswith("PAYMENT.PAYOUTS-ITEM."):
        notice = _pay_out(resource, meaning)
    elif word.startswith("CHECKOUT."):
        notice = _order(word, resource, setup)
    elif meaning.kind is TransactionKind.PAYMENT:
        notice = _payment(word, resource, setup)
    else:
        notice = _linked(word, resource, setup)
    return notice._replace(
        raw_status=word,
        status=_status(meaning, resource),
        kind=meaning.kind,
        substate=meaning.substate,
        ends_attempt=word in _ENDS_ATTEMPT,
    )


def _status(meaning: WordMeaning, resource: dict[str, Any]) -> TransactionStatus:
    """Return the status of an event; of a refund that of the refund itself, if it is not done."""
    if meaning.kind is not TransactionKind.REFUND:
        return meaning.status
    word = text(resource, "status") or text(resource, "state") or ""
    return _REFUNDS_NOT_DONE.get(word.upper(), meaning.status)


def _order(word: str, order: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read an order: its attempts are the authorizations and captures that follow."""
    own_id = text(order, "order_id") or required_text(order, "id")
    is_ended = word in _ENDS_ATTEMPT
    return TransactionNotice(
        References(_ours(order, setup), present_values(own_id)),
        raw_status=word,
        status=None,
        psp_transaction_id=own_id if is_ended else None,
        psp_reference=own_id,
    )


def _payment(word: str, resource: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read an authorization, capture or sale. Captures of one authorization are one attempt."""
    own_id = required_text(resource, "id")
    related = object_member(object_member(resource, "supplementary_data"), "related_ids")
    authorization = text(related, "authorization_id")
    is_capture = word.startswith("PAYMENT.CAPTURE.")
    is_refused_part = is_capture and authorization is not None and word in _ENDS_ATTEMPT
    is_counted = word == "PAYMENT.CAPTURE.COMPLETED" or is_refused_part
    return TransactionNotice(
        References(
            _ours(resource, setup),
            present_values(own_id, authorization, text(related, "order_id")),
        ),
        raw_status=word,
        status=None,
        reason=text(object_member(resource, "status_details"), "reason"),
        amount=_sum(object_member(resource, "amount")),
        psp_transaction_id=(authorization or own_id) if is_capture else own_id,
        psp_reference=own_id,
        capture_id=own_id if is_counted else None,
    )


def _linked(word: str, resource: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read a refund or reversal of a capture or sale."""
    own_id = required_text(resource, "id")
    related = object_member(object_member(resource, "supplementary_data"), "related_ids")
    names = ("capture_id", "authorization_id", "order_id")
    above = (_above(resource), text(resource, "sale_id"), *(text(related, n) for n in names))
    return TransactionNotice(
        References(_ours(resource, setup), present_values(*above, own_id)),
        raw_status=word,
        status=None,
        reason=text(object_member(resource, "status_details"), "reason"),
        amount=_sum(object_member(resource, "amount")),
        psp_transaction_id=own_id,
        psp_reference=own_id,
        same_debit_as=TransactionKind.CHARGEBACK if word in _REVERSED else None,
    )


def _pay_out(item: dict[str, Any], meaning: WordMeaning) -> TransactionNotice:
    """Read an item of a batch of pay-outs. `sender_item_id` is the merchant's reference."""
    own_id, sent = required_text(item, "payout_item_id"), object_member(item, "payout_item")
    sender_id = text(sent, "sender_item_id") or text(item, "sender_item_id")
    is_linked = meaning.kind is not TransactionKind.PAYMENT
    return TransactionNotice(
        References(present_values(sender_id), present_values(own_id)),
        raw_status="",
        status=None,
        reason=text(object_member(item, "errors"), "name"),
        message=text(object_member(item, "errors"), "message"),
        amount=_sum(object_member(sent, "amount")),
        psp_transaction_id=f"{own_id}:returned" if is_linked else own_id,
        psp_reference=text(item, "transaction_id"),
    )


def _dispute(word: str, dispute: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read a dispute. It takes the money back if it is resolved for the buyer."""
    outcome = object_member(dispute, "dispute_outcome")
    code, refunded = text(outcome, "outcome_code"), _sum(object_member(outcome, "amount_refunded"))
    raw_status = f"{word} {code}" if code is not None and word.endswith(".RESOLVED") else word
    meaning: WordMeaning | None = meaning_of(raw_status, DISPUTES, setup.config)
    if code == "ACCEPTED" and refunded is None:
        meaning = None  # for whom is not said
    status = None if meaning is None else meaning.status
    disputed = parts(dispute, "disputed_transactions")[:5]
    ours = (value for transaction in disputed for value in _ours(transaction, setup))
    return TransactionNotice(
        References(
            present_values(*ours),
            present_values(
                *(text(transaction, "seller_transaction_id") for transaction in disputed)
            ),
        ),
        raw_status=raw_status,
        status=status,
        kind=TransactionKind.CHARGEBACK,
        reason=text(dispute, "reason"),
        amount=refunded or _sum(object_member(dispute, "dispute_amount")),
        psp_transaction_id=required_text(dispute, "dispute_id"),
        same_debit_as=TransactionKind.REVERSAL if status is TransactionStatus.APPROVED else None,
        is_closing=status is TransactionStatus.CANCELLED,
    )


def _ours(resource: dict[str, Any], setup: SourceSetup) -> tuple[str, ...]:
    """Return the order's id from the configured field, of a resource or its purchase units."""
    names = _REFERENCES.get(str(setup.config.get(REFERENCE.name)), _REFERENCES["custom_id"])
    units = [resource, *parts(resource, "purchase_units")[:20]]
    return present_values(*(text(unit, name) for unit in units for name in names))


def _above(resource: dict[str, Any]) -> str | None:
    """Return the id of the resource above, which is the last part of the link `up`."""
    for link in parts(resource, "links")[:20]:
        if text(link, "rel") == "up":
            return (text(link, "href") or "").rstrip("/").rpartition("/")[2] or None
    return None


def _sum(amount: dict[str, Any]) -> ProviderAmount | None:
    value = text(amount, "value") or text(amount, "total")
    currency = text(amount, "currency_code") or text(amount, "currency")
    return None if value is None else ProviderAmount(value.removeprefix("-"), currency)


def _other(word: str, body: dict[str, Any], payload: bytes) -> Notice:
    if FORWARDED.fullmatch(word) is None:
        raise Unreadable("The event_type is not one of PayPal's.")
    return ForwardNotice(f"paypal.{word.lower().replace('-', '_')}", payload, text(body, "id"))


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as PayPal sends it, with the key of the setting `simulatorKey`.

    Raises `ValueError` without that setting, because only PayPal has PayPal's own key.
    """
    key = str(setup.config.get(SIMULATOR_KEY.name) or "")
    if not key:
        raise ValueError("PayPal's proof needs a private key: set config.simulatorKey.")
    headers = {
        "content-type": JSON,
        ID: case.id,
        TIME: iso(case.at),
        ALGORITHM: "SHA256withRSA",
        CERTIFICATE_URL: "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-simulated",
    }
    unsigned = request(case, url, json_body(case.fields), headers)
    signature = base64.b64encode(sign_with(key, _text(unsigned, setup.secrets[0]))).decode()
    return unsigned._replace(headers=(*unsigned.headers, (SIGNATURE, signature)))


PROVIDER = Provider(
    name="paypal",
    title="PayPal",
    about="Orders, authorizations, captures, refunds, disputes and pay-outs; others passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "PayPal → Apps & Credentials → the app → Webhooks → Webhook ID: it goes into what is "
        "signed.",
        problem=formed_secret(
            r"[0-9A-Z]{10,50}",
            "capital letters and digits: the id of the webhook, no client id or secret",
        ),
    ),
    answers="200; 401 when the signature does not match. Up to 25 repeats in three days.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(CERTIFICATE, REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES, SIMULATOR_KEY),
    note="PayPal's certificate is pinned, not fetched: add the new one before it changes.",
    statuses={
        "CREATED": TransactionStatus.PENDING,
        "APPROVED": TransactionStatus.PENDING,  # by the payer; the money is not taken yet
        "PAYER_ACTION_REQUIRED": TransactionStatus.PENDING,
        "PENDING": TransactionStatus.PENDING,
        "COMPLETED": TransactionStatus.APPROVED,
        "DECLINED": TransactionStatus.DECLINED,
        "FAILED": TransactionStatus.FAILED,
        "VOIDED": TransactionStatus.CANCELLED,
    },
    payer_may_retry=True,
)
