"""AfterShip Tracking: states of parcels of many carriers, in one set of words.

`{"event", "event_id", "ts", "msg": {"tracking_number", "slug", "tag", "subtag", "order_id", …}}`.
`aftership-hmac-sha256` is the base64 HMAC-SHA256 of the body with the webhook secret.

Sources: aftership.com/docs/tracking (webhook overview, specifications, signature; delivery statuses
and sub-statuses); the official Python library aftership-tracking-sdk (models).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.model.callbacks import NoteNotice, ShipmentNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SecretRule,
    SourceSetup,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.parcels import STATUSES, ParcelMeaning, meaning_of
from tillbell.providers.kit.proof import not_another_credential
from tillbell.providers.kit.reading import (
    KEY_MAX,
    json_object,
    object_member,
    required_text,
    text,
    unix_seconds,
)
from tillbell.providers.kit.requests import usual
from tillbell.rules.payments.lifecycles import (
    CANCELLED,
    CREATED,
    DELIVERED,
    EXCEPTION,
    IN_TRANSIT,
    RETURNED,
)

PROOF = BodyMac("aftership-hmac-sha256", "sha256", "base64")
_DELAYED, _FAILED = ParcelMeaning(EXCEPTION, "delayed"), ParcelMeaning(EXCEPTION, "failed")
# Tags, and the subtags that say more than their tag. A subtag wins over its tag.
WORDS: Mapping[str, ParcelMeaning] = {
    "Pending": ParcelMeaning(CREATED),
    "InfoReceived": ParcelMeaning(CREATED),
    "InTransit": ParcelMeaning(IN_TRANSIT),
    "OutForDelivery": ParcelMeaning(IN_TRANSIT, "out_for_delivery"),
    "AvailableForPickup": ParcelMeaning(IN_TRANSIT, "ready_for_pickup"),
    "Delivered": ParcelMeaning(DELIVERED),
    "AttemptFail": ParcelMeaning(EXCEPTION, "failed_attempt"),
    "Expired": ParcelMeaning(EXCEPTION, "expired"),
    "Exception": ParcelMeaning(EXCEPTION),
    "Exception_003": _FAILED,  # refused by the recipient
    **dict.fromkeys(("Exception_004", "Exception_005"), _DELAYED),
    "Exception_010": ParcelMeaning(EXCEPTION, "returning"),
    "Exception_011": ParcelMeaning(RETURNED),
    **dict.fromkeys(("Exception_012", "Exception_013"), _FAILED),  # damaged, lost
    **dict.fromkeys(("Exception_016", "Exception_017", "Exception_019"), _DELAYED),
    "Exception_020": ParcelMeaning(CANCELLED),
    "Exception_021": _FAILED,  # destroyed
}
REFERENCE = ProviderSetting(
    "reference",
    "The member in which you give AfterShip your order's id.",
    choices=("order_id", "order_number"),
    default="order_id",
)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. News of the estimated delivery is only noted."""
    body = json_object(incoming.body)
    event, key = required_text(body, "event"), text(body, "event_id")
    if event != "tracking_update":
        return ParsedNotices((NoteNotice(f"{event[:100]} does not tell where a parcel is."),), key)
    parcel = object_member(body, "msg")
    tag, subtag = required_text(parcel, "tag"), text(parcel, "subtag")
    meaning = _meaning(tag, subtag, setup.config)
    notice = ShipmentNotice(
        tracking_number=required_text(parcel, "tracking_number")[:KEY_MAX],
        raw_status=subtag or tag,
        status=meaning.status if meaning else None,
        substate=meaning.substate if meaning else None,
        reference=text(parcel, str(setup.config.get(REFERENCE.name) or REFERENCE.default)),
        message=text(parcel, "subtag_message"),
        occurred_at=unix_seconds(body.get("ts")),
        carrier=text(parcel, "slug"),
    )
    return ParsedNotices((notice,), key)


def _meaning(tag: str, subtag: str | None, config: Mapping[str, Any]) -> ParcelMeaning | None:
    of_subtag = meaning_of(subtag, WORDS, config) if subtag is not None else None
    return of_subtag or meaning_of(tag, WORDS, config)


PROVIDER = Provider(
    name="aftership",
    title="AfterShip",
    about="News of parcels of many carriers.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "AfterShip Tracking → Settings → Notifications → Webhooks → Webhook secret.",
        problem=not_another_credential(asat_="an API key"),
    ),
    answers="200; 401 when the signature does not match. Up to 14 repeats.",
    verify=PROOF.verify,
    parse=parse,
    answer=usual(),
    sign=PROOF.sign,
    settings=(REFERENCE, STATUSES),
)
