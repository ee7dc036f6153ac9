"""BTCPay Server: invoices paid in Bitcoin and other coins.

`BTCPay-Sig: sha256=<hex>`: HMAC-SHA256 of the body, keyed with the webhook's secret. A repeat has a
new `deliveryId` and time, and the `originalDeliveryId` of the first one.

An event tells how the invoice stands, not how much was paid. Settled means that at least the
invoice's amount has come. An invoice that expired, or whose payment was not confirmed in time, is
one attempt: the shop may make another.

Sources: docs.btcpayserver.org, Greenfield API, Webhooks; btcpayserver/btcpayserver.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.clock import Micros
from tillbell.model.callbacks import NoteNotice, Notice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SecretRule,
    SourceSetup,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.proof import secret_problem
from tillbell.providers.kit.reading import (
    json_object,
    present_values,
    required_text,
    text,
    unix_seconds,
)
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import usual
from tillbell.providers.kit.words import (
    APPROVED,
    CANCELLED,
    FAILED,
    PENDING,
    STATUSES,
    WordMeaning,
    meaning_of,
    table,
)

REFERENCE = reference_setting(
    "metadata.orderId",
    "The field with your order's id: a member of the invoice's metadata, `metadata.<name>`.",
)
INVOICES = table(
    {
        "InvoiceCreated": PENDING,
        "InvoiceReceivedPayment": WordMeaning(TransactionStatus.PENDING, "payment_received"),
        "InvoicePaymentSettled": WordMeaning(TransactionStatus.PENDING, "payment_settled"),
        "InvoiceProcessing": WordMeaning(TransactionStatus.PENDING, "processing"),
        "InvoiceSettled": APPROVED,
        "InvoiceExpired": CANCELLED,  # if nothing was paid
        "InvoiceExpired partiallyPaid": WordMeaning(TransactionStatus.ON_HOLD, "underpaid"),
        "InvoiceExpiredPaidPartial": WordMeaning(TransactionStatus.ON_HOLD, "underpaid"),
        "InvoicePaidAfterExpiration": WordMeaning(TransactionStatus.ON_HOLD, "paid_late"),
        "InvoiceInvalid": FAILED,  # not confirmed in time
        "InvoiceInvalid manuallyMarked": CANCELLED,  # the merchant says so
    }
)
_ENDED_ATTEMPTS = frozenset({"InvoiceExpired", "InvoiceInvalid"})
# What distinguishes events of one type, in the order in which it is looked for.
_MARKS = ("partiallyPaid", "manuallyMarked")
_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "overPaid": "The payer has paid more than the invoice asks for.",
        "manuallyMarked": "A person has marked the invoice at BTCPay Server.",
        "afterExpiration": "The payment came after the invoice had expired.",
    }
)
LOOKED_UP: Mapping[str, TransactionStatus] = MappingProxyType(
    {
        "New": TransactionStatus.PENDING,
        "Processing": TransactionStatus.PENDING,
        "Settled": TransactionStatus.APPROVED,
    }
)
PROOF = BodyMac("btcpay-sig", "sha256", prefix="sha256=")


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. What is not about an invoice is only kept."""
    body = json_object(incoming.body)
    notice = _notice(body, setup)
    return ParsedNotices((notice,), text(body, "originalDeliveryId") or text(body, "deliveryId"))


def _notice(body: dict[str, Any], setup: SourceSetup) -> Notice:
    event, invoice_id = required_text(body, "type"), text(body, "invoiceId")
    if invoice_id is None or not event.startswith("Invoice"):
        return NoteNotice(f"{event[:100]} is not about an invoice.")
    if invoice_id.startswith("__test__"):
        return NoteNotice(f"{event[:100]} is a trial call.")
    word = _word(event, body)
    meaning = meaning_of(word, INVOICES, setup.config)
    return TransactionNotice(
        References(merchant_reference(body, setup, REFERENCE), present_values(invoice_id)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        message=_message(body),
        psp_transaction_id=invoice_id,
        occurred_at=_happened(body),
        ends_attempt=word in _ENDED_ATTEMPTS and meaning is not None,
    )


def _happened(body: dict[str, Any]) -> Micros | None:
    """Return when it happened; a repeat tells its own time, which says nothing."""
    return None if body.get("isRedelivery") is True else unix_seconds(body.get("timestamp"))


def _word(event: str, body: dict[str, Any]) -> str:
    """Return the type with the mark that changes its meaning."""
    marked = (f"{event} {mark}" for mark in _MARKS if body.get(mark) is True)
    return next((word for word in marked if meaning_of(word, INVOICES, {}) is not None), event)


def _message(body: dict[str, Any]) -> str | None:
    said = [message for mark, message in _MESSAGES.items() if body.get(mark) is True]
    return " ".join(said) or None


PROVIDER = Provider(
    name="btcpay",
    title="BTCPay Server",
    about="Invoices paid in Bitcoin and other coins.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "BTCPay Server → the store → Settings → Webhooks → the webhook → Secret.",
        problem=secret_problem,
    ),
    answers="200; 401 when the signature does not match.",
    verify=PROOF.verify,
    parse=parse,
    answer=usual(),
    sign=PROOF.sign,
    settings=(REFERENCE, STATUSES),
    masked=("buyerName", "buyerEmail"),
    note="Events tell no amount. An invoice that expired with a part of it paid, or was paid late, "
    "is On Hold until a person decides, here or at BTCPay Server.",
    statuses=LOOKED_UP,
    lookup={"status": "/status", "amount": "/amount", "currency": "/currency"},
)
