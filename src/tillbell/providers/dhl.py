"""DHL Shipment Tracking Unified Push: news of parcels that you have subscribed to.

`{"scope": "subscription.push", "self", "shipments": [{"id", "status": {"statusCode", …}, …}]}`.
Nothing is signed: DHL sends a header whose name and value the owner chooses when he subscribes
(`hook.authentication`). The first message of a subscription holds a secret with which it must be
activated. Each division of DHL fills in its own texts and times; only the status codes are common.

Sources: developer.dhl.com (Shipment Tracking Unified Push: guide and request collections),
support-developer.dhl.com (status codes, returned shipments), DHL's SDK for unified tracking
(references); the scopes of messages are from public integrations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tillbell.clock import Micros
from tillbell.model.callbacks import NoteNotice, ShipmentNotice
from tillbell.model.sources import Trust
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
from tillbell.providers.kit.order_fields import parts
from tillbell.providers.kit.parcels import STATUSES, ParcelMeaning, meaning_of
from tillbell.providers.kit.proof import same_text, verify_with_secrets
from tillbell.providers.kit.reading import (
    KEY_MAX,
    iso_time,
    json_object,
    object_member,
    required_text,
    text,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.shared_secret import header_problem
from tillbell.rules.payments.lifecycles import (
    CREATED,
    DELIVERED,
    EXCEPTION,
    IN_TRANSIT,
    RETURNED,
)

# `unknown` is DHL's own word for "no code": it means nothing.
WORDS: Mapping[str, ParcelMeaning] = {
    "pre-transit": ParcelMeaning(CREATED),
    "transit": ParcelMeaning(IN_TRANSIT),
    "delivered": ParcelMeaning(DELIVERED),
    "failure": ParcelMeaning(EXCEPTION),
}
_RETURNED = ParcelMeaning(RETURNED)
_OFFSET = re.compile(r".*(Z|[+-]\d\d:?\d\d)", re.IGNORECASE)
TOKEN_HEADER = ProviderSetting(
    "tokenHeader",
    "The header that you named in the subscription's hook.authentication.",
    default="x-dhl-token",
)
REFERENCE = ProviderSetting(
    "reference",
    "The type of the reference in which you give DHL your order's id.",
    choices=(
        "customer-reference",
        "customer-order-number",
        "customer-confirmation-number",
        "ecommerce-number",
    ),
    default="customer-reference",
)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the token."""
    name = _header_name(setup)
    token = incoming.header(name)
    if token is None:
        return Verdict(None, f"The header {name} is missing or stands twice.")
    return verify_with_secrets(
        setup.secrets, lambda secret: same_text(token, secret), f"The header {name}", Trust.SECRET
    )


def _header_name(setup: SourceSetup) -> str:
    return str(setup.config.get(TOKEN_HEADER.name) or TOKEN_HEADER.default).strip().lower()


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one message: news of one parcel or several, or of the subscription itself."""
    body = json_object(incoming.body)
    scope = required_text(body, "scope")
    if scope != "subscription.push":
        return ParsedNotices((NoteNotice(_about_subscription(scope, body)),))
    notices = tuple(_parcel(shipment, setup.config) for shipment in parts(body, "shipments"))
    return ParsedNotices(notices or (NoteNotice("A message of DHL about no parcel."),))


def _about_subscription(scope: str, body: dict[str, Any]) -> str:
    address, secret = text(body, "self") or "of DHL", text(body, "secret")
    if scope == "subscription.validate" and secret is not None:
        return f"Activate the subscription {address} with the secret {secret}: until then it waits."
    why = text(object_member(body, "failure"), "detail") or text(body, "note") or ""
    return f"{scope[:100]} of the subscription {address}. {why}".strip()


def _parcel(shipment: dict[str, Any], config: Mapping[str, Any]) -> ShipmentNotice:
    status = object_member(shipment, "status")
    word = (text(status, "statusCode") or "unknown").lower()
    meaning = meaning_of(word, WORDS, config)
    if meaning is not None and meaning.status == DELIVERED and shipment.get("returnFlag") is True:
        meaning = _RETURNED  # delivered to its sender
    return ShipmentNotice(
        tracking_number=required_text(shipment, "id")[:KEY_MAX],
        raw_status=word,
        status=meaning.status if meaning else None,
        substate=meaning.substate if meaning else None,
        reference=_reference(shipment, config),
        message=text(status, "description") or text(status, "status"),
        occurred_at=_instant(text(status, "timestamp")),
    )


def _reference(shipment: dict[str, Any], config: Mapping[str, Any]) -> str | None:
    kind = str(config.get(REFERENCE.name) or REFERENCE.default)
    numbers = (
        text(reference, "number")
        for reference in parts(object_member(shipment, "details"), "references")
        if text(reference, "type") == kind
    )
    return next((number for number in numbers if number is not None), None)


def _instant(written: str | None) -> Micros | None:
    """Read a time with an offset. One without is local to a place that DHL does not always tell."""
    return iso_time(written) if written is not None and _OFFSET.fullmatch(written) else None


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as DHL sends it, with the token of the subscription."""
    headers = {"content-type": JSON, _header_name(setup): setup.secrets[0]}
    return request(case, url, json_body(case.fields), headers)


PROVIDER = Provider(
    name="dhl",
    title="DHL",
    about="News of parcels (Shipment Tracking Unified Push).",
    confidence=Confidence.SECOND_HAND,
    best_trust=Trust.SECRET,
    bare_trust=None,
    secret=SecretRule(
        "The token of your choice in the subscription's hook.authentication.",
        problem=header_problem,
    ),
    answers="200; 401 when the token is wrong.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(TOKEN_HEADER, REFERENCE, STATUSES),
    note=(
        "The format of the messages is known from public integrations. Times without an offset are "
        "left out, because DHL does not tell of which place they are."
    ),
)
