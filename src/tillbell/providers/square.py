"""Square: payments, refunds and disputes, each as the whole object; other events passed on.

`x-square-hmacsha256-signature`: base64 HMAC-SHA256 over the notification URL and the body, one
after the other. The URL is the one that was pasted at Square, byte for byte.

Events may come twice and in any order; what counts is when the object was last changed.
Sources: developer.squareup.com, Webhooks, Payments, Refunds, Disputes; square/square-python-sdk.
"""

from __future__ import annotations

from typing import Any

from tillbell.clock import Micros
from tillbell.model.callbacks import (
    NoteNotice,
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
    Verdict,
)
from tillbell.providers.kit.bodymac import BodyMac, secret_problem
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.order_fields import parts
from tillbell.providers.kit.passed_on import forwarded_event
from tillbell.providers.kit.proof import key_bytes
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
    FAILED,
    PENDING,
    STATUSES,
    linked,
    meaning,
    statuses,
    table,
)

NOTIFICATION_URL = ProviderSetting(
    "notificationUrl",
    "The URL as Square has it, where it is not the source's own public URL.",
    "url",
)
PAYMENTS = table(
    {
        "PENDING": PENDING,
        "APPROVED": AUTHORIZED,  # still to be completed
        "COMPLETED": APPROVED,
        "CANCELED": CANCELLED,
        "FAILED": FAILED,
    }
)
REFUNDS = table(
    {
        "PENDING": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "COMPLETED": linked(TransactionKind.REFUND),
        "REJECTED": linked(TransactionKind.REFUND, TransactionStatus.DECLINED),
        "FAILED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
    }
)
# An inquiry takes nothing yet. A dispute that is won was never a chargeback in the end.
DISPUTES = table(
    {
        "INQUIRY_EVIDENCE_REQUIRED": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "INQUIRY_PROCESSING": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "INQUIRY_CLOSED": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "EVIDENCE_REQUIRED": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "PROCESSING": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "WON": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "LOST": linked(TransactionKind.CHARGEBACK),
        "ACCEPTED": linked(TransactionKind.CHARGEBACK),
    }
)
_PROOF = BodyMac("x-square-hmacsha256-signature", "sha256", "base64")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature over the URL and the body."""
    url = setup.config.get(NOTIFICATION_URL.name) or incoming.url
    verdict = _PROOF.verify(incoming._replace(body=key_bytes(str(url)) + incoming.body), setup)
    if verdict.trust is None and incoming.header(_PROOF.header) is not None:
        why = "The URL at Square is signed too: it must be the source's, byte for byte."
        return Verdict(None, f"{verdict.why} {why}")
    return verdict


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. What is not about money becomes a message `square.<type>`."""
    body = json_object(incoming.body)
    word = required_text(body, "type")
    found = object_member(object_member(body, "data"), "object")
    notice = _notice(found, iso_time(body.get("created_at")), setup)
    if notice is None:
        notice = forwarded_event("square", word, incoming.body)
    return ParsedNotices((notice,), text(body, "event_id"))


def _notice(found: dict[str, Any], told_at: Micros | None, setup: SourceSetup) -> Notice | None:
    """Read by what the event holds: its type says no more than that."""
    if "payment" in found:
        one = object_member(found, "payment")
        notice: Notice = _payment(one, setup)
    elif "refund" in found:
        one = object_member(found, "refund")
        notice = _refund(one, setup)
    elif "dispute" in found:
        one = object_member(found, "dispute")
        notice = _dispute(one, setup)
    else:
        return None
    if not isinstance(notice, TransactionNotice):
        return notice
    return notice._replace(occurred_at=iso_time(one.get("updated_at")) or told_at)


def _payment(found: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    word, own = required_text(found, "status"), required_text(found, "id")
    step = meaning(word, PAYMENTS, setup.config)
    error = next(iter(parts(object_member(found, "card_details"), "errors")), {})
    return TransactionNotice(
        References(
            present_values(text(found, "reference_id")),
            present_values(own, text(found, "order_id")),
        ),
        raw_status=word,
        status=None if step is None else step.status,
        substate=None if step is None else step.substate,
        reason=text(error, "code"),
        message=text(error, "detail"),
        amount=_sum(found),
        psp_transaction_id=own,
        psp_reference=text(found, "receipt_number"),
        user_id=text(found, "customer_id"),
        details=_details(found),
    )


def _details(found: dict[str, Any]) -> dict[str, Any]:
    card = object_member(object_member(found, "card_details"), "card")
    return card_details(
        text(card, "bin"),
        text(card, "last_4"),
        brand=text(card, "card_brand"),
        method=text(found, "source_type"),
    )


def _refund(found: dict[str, Any], setup: SourceSetup) -> Notice:
    word, payment = required_text(found, "status"), text(found, "payment_id")
    if payment is None:
        return NoteNotice("The refund belongs to no payment at Square.")
    step = meaning(word, REFUNDS, setup.config)
    return TransactionNotice(
        References(psp=present_values(payment)),
        raw_status=word,
        status=None if step is None else step.status,
        kind=TransactionKind.REFUND,
        reason=text(found, "reason"),
        amount=_sum(found),
        psp_transaction_id=required_text(found, "id"),
    )


def _dispute(found: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read a dispute; older versions of the API call its id `dispute_id`."""
    word = required_text(found, "state")
    step = meaning(word, DISPUTES, setup.config)
    payment = required_text(object_member(found, "disputed_payment"), "payment_id")
    return TransactionNotice(
        References(psp=present_values(payment)),
        raw_status=word,
        status=None if step is None else step.status,
        kind=TransactionKind.CHARGEBACK,
        reason=text(found, "reason"),
        amount=_sum(found),
        psp_transaction_id=text(found, "id") or required_text(found, "dispute_id"),
    )


def _sum(found: dict[str, Any]) -> ProviderAmount | None:
    money = object_member(found, "amount_money")
    value, currency = text(money, "amount"), text(money, "currency")
    return (
        None
        if value is None
        else ProviderAmount(value, currency and currency.upper(), is_minor=True)
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Square sends it."""
    body = json_body(case.fields)
    incoming = request(case, url, body, {"content-type": JSON})
    signed_url = setup.config.get(NOTIFICATION_URL.name) or incoming.url
    signature = _PROOF.signature(setup.secrets[0], key_bytes(str(signed_url)) + body)
    if incoming.header(_PROOF.header) is not None:
        return incoming
    return incoming._replace(headers=(*incoming.headers, (_PROOF.header, signature)))


PROVIDER = Provider(
    name="square",
    title="Square",
    about="Payments, refunds and disputes; other events passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Square Developer Console → Webhooks → the subscription → Signature key.",
        problem=secret_problem,
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(NOTIFICATION_URL, AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("cardholder_name", "fingerprint"),
    note="The notification URL is signed with the body: set TILLBELL_PUBLIC_URL, or "
    "notificationUrl, to what Square has.",
    statuses=statuses(PAYMENTS),
)
