"""Braintree: settled and declined transactions, local payments, refunds and disputes.

A form of `bt_signature` and `bt_payload`. The payload is base64 of XML. The signature lists
`<public key>|<hex>` for each key, joined by `&`: HMAC-SHA1 over the payload as it is written, keyed
with the SHA-1 of the private key's text. A line end that was lost after the payload is tolerated,
as the SDK does. How the form itself is spelled is not covered.

The notification is a snapshot of a transaction, so its status decides, whatever the kind. A part of
an authorised sum is captured by a transaction of its own, which names the authorised one.

Sources: developer.paypal.com/braintree/docs, Webhooks, Disputes; braintree/braintree_python.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from tillbell.model.callbacks import (
    NoteNotice,
    Notice,
    ProviderAmount,
    References,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionKind, TransactionStatus
from tillbell.providers.kit import reading
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
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.proof import (
    digest,
    is_one_of,
    key_bytes,
    mac,
    not_another_credential,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import (
    iso_time,
    object_member,
    present_values,
    provider_amount,
    required_text,
    text,
)
from tillbell.providers.kit.requests import FORM, request, usual
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
    authorizing_words,
    linked,
    meaning_of,
    statuses,
    table,
)
from tillbell.rules.delivery.payload import DEPTH_MAX

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SCHEME = "bt_signature"
_FOUND = "/data/search/transactions/edges/0/node"  # of a search by GraphQL
PAIRS_MAX = 20  # of public keys; the rest is ignored
_PAYLOAD = re.compile(r"[A-Za-z0-9+=/\n]+")
_SUBJECTS = (
    "transaction",
    "local_payment",
    "local_payment_funded",
    "local_payment_expired",
    "local_payment_reversed",
    "dispute",
    "subscription",
)

# Status of a transaction; where it has none, the kind of the notification.
TRANSACTIONS = table(
    {
        "authorizing": PENDING,
        "authorized": AUTHORIZED,
        "submitted_for_settlement": SETTLING,
        "settlement_pending": SETTLING,
        "settling": SETTLING,
        "settlement_confirmed": SETTLING,
        "settled": APPROVED,
        "voided": CANCELLED,
        "authorization_expired": CANCELLED,
        "processor_declined": DECLINED,
        "gateway_rejected": DECLINED,
        "failed": FAILED,
        "settlement_declined": FAILED,
        "settlement_failed": FAILED,
        "transaction_settled": APPROVED,
        "transaction_disbursed": APPROVED,
        "transaction_settlement_declined": FAILED,
    }
)
LOCAL_PAYMENTS = table(
    {
        "local_payment_completed": PENDING,  # the merchant still has to create a transaction
        "local_payment_expired": CANCELLED,
        "local_payment_reversed": CANCELLED,  # given back, as no transaction was created
    }
)
# A chargeback or pre-arbitration is debited when it is opened. A retrieval only asks.
DISPUTES = table(
    {
        "open": linked(TransactionKind.CHARGEBACK),
        "under_review": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "accepted": linked(TransactionKind.CHARGEBACK),
        "auto_accepted": linked(TransactionKind.CHARGEBACK),
        "expired": linked(TransactionKind.CHARGEBACK),
        "lost": linked(TransactionKind.CHARGEBACK),
        "won": linked(TransactionKind.CHARGEBACK_REVERSAL),
        "retrieval open": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "retrieval under_review": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "retrieval accepted": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "retrieval auto_accepted": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "retrieval expired": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "retrieval lost": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "retrieval won": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
    }
)
_CAPTURE_FAILED = WordMeaning(TransactionStatus.PENDING, "capture_failed")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signatures of all public keys with that of each private key."""
    try:
        form = reading.form(incoming.body)
        payload = _payload(form).encode()
    except Unreadable as error:
        return Verdict(None, f"{error} Without it nothing can be proven.")
    pairs = (form.get("bt_signature") or "").split("&", PAIRS_MAX)[:PAIRS_MAX]
    claimed = [key_bytes(hexadecimal) for _, _, hexadecimal in (p.partition("|") for p in pairs)]
    if not any(claimed):
        return Verdict(None, "The form has no bt_signature of a public key and hex.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: is_one_of(
            claimed, [_signature(secret, payload), _signature(secret, payload + b"\n")]
        ),
        SCHEME,
    )


def _payload(form: dict[str, str]) -> str:
    payload = form.get("bt_payload") or ""
    if _PAYLOAD.fullmatch(payload) is None:
        raise Unreadable("The form has no bt_payload of base64.")
    return payload


def _signature(private_key: str, payload: bytes) -> bytes:
    return mac("sha1", digest("sha1", key_bytes(private_key)), payload).hex().encode()


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one notification. It has no id, so the bytes tell a repeat."""
    root = reading.xml(_document(_payload(reading.form(incoming.body))))
    if root.tag != "notification":
        raise Unreadable("It is no notification of Braintree.")
    notification = _value(root, DEPTH_MAX)
    members = notification if isinstance(notification, dict) else {}
    notice = _notice(required_text(members, "kind"), object_member(members, "subject"), setup)
    if isinstance(notice, TransactionNotice):
        notice = notice._replace(occurred_at=iso_time(members.get("timestamp")))
    return ParsedNotices((notice,))


def _document(payload: str) -> bytes:
    try:
        return base64.b64decode(payload.replace("\n", ""), validate=True)
    except binascii.Error as error:
        raise Unreadable("bt_payload is not base64.") from error


def _value(element: Element, depth: int) -> Any:
    """Return an element as text, list (`type="array"`), dict or None (`nil="true"`).

    The SDK reads names with `-` and `_` as the same.
    """
    if depth == 0:
        raise Unreadable(f"The XML nests deeper than {DEPTH_MAX}.")
    if element.get("nil") == "true":
        return None
    children = [(child.tag.replace("-", "_"), _value(child, depth - 1)) for child in element]
    if element.get("type") == "array":
        return [value for _, value in children]
    if not children:
        return element.text or ""
    members = dict(children)
    if any(members[name] != value for name, value in children):
        raise Unreadable("An element holds the same name twice.")
    return members


def _notice(kind: str, subject: dict[str, Any], setup: SourceSetup) -> Notice:
    name = next((name for name in _SUBJECTS if name in subject), "")
    resource = object_member(subject, name)
    if name == "dispute":
        return _dispute(resource, setup)
    if name == "subscription":
        return _subscription(kind, resource, setup)
    transaction = resource if name == "transaction" else object_member(resource, "transaction")
    if transaction:
        return _transaction(kind, transaction, text(resource, "payment_id"), setup)
    if resource:
        return _local_payment(kind, resource, setup)
    return NoteNotice(f"{kind[:100]} changes nothing of a payment.")


def _subscription(kind: str, subscription: dict[str, Any], setup: SourceSetup) -> Notice:
    """Read the charge of a subscription: its newest transaction, which the shop may not know."""
    transactions = subscription.get("transactions")
    newest = transactions[0] if isinstance(transactions, list) and transactions else None
    if not isinstance(newest, dict) or not kind.startswith("subscription_charged_"):
        return NoteNotice(f"{kind[:100]} changes nothing of a payment.")
    return _transaction(kind, newest, None, setup)._replace(is_optional=True)


def _transaction(
    kind: str, transaction: dict[str, Any], payment_id: str | None, setup: SourceSetup
) -> TransactionNotice:
    own_id, word = required_text(transaction, "id"), text(transaction, "status") or kind
    meaning = meaning_of(word, TRANSACTIONS, setup.config)
    refunded, authorized = (
        text(transaction, "refunded_transaction_id"),
        text(transaction, "authorized_transaction_id"),
    )
    if refunded is not None or kind == "refund_failed":
        return _refund(transaction, word, meaning, refunded)
    is_negative = meaning is not None and meaning.status in NEGATIVE
    if authorized is not None and is_negative:
        meaning = _CAPTURE_FAILED
    return TransactionNotice(
        References(
            present_values(text(transaction, "order_id")),
            present_values(authorized or own_id, payment_id),
        ),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        reason=text(transaction, "processor_response_code"),
        message=text(transaction, "processor_response_text"),
        amount=provider_amount(transaction, "amount", "currency_iso_code"),
        psp_transaction_id=authorized or own_id,
        psp_reference=own_id,
        user_id=text(object_member(transaction, "customer"), "id"),
        details=_details(transaction),
        ends_attempt=authorized is None and is_negative and word != "voided",
        capture_id=own_id if authorized is not None and meaning == APPROVED else None,
    )


def _refund(
    refund: dict[str, Any], word: str, meaning: WordMeaning | None, refunded: str | None
) -> TransactionNotice:
    own_id = required_text(refund, "id")
    return TransactionNotice(
        References(present_values(text(refund, "order_id")), present_values(refunded)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND,
        reason=text(refund, "processor_response_code"),
        message=text(refund, "processor_response_text"),
        amount=provider_amount(refund, "amount", "currency_iso_code"),
        psp_transaction_id=own_id,
    )


def _local_payment(kind: str, payment: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read a local payment that has no transaction yet. It tells no amount."""
    payment_id = required_text(payment, "payment_id")
    meaning = meaning_of(kind, LOCAL_PAYMENTS, setup.config)
    return TransactionNotice(
        References(psp=present_values(payment_id, text(payment, "payment_context_id"))),
        raw_status=kind,
        status=None if meaning is None else meaning.status,
        psp_transaction_id=payment_id,
        ends_attempt=meaning is not None and meaning.status in NEGATIVE,
    )


def _dispute(dispute: dict[str, Any], setup: SourceSetup) -> Notice:
    status = required_text(dispute, "status")
    word = f"retrieval {status}" if text(dispute, "kind") == "retrieval" else status
    meaning = meaning_of(word, DISPUTES, setup.config)
    if status == "disputed" and meaning is None:
        return NoteNotice("The dispute was answered: no money moves.")
    transaction = object_member(dispute, "transaction")
    is_won = meaning is not None and meaning.kind is TransactionKind.CHARGEBACK_REVERSAL
    return TransactionNotice(
        References(
            present_values(text(transaction, "order_id")),
            present_values(required_text(transaction, "id")),
        ),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.CHARGEBACK if meaning is None else meaning.kind,
        reason=text(dispute, "reason"),
        amount=_disputed_sum(dispute, "amount_won" if is_won else "amount_disputed"),
        psp_transaction_id=required_text(dispute, "id"),
        is_closing=meaning is not None and meaning.status is TransactionStatus.CANCELLED,
    )


def _disputed_sum(dispute: dict[str, Any], name: str) -> ProviderAmount | None:
    """Return the amount of that name; older notifications only have `amount`."""
    return provider_amount(
        dispute, name if text(dispute, name) is not None else "amount", "currency_iso_code"
    )


def _details(transaction: dict[str, Any]) -> dict[str, Any]:
    card = object_member(transaction, "credit_card")
    return card_details(
        text(card, "bin"),
        text(card, "last_4"),
        brand=text(card, "card_type"),
        method=text(transaction, "payment_instrument_type"),
    )


# ── a notification as Braintree sends it ─────────────────────────────────────────────────────────


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the form as Braintree sends it.

    The fields are the elements of the notification; a list holds objects of one element each.
    """
    document = f"<notification>{_elements(case.fields)}</notification>"
    payload = base64.encodebytes(document.encode()).decode()
    signature = _signature(setup.secrets[0], payload.encode()).decode()
    fields = {"bt_signature": f"public_key|{signature}", "bt_payload": payload}
    return request(case, url, urlencode(fields).encode(), {"content-type": FORM})


def _elements(members: Any) -> str:
    return "".join(_element(str(name).replace("_", "-"), value) for name, value in members.items())


def _element(name: str, value: Any) -> str:
    if value is None:
        return f'<{name} nil="true"/>'
    if isinstance(value, list):
        return f'<{name} type="array">{"".join(map(_elements, value))}</{name}>'
    inner = _elements(value) if isinstance(value, dict) else escape(str(value))
    return f"<{name}>{inner}</{name}>"


PROVIDER = Provider(
    name="braintree",
    title="Braintree",
    about="Settled and declined transactions, local payments, refunds and disputes.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Braintree → Settings → API → the private key of the API user.",
        problem=not_another_credential(
            **{
                "access_token$": "an access token",
                "sandbox_": "a tokenization key",
                "production_": "a tokenization key",
            }
        ),
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("bt_payload",),
    note="Card payments send no notification when they settle: set lookupUrl, or report them over "
    "the API. A retrieval asks for papers and moves no money.",
    statuses=statuses(TRANSACTIONS),
    authorizing=authorizing_words(TRANSACTIONS),
    payer_may_retry=True,
    lookup={
        "status": f"{_FOUND}/status",
        "amount": f"{_FOUND}/amount/value",
        "currency": f"{_FOUND}/amount/currencyCode",
    },
)
