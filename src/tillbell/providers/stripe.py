"""Stripe: payment intents, checkout sessions, charges, refunds, disputes and pay-outs.

`Stripe-Signature: t=<seconds>,v1=<hex>`: HMAC-SHA256 over `<t>.<body>` with the whole text of the
endpoint's secret, `whsec_` included. Events may come in any order and more than once.

A session, its payment intent and the charge of it are one attempt, known by the intent's id. A
thin event (`v2.core.event`) names an object and holds no state, so it is only a hint.

A dispute takes and gives money by balance transactions, each with an id and an amount. A dispute
of a partly refunded payment gives back the refunded part even when it is lost.

Sources: docs.stripe.com, Webhooks, Types of events, Event destinations, Currencies, Disputes;
support.stripe.com, Dispute for full charge amount after a partial refund; stripe/stripe-python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.model.callbacks import (
    ForwardNotice,
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
    SecretRule,
    SimulationCase,
    SourceSetup,
)
from tillbell.providers.kit.order_fields import parts
from tillbell.providers.kit.proof import TOLERANCE_S, prefixed_secret
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
    required_text,
    text,
    unix_seconds,
)
from tillbell.providers.kit.reference import own_reference, own_reference_setting
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.timedmac import TimedMac, tolerance
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

TOLERANCE = tolerance(TOLERANCE_S)
PROOF = TimedMac("stripe-signature", TOLERANCE, time="t", signature="v1")
REFERENCE_FIELDS = (
    "client_reference_id",
    "metadata.order_id",
    "metadata.orderId",
    "metadata.order",
)
_TRY_FAILED = WordMeaning(TransactionStatus.PENDING, "payment_failed")  # the same one may succeed
# Of payment intents, checkout sessions and charges.
EVENTS = table(
    {
        "payment_intent.created": PENDING,
        "payment_intent.processing": PENDING,
        "payment_intent.requires_action": PENDING,
        "payment_intent.partially_funded": PENDING,
        "payment_intent.amount_capturable_updated": AUTHORIZED,
        "payment_intent.succeeded": APPROVED,
        "payment_intent.payment_failed": _TRY_FAILED,
        "payment_intent.canceled": CANCELLED,
        "checkout.session.completed": APPROVED,  # if it is paid, else Pending
        "checkout.session.async_payment_succeeded": APPROVED,
        "checkout.session.async_payment_failed": FAILED,
        "checkout.session.expired": CANCELLED,
        "charge.pending": PENDING,
        "charge.succeeded": APPROVED,  # if it is captured, else authorized
        "charge.captured": APPROVED,
        "charge.failed": _TRY_FAILED,
        "charge.expired": CANCELLED,
    }
)
# The payer may pay with another session or intent.
_ENDS_ATTEMPT = frozenset(
    {"checkout.session.async_payment_failed", "checkout.session.expired", "charge.expired"}
)
# `cancellation_reason` of an intent that Stripe or an invoice ended, or that was one too many.
_NOT_GIVEN_UP = frozenset({"automatic", "duplicate", "expired", "failed_invoice", "void_invoice"})
REFUNDS = table(
    {
        "pending": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "requires_action": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "succeeded": linked(TransactionKind.REFUND),
        "failed": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "canceled": linked(TransactionKind.REFUND, TransactionStatus.CANCELLED),
    }
)
# `status` of a pay-out.
PAYOUTS = table(
    {
        "pending": PENDING,
        "in_transit": WordMeaning(TransactionStatus.PROCESSING),
        "paid": APPROVED,
        "failed": FAILED,
        "canceled": CANCELLED,
    }
)
LOOKED_UP = table(
    {
        "requires_payment_method": PENDING,
        "requires_confirmation": PENDING,
        "requires_action": PENDING,
        "processing": PENDING,
        "requires_capture": AUTHORIZED,
        "succeeded": APPROVED,
        "canceled": CANCELLED,
    }
)
_REFUND_EVENTS = frozenset(
    {"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"}
)
_PAYOUT_EVENTS = frozenset(
    {"payout.created", "payout.updated", "payout.paid", "payout.failed", "payout.canceled"}
)
_DISPUTE = "charge.dispute."
# Disputes that are over without money that leaves. Money that comes back has an event of its own.
_SETTLED = frozenset({"won", "prevented", "warning_closed"})
_ENDED = _SETTLED | {"lost"}
# Currencies to which Stripe gives other decimal digits than ISO 4217.
EXPONENTS: Mapping[str, int] = MappingProxyType({"ISK": 2, "UGX": 2, "MGA": 0})
_THIN = "v2.core.event"
_THIN_PAYMENTS = frozenset({"payment_intent", "checkout.session"})  # what a look-up can ask for
_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){1,5}")
_TYPE_MAX = 100
_RECEIVED = ("amount_received", "amount_captured", "amount_total", "amount")
_ASKED = ("amount_total", "amount")


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. What is not about money becomes a message `stripe.<type>`."""
    body = json_object(incoming.body)
    word = required_text(body, "type")
    if text(body, "object") == _THIN:
        notices = _thin(word, object_member(body, "related_object"))
    else:
        resource = object_member(object_member(body, "data"), "object")
        notices = _notices(word, resource, setup)
    if not notices or word in _PAYOUT_EVENTS:
        notices = (*notices, _other(word, incoming.body))
    at = unix_seconds(body.get("created")) or iso_time(body.get("created"))
    is_live = body.get("livemode")
    is_test = not is_live if isinstance(is_live, bool) else None
    marked = (
        notice._replace(occurred_at=at, is_test=is_test)
        if isinstance(notice, TransactionNotice)
        else notice
        for notice in notices
    )
    return ParsedNotices(tuple(marked), text(body, "id"))


def _notices(word: str, resource: dict[str, Any], setup: SourceSetup) -> tuple[Notice, ...]:
    if word in _REFUND_EVENTS:
        return (_refund(resource, setup),)
    if word == "charge.refunded":
        return _refunds_of(resource, setup)
    if word.startswith(_DISPUTE):
        return _dispute(word.removeprefix(_DISPUTE), resource)
    if word in _PAYOUT_EVENTS:
        return (_payout(resource, setup),)
    meaning = meaning_of(word, EVENTS, setup.config)
    return () if meaning is None else (_payment(word, resource, meaning, setup),)


# ── payments ─────────────────────────────────────────────────────────────────────────────────────


def _payment(
    word: str, payment: dict[str, Any], meaning: WordMeaning, setup: SourceSetup
) -> Notice:
    """Read a payment intent, or a session or charge, which names its payment intent."""
    if payment.get("payment_status") == "no_payment_required":
        return NoteNotice("The checkout session needed no payment.")
    own_id, intent = required_text(payment, "id"), text(payment, "payment_intent")
    error = object_member(payment, "last_payment_error")
    meaning = _as_it_stands(word, payment, meaning, setup)
    reason = (
        text(error, "decline_code")
        or text(error, "code")
        or text(payment, "failure_code")
        or text(payment, "cancellation_reason")
    )
    return TransactionNotice(
        References(
            own_reference(payment, setup, REFERENCE_FIELDS),
            present_values(intent, own_id, text(payment, "latest_charge")),
        ),
        raw_status=word,
        status=meaning.status,
        substate=meaning.substate,
        reason=reason,
        message=text(error, "message") or text(payment, "failure_message"),
        amount=_amount(payment, meaning),
        psp_transaction_id=intent or own_id,
        psp_reference=text(payment, "latest_charge"),
        user_id=text(payment, "customer"),
        ends_attempt=word in _ENDS_ATTEMPT or reason in _NOT_GIVEN_UP,
    )


def _as_it_stands(
    word: str, payment: dict[str, Any], meaning: WordMeaning, setup: SourceSetup
) -> WordMeaning:
    """Return what an event means for a payment in this state."""
    if word == "checkout.session.completed" and text(payment, "payment_status") == "unpaid":
        return PENDING
    if word == "charge.succeeded" and payment.get("captured") is False:
        is_final = setup.config.get(AUTHORIZATION_IS_FINAL.name) is True
        return APPROVED if is_final else AUTHORIZED
    is_captured_in_part = text(payment, "amount_received") not in (None, "0")
    return APPROVED if meaning == AUTHORIZED and is_captured_in_part else meaning


def _amount(payment: dict[str, Any], meaning: WordMeaning) -> ProviderAmount | None:
    """Return all that was received, else the amount asked for. Only Approved ones received any."""
    is_approved = meaning.status is TransactionStatus.APPROVED
    values = [text(payment, name) for name in (_RECEIVED if is_approved else _ASKED)]
    present = [value for value in values if value is not None]
    # Nothing is received yet of an authorization that counts as final.
    moved = [value for value in present if value != "0"] or present
    return _sum(moved[0], payment) if moved else None


def _thin(word: str, related: dict[str, Any]) -> tuple[Notice, ...]:
    """Return a hint at a payment; nothing if the event is about something else."""
    id_ = text(related, "id")
    if id_ is None or text(related, "type") not in _THIN_PAYMENTS:
        return ()
    hint = TransactionNotice(
        References(psp=present_values(id_)),
        raw_status=word,
        status=None,
        psp_transaction_id=id_,
        is_hint=True,
    )
    return (hint,)


def _payout(payout: dict[str, Any], setup: SourceSetup) -> Notice:
    """Read a pay-out. Most are not ours: the event is passed on as well."""
    word, own_id = required_text(payout, "status"), required_text(payout, "id")
    meaning = meaning_of(word, PAYOUTS, setup.config)
    return TransactionNotice(
        References(own_reference(payout, setup, REFERENCE_FIELDS), present_values(own_id)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        reason=text(payout, "failure_code"),
        message=text(payout, "failure_message"),
        amount=_sum(text(payout, "amount"), payout),
        psp_transaction_id=own_id,
        is_optional=True,
    )


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────


def _refunds_of(charge: dict[str, Any], setup: SourceSetup) -> tuple[Notice, ...]:
    """Read the refunds listed in a charge. Newer versions of the API tell their sum alone."""
    refunds = parts(object_member(charge, "refunds"), "data")
    if not refunds:
        return (_refunds_in_all(charge),)
    of_charge = {"charge": charge.get("id"), "payment_intent": charge.get("payment_intent")}
    return tuple(_refund({**of_charge, **refund}, setup) for refund in refunds)


def _refunds_in_all(charge: dict[str, Any]) -> TransactionNotice:
    """Read the sum of all refunds. If a part was never captured, the sum may hold the rest."""
    is_whole = text(charge, "amount_captured") in (None, text(charge, "amount"))
    return TransactionNotice(
        _parent({"charge": charge.get("id"), "payment_intent": charge.get("payment_intent")}),
        raw_status="charge.refunded",
        status=TransactionStatus.APPROVED,
        kind=TransactionKind.REFUND,
        amount=_sum(text(charge, "amount_refunded"), charge) if is_whole else None,
        is_total=True,
    )


def _refund(refund: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    word = required_text(refund, "status")
    meaning = meaning_of(word, REFUNDS, setup.config)
    return TransactionNotice(
        _parent(refund),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND,
        reason=text(refund, "failure_reason") or text(refund, "reason"),
        amount=_sum(text(refund, "amount"), refund),
        psp_transaction_id=required_text(refund, "id"),
    )


# ── disputes ─────────────────────────────────────────────────────────────────────────────────────


def _dispute(event: str, dispute: dict[str, Any]) -> tuple[Notice, ...]:
    """Read what an event says of a dispute; nothing if it is none that we know."""
    state = text(dispute, "status") or ""
    if event == "funds_withdrawn":
        return (_withdrawn(event, dispute),)
    if event == "funds_reinstated":
        return (_reinstated(event, dispute),)
    if event not in ("created", "updated", "closed"):
        return ()
    raw_status = f"{event} {state}".rstrip()
    if state in _ENDED and _movement(dispute, is_debit=True) is not None:
        return _all_moved(raw_status, dispute)
    if state in _SETTLED:
        closing = _of_dispute(raw_status, dispute, TransactionStatus.CANCELLED)
        return (closing._replace(is_closing=True),)
    if state == "lost" or event == "closed":
        return (NoteNotice(f"The dispute is {state[:50] or 'closed'}: this moves no money."),)
    return (_of_dispute(raw_status, dispute, TransactionStatus.PENDING),)


def _all_moved(raw_status: str, dispute: dict[str, Any]) -> tuple[Notice, ...]:
    """Read what an ended dispute has moved, in case that nobody sends the events of its money."""
    withdrawn = _withdrawn(raw_status, dispute)
    if _movement(dispute, is_debit=False) is None:
        return (withdrawn,)
    return (withdrawn, _reinstated(raw_status, dispute))


def _withdrawn(raw_status: str, dispute: dict[str, Any]) -> TransactionNotice:
    """Read that money was taken: as much as the last debit says, else all that is disputed."""
    notice = _of_dispute(raw_status, dispute, TransactionStatus.APPROVED)
    debit = _movement(dispute, is_debit=True)
    if debit is None:
        return notice
    moved = _moved(debit, dispute)
    return notice._replace(amount=moved or notice.amount, movement_id=text(debit, "id"))


def _reinstated(raw_status: str, dispute: dict[str, Any]) -> TransactionNotice:
    """Read that money came back. Of a lost dispute it is a part, which only a credit can tell."""
    credit = _movement(dispute, is_debit=False)
    moved = None if credit is None else _moved(credit, dispute)
    is_told = moved is not None or text(dispute, "status") != "lost"
    notice = _of_dispute(
        raw_status, dispute, TransactionStatus.APPROVED if is_told else None
    )._replace(kind=TransactionKind.CHARGEBACK_REVERSAL)
    movement_id = None if credit is None else text(credit, "id")
    return notice._replace(amount=moved or notice.amount, movement_id=movement_id)


def _of_dispute(
    raw_status: str, dispute: dict[str, Any], status: TransactionStatus | None
) -> TransactionNotice:
    return TransactionNotice(
        _parent(dispute),
        raw_status=raw_status,
        status=status,
        kind=TransactionKind.CHARGEBACK,
        reason=text(dispute, "reason"),
        amount=_sum(text(dispute, "amount"), dispute),
        psp_transaction_id=required_text(dispute, "id"),
    )


def _movement(dispute: dict[str, Any], *, is_debit: bool) -> dict[str, Any] | None:
    """Return the last balance transaction that took money, or that gave it back."""
    fitting = [
        movement
        for movement in parts(dispute, "balance_transactions")
        if (amount := text(movement, "amount")) is not None
        and amount.strip("-0") != ""
        and amount.startswith("-") is is_debit
    ]
    return fitting[-1] if fitting else None


def _moved(movement: dict[str, Any], dispute: dict[str, Any]) -> ProviderAmount | None:
    """Return how much a balance transaction moved; None if it is in the account's currency."""
    if text(movement, "currency") not in (None, text(dispute, "currency")):
        return None
    return _sum((text(movement, "amount") or "").removeprefix("-"), dispute)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def _parent(resource: dict[str, Any]) -> References:
    """Name the payment by Stripe's ids alone: metadata of a refund or dispute is free."""
    return References(
        psp=present_values(text(resource, "payment_intent"), text(resource, "charge"))
    )


def _sum(value: str | None, resource: dict[str, Any]) -> ProviderAmount | None:
    if value is None:
        return None
    currency = (text(resource, "currency") or "").upper()
    return ProviderAmount(value, currency or None, is_minor=True, exponent=EXPONENTS.get(currency))


def _other(word: str, body: bytes) -> Notice:
    if _TYPE.fullmatch(word) is None or len(word) > _TYPE_MAX:
        return NoteNotice(f"{word[:_TYPE_MAX]} is not about money, and is no name of a message.")
    return ForwardNotice(f"stripe.{word}", body)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Stripe sends it."""
    body = json_body(case.fields)
    signature = PROOF.value(setup.secrets[0], case.at, body)
    return request(case, url, body, {"content-type": JSON, PROOF.header: signature})


PROVIDER = Provider(
    name="stripe",
    title="Stripe",
    about="Payments, refunds, disputes and pay-outs; other events passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Stripe → Developers → Webhooks → the endpoint → Signing secret (whsec_…).",
        problem=prefixed_secret("whsec_"),
    ),
    answers="200; 401 when the signature does not match or is too old.",
    verify=PROOF.verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(
        AUTHORIZATION_IS_FINAL,
        STATUSES,
        TOLERANCE,
        own_reference_setting(REFERENCE_FIELDS),
    ),
    note="A try that failed leaves the payment Pending, because the payer may try again. Refunds "
    "are read from refund.*: charge.refunded alone may not name them. Thin events are hints: they "
    "need a look-up.",
    statuses=statuses(LOOKED_UP),
    authorizing=authorizing_words(LOOKED_UP),
    lookup={
        "status": "/status",
        "authorized": "/amount_capturable",
        "amount": ("/amount_received",),  # /amount is what was asked for
        "currency": "/currency",
        "isLive": "/livemode",
        "minorUnits": True,
    },
    exponents=EXPONENTS,
)
