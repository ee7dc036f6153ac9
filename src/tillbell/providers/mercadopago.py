"""Mercado Pago: which payment or order changed, but not how.

`x-signature: ts=<time>,v1=<hex>`: HMAC-SHA256, keyed with the application's secret signature, over
`id:<data.id>;request-id:<x-request-id>;ts:<ts>;`. `data.id` is the parameter of the URL. What is
missing is left out of the text. Mercado Pago's libraries disagree whether letters of the id are
signed as they are or in lower case, so both are accepted. An id may hold no `;`, with which one
text would fit two requests. The body is not signed, and `ts` comes in seconds and in milliseconds.

Notifications of QR codes are not signed at all. A source without a secret takes them as they are.
None says how the payment stands, so each only makes us ask.

Sources: mercadopago.com developers, Webhooks, Payment status, Order status; mercadopago/sdk-python,
sdk-nodejs, sdk-go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.clock import SECOND
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
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.proof import (
    from_hex,
    is_one_of,
    key_bytes,
    mac,
    not_another_credential,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
    query,
    text,
)
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import STATUSES

HEADER = "x-signature"
PAIRS_MAX = 20  # the rest is ignored
REFERENCE = reference_setting(
    "query.order",
    "The field with your order's id: `query.<name>` is a parameter that you add to the "
    "notification_url of a payment, other paths are of the body.",
)
TOPICS = ("payment", "order")
LOOKED_UP: Mapping[str, TransactionStatus] = MappingProxyType(
    {
        # of payments; one that is rejected may be followed by another of the same order
        "pending": TransactionStatus.PENDING,
        "in_process": TransactionStatus.PENDING,
        "authorized": TransactionStatus.PENDING,
        "rejected": TransactionStatus.PENDING,
        "in_mediation": TransactionStatus.PENDING,
        "approved": TransactionStatus.APPROVED,
        "refunded": TransactionStatus.APPROVED,  # as a whole; the look-up says how much went back
        "cancelled": TransactionStatus.CANCELLED,
        # of orders
        "created": TransactionStatus.PENDING,
        "processing": TransactionStatus.PENDING,
        "action_required": TransactionStatus.PENDING,
        "processed": TransactionStatus.APPROVED,
        "canceled": TransactionStatus.CANCELLED,
        "expired": TransactionStatus.CANCELLED,
    }
)
# As GET /v1/payments/{id} answers.
LOOKUP: Mapping[str, Any] = MappingProxyType(
    {
        "amount": "/transaction_amount",
        "currency": "/currency_id",
        "refunded": "/transaction_amount_refunded",
        "isLive": "/live_mode",
    }
)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNSIGNED = Verdict(Trust.NONE, "The source has no secret, so the notification proves nothing.")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature over the id, the request's id and the time. The body is not covered."""
    if not setup.secrets:
        return _UNSIGNED
    try:
        own_id = _signed_id(incoming)
    except Unreadable as error:
        return Verdict(None, str(error))
    header = incoming.header(HEADER)
    if header is None:
        return Verdict(None, f"The header {HEADER} is missing or stands twice.")
    time, signatures = _read(header)
    if time is None or not any(signatures):
        return Verdict(None, f"The header {HEADER} holds no ts=<time>,v1=<hex>.")
    texts = [_signed_text(name, incoming, time) for name in dict.fromkeys((own_id, own_id.lower()))]
    return verify_with_secrets(
        setup.secrets,
        lambda secret: is_one_of(
            signatures, [mac("sha256", key_bytes(secret), written) for written in texts]
        ),
        HEADER,
        Trust.PARTIALLY_SIGNED,
    )


def _signed_id(incoming: Incoming) -> str:
    """Return `data.id` of the URL; "" if there is none."""
    own_id = text(query(incoming.target), "data.id") or ""
    if own_id and _ID.fullmatch(own_id) is None:
        raise Unreadable("The data.id of the URL holds other letters than ids of Mercado Pago.")
    return own_id


def _read(header: str) -> tuple[str | None, list[bytes]]:
    """Return the time, and the signatures of version 1."""
    pairs = [pair.strip().partition("=") for pair in header.split(",", PAIRS_MAX)][:PAIRS_MAX]
    times = [value for name, _, value in pairs if name == "ts"]
    is_time = len(times) == 1 and times[0].isascii() and times[0].isdigit()
    return times[0] if is_time else None, [from_hex(v) for name, _, v in pairs if name == "v1"]


def _signed_text(own_id: str, incoming: Incoming, time: str) -> bytes:
    request_id = (incoming.header("x-request-id") or "").strip()
    named = (("id", own_id), ("request-id", request_id), ("ts", time))
    return key_bytes("".join(f"{name}:{value};" for name, value in named if value))


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Say which payment or order changed. A hint is never a duplicate."""
    body, parameters = json_object(incoming.body), query(incoming.target)
    topic = text(body, "type") or text(parameters, "type") or ""
    if topic not in TOPICS:
        return ParsedNotices((NoteNotice(f"{topic[:100]!r} is about no payment or order."),), "")
    own_id = _changed_id(incoming, body)
    notice = TransactionNotice(
        References(
            merchant_reference({**body, "query": parameters}, setup, REFERENCE),
            present_values(own_id),
        ),
        raw_status=text(body, "action") or topic,
        status=None,
        psp_transaction_id=own_id,
        occurred_at=iso_time(body.get("date_created")),
        is_hint=True,
        is_id_proven=bool(_signed_id(incoming)),
        is_test=_is_test(body),
    )
    return ParsedNotices((notice,), "")


def _changed_id(incoming: Incoming, body: dict[str, Any]) -> str:
    """Return the id of what changed: that of the URL, which must not differ from the body's."""
    of_body, of_url = text(object_member(body, "data"), "id"), _signed_id(incoming)
    if of_body is not None and of_url and of_body.lower() != of_url.lower():
        raise Unreadable("The body names another data.id than the URL.")
    own_id = of_body or of_url
    if not own_id:
        raise Unreadable("The field 'data.id' is missing.")
    return own_id


def _is_test(body: dict[str, Any]) -> bool | None:
    is_live = body.get("live_mode")
    return not is_live if isinstance(is_live, bool) else None


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Mercado Pago sends it: id and topic in the URL too."""
    data = object_member(dict(case.fields), "data")
    known = {"data.id": text(data, "id"), "type": text(case.fields, "type")}
    named = {name: value for name, value in known.items() if value is not None}
    headers = {"content-type": JSON, "x-request-id": case.id}
    asked = case._replace(query={**named, **case.query})
    incoming = request(asked, url, json_body(case.fields), headers)
    if not setup.secrets or incoming.header(HEADER) is not None:
        return incoming
    seconds = str(case.at // SECOND)
    written = _signed_text(_signed_id(incoming), incoming, seconds)
    signature = mac("sha256", key_bytes(setup.secrets[0]), written).hex()
    signed_header = (HEADER, f"ts={seconds},v1={signature}")
    return incoming._replace(headers=(*incoming.headers, signed_header))


PROVIDER = Provider(
    name="mercadopago",
    title="Mercado Pago",
    about="Which payment or order changed; how, Mercado Pago must be asked.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.PARTIALLY_SIGNED,
    bare_trust=Trust.NONE,
    secret=SecretRule(
        "Mercado Pago → Your integrations → the application → Webhooks → secret signature; "
        "notifications of QR codes have none.",
        is_required=False,
        problem=not_another_credential(
            **{"APP_USR-": "an access token", "TEST-": "an access token"}
        ),
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(REFERENCE, STATUSES),
    note="No notification says what state a payment has: set lookupUrl, or a person must confirm. "
    "How much a chargeback takes is not told.",
    statuses=LOOKED_UP,
    payer_may_retry=True,
    lookup=LOOKUP,
)
