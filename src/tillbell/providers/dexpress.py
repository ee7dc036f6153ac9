"""D-Express, a courier of Serbia: news of parcels, as PUT with a query or as POST.

The only proof is the passcode `cc`, agreed with the courier; in the PUT it travels in the query.
After ten errors in a row the courier stops sending until its support starts it again, so the
answer is always 200, also to what is refused or cannot be read.

Times are local to Belgrade, without an offset. Source: two plugins that follow the courier's
integration documents (s7ilijavelimirov/dexpress-woocommerce, s7ilijavelimirov/d-express).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

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
    ProviderSetting,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.parcels import STATUSES, ParcelMeaning, meaning_of
from tillbell.providers.kit.proof import same_text, secret_problem, verify_with_secrets
from tillbell.providers.kit.requests import JSON, json_body, request
from tillbell.rules.payments.lifecycles import (
    CANCELLED,
    CREATED,
    DELIVERED,
    EXCEPTION,
    IN_TRANSIT,
    RETURNED,
)

ZONE = "Europe/Belgrade"
_PATTERN, _DIGITS = "%Y%m%d%H%M%S", 14


_DELAYED = ParcelMeaning(EXCEPTION, "delayed", "Delayed")
_PROBLEM = ParcelMeaning(EXCEPTION)
_READY = ParcelMeaning(IN_TRANSIT, "ready_for_pickup", "Ready for pick-up")
_MOVING = ParcelMeaning(IN_TRANSIT)
_REFUSED = ParcelMeaning(EXCEPTION, "failed", "Refused by the recipient")
_RETURNING = ParcelMeaning(EXCEPTION, "returning", "On its way back to the sender")
_BY_NUMBER: Mapping[int, ParcelMeaning] = {
    0: ParcelMeaning(CREATED),
    3: ParcelMeaning(IN_TRANSIT, "picked_up", "Picked up from the sender"),
    4: ParcelMeaning(IN_TRANSIT, "out_for_delivery", "Out for delivery"),
    22: ParcelMeaning(IN_TRANSIT, message="The return was cancelled"),
    30: ParcelMeaning(IN_TRANSIT, message="International"),
    820: ParcelMeaning(IN_TRANSIT, message="Redirected to a parcel locker"),
    840: _MOVING,
    830: ParcelMeaning(IN_TRANSIT, "ready_for_pickup", "In a parcel locker"),
    842: ParcelMeaning(IN_TRANSIT, "ready_for_pickup", "In a parcel shop"),
    **dict.fromkeys((18, 118), _READY),
    1: ParcelMeaning(DELIVERED, message="Delivered"),
    831: ParcelMeaning(DELIVERED, message="Taken from the parcel locker"),
    843: ParcelMeaning(DELIVERED, message="Taken from the parcel shop"),
    # The sources differ about the last three: one of them calls them a problem.
    **dict.fromkeys((6, 7, 12, 17, 106, 107, 112), _DELAYED),
    **dict.fromkeys((8, 9, 10, 11, 19, 25, 108, 109, 110, 111, 119, 125, 822, 841), _PROBLEM),
    **dict.fromkeys((5, 105), _REFUSED),
    -11: ParcelMeaning(EXCEPTION, "failed", "Seized"),
    -12: ParcelMeaning(EXCEPTION, "failed", "Destroyed"),
    -13: ParcelMeaning(EXCEPTION, "failed", "Lost"),
    **dict.fromkeys((21, 23, 123), _RETURNING),
    20: ParcelMeaning(RETURNED, message="Back at the sender"),
    -1: ParcelMeaning(CANCELLED, message="The delivery was cancelled"),
    -2: ParcelMeaning(CANCELLED, message="Deleted"),
}
WORDS = {str(number): meaning for number, meaning in _BY_NUMBER.items()}


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the passcode; if the owner lists networks, the address too."""
    try:
        fields = reading.fields(incoming)
    except Unreadable as error:
        return Verdict(None, str(error))
    place = networks.verify(incoming, setup)
    if place.trust is None:
        return place
    cc = fields.get("cc")
    passcode = str(cc) if isinstance(cc, str | int) else None
    return verify_with_secrets(
        setup.secrets, lambda secret: same_text(passcode, secret), "The passcode cc", Trust.SECRET
    )


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event of one parcel."""
    fields = reading.fields(incoming)
    event_id, raw = reading.required_text(fields, "nID"), reading.required_text(fields, "sID")
    number = _whole(raw)
    meaning = meaning_of(raw if number is None else str(number), WORDS, setup.config)
    at, is_ambiguous = _instant(fields)
    notice = ShipmentNotice(
        tracking_number=reading.required_text(fields, "code"),
        raw_status=raw,
        status=meaning.status if meaning else None,
        substate=meaning.substate if meaning else None,
        reference=reading.text(fields, "rID"),
        message=meaning.message if meaning else None,
        occurred_at=at,
        sequence=_whole(event_id),
        is_time_ambiguous=is_ambiguous,
    )
    return ParsedNotices((notice,), event_id)


def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    """Answer 200 to everything; the owner may choose another status for a wrong passcode."""
    del incoming
    if intake is IntakeStatus.REFUSED:
        chosen = setup.config.get("authFailureStatus", 200)
        return CallbackAnswer(chosen if 200 <= chosen <= 599 else 200)
    return CallbackAnswer(200)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Send the fields and the passcode: by PUT in the query, by POST as JSON."""
    passcode = {"cc": setup.secrets[0]} if setup.secrets else {}
    fields = {**passcode, **case.fields}
    if case.method == "PUT":
        query = urlencode({name: str(value) for name, value in fields.items()})
        return request(case, f"{url}{'&' if '?' in url else '?'}{query}", b"", {})
    return request(case, url, json_body(fields), {"content-type": JSON})


def _instant(fields: Mapping[str, Any]) -> tuple[Micros | None, bool]:
    written = reading.text(fields, "dt") or ""
    if not (written.isascii() and written.isdigit() and len(written) == _DIGITS):
        return None, False
    return reading.local_time(written, _PATTERN, ZONE)


def _whole(written: str) -> int | None:
    """Read a whole number that a database can hold; None if it is none."""
    digits = written.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        return None
    return int(written)


PROVIDER = Provider(
    name="dexpress",
    title="D-Express",
    about="News of parcels.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SECRET,
    bare_trust=None,
    secret=SecretRule("The passcode (cc) agreed with the courier.", problem=secret_problem),
    answers="200 with an empty body, always: after ten errors the courier stops sending.",
    verify=verify,
    parse=parse,
    answer=answer,
    sign=sign,
    settings=(
        ProviderSetting(
            "authFailureStatus",
            "What a wrong passcode is answered. Anything but 200 counts as an error there.",
            "integer",
            minimum=200,
            maximum=599,
            default=200,
        ),
        networks.NETWORKS,
        STATUSES,
    ),
    methods=frozenset({"POST", "PUT"}),
    masked=("cc",),
    note=(
        "Known from two plugins that follow the courier's documents, which are not public. Its "
        "addresses are not published."
    ),
)
