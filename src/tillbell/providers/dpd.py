"""DPD (Germany), tracking push: one request with a query for each scan of a parcel.

`?pushid=…&pnr=<parcel>&depot=…&status=delivery_customer&statusdate=<DDMMYYYYhhmmss>&ref=…`. Nothing
is signed; the source's URL is the only secret. DPD wants the pushid back in XML, or it sends again.

Times are local to Germany, without an offset. Source: two public integrations that agree, one of
shop orders in TypeScript and one of consignments in C#; DPD's own description is not public.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from tillbell.clock import Micros
from tillbell.model.callbacks import ShipmentNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit import networks, reading
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    Incoming,
    IntakeStatus,
    ParsedNotices,
    Provider,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kit.parcels import STATUSES, ParcelMeaning, meaning_of
from tillbell.providers.kit.requests import request, usual
from tillbell.rules.payments.lifecycles import CREATED, DELIVERED, EXCEPTION, IN_TRANSIT

WORDS: Mapping[str, ParcelMeaning] = {
    "start_order": ParcelMeaning(CREATED),
    "pickup_driver": ParcelMeaning(IN_TRANSIT, "picked_up", "Picked up by the driver"),
    "pickup_depot": ParcelMeaning(IN_TRANSIT, message="In the depot of the sender"),
    "delivery_depot": ParcelMeaning(IN_TRANSIT, message="In the depot of the recipient"),
    "delivery_carload": ParcelMeaning(IN_TRANSIT, "out_for_delivery", "Out for delivery"),
    "delivery_shop": ParcelMeaning(IN_TRANSIT, "ready_for_pickup", "In a parcel shop"),
    "delivery_customer": ParcelMeaning(DELIVERED, message="Delivered"),
    "delivery_nab": ParcelMeaning(EXCEPTION, "failed_attempt", "The recipient was not met"),
    "delivery_notification": ParcelMeaning(EXCEPTION, message="Something hinders the delivery"),
    "error_pickup": ParcelMeaning(EXCEPTION, message="It could not be picked up"),
    "error_return": ParcelMeaning(EXCEPTION, "returning", "On its way back to the sender"),
}
ZONE = "Europe/Berlin"
_PATTERN, _DIGITS = "%d%m%Y%H%M%S", 14
_PUSHID_MAX = 100
_answer = usual()


def _fields(incoming: Incoming) -> dict[str, Any]:
    return dict(reading.query(incoming.target)) or reading.fields(incoming)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one scan of one parcel."""
    fields = _fields(incoming)
    pushid, word = reading.required_text(fields, "pushid"), reading.required_text(fields, "status")
    meaning = meaning_of(word, WORDS, setup.config)
    at, is_ambiguous = _instant(fields)
    notice = ShipmentNotice(
        tracking_number=reading.required_text(fields, "pnr")[: reading.KEY_MAX],
        raw_status=word,
        status=meaning.status if meaning else None,
        substate=meaning.substate if meaning else None,
        reference=reading.text(fields, "ref"),
        message=meaning.message if meaning else None,
        occurred_at=at,
        is_time_ambiguous=is_ambiguous,
    )
    return ParsedNotices((notice,), networks.dedupe_key(pushid[: reading.KEY_MAX], setup))


def _instant(fields: Mapping[str, Any]) -> tuple[Micros | None, bool]:
    written = reading.text(fields, "statusdate") or ""
    if not (written.isascii() and written.isdigit() and len(written) == _DIGITS):
        return None, False
    return reading.local_time(written, _PATTERN, ZONE)


def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    """Give the pushid back in XML when the scan is stored."""
    if intake is not IntakeStatus.STORED:
        return _answer(incoming, setup, intake)
    try:
        pushid = reading.text(_fields(incoming), "pushid") or ""
    except Unreadable:
        pushid = ""
    written = "".join(letter for letter in pushid[:_PUSHID_MAX] if letter.isprintable())
    body = f"<push><pushid>{escape(written)}</pushid><status>OK</status></push>"
    return CallbackAnswer(200, body.encode(), "application/xml; charset=utf-8")


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as DPD sends it: everything in the query, nothing signed."""
    del setup
    query = urlencode({name: str(value) for name, value in case.fields.items()})
    return request(case, f"{url}{'&' if '?' in url else '?'}{query}", b"", {})


PROVIDER = Provider(
    name="dpd",
    title="DPD",
    about="News of parcels (tracking push of DPD Germany).",
    confidence=Confidence.SECOND_HAND,
    best_trust=Trust.NONE,
    bare_trust=Trust.NONE,
    secret=None,
    answers="200 with the pushid in XML.",
    verify=networks.verify,
    parse=parse,
    answer=answer,
    sign=sign,
    settings=(networks.NETWORKS, STATUSES),
    methods=frozenset({"GET", "POST"}),
    masked=("receiver", "pod"),
    note=(
        "Nothing is signed, so keep the source's URL to yourself, and list DPD's addresses in "
        "networks if DPD tells them. DPD's description is not public."
    ),
)
