"""D-Express, a courier of Serbia: news of parcels, as PUT with a query or as POST.

The only proof is the passcode `cc`, agreed with the courier; in the PUT it travels in the query.
After ten errors in a row the courier stops sending until its support starts it again, so the
answer is always 200, also to what is refused or cannot be read.

Times are local to Belgrade, without an offset. Source: two plugins that follow the courier's
integration documents (s7ilijavelimirov/dexpress-woocommerce, s7ilijavelimirov/d-express).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tillbell.clock import Micros
from tillbell.model.callbacks import ShipmentNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit import networks, reading
from tillbell.providers.kit.base import (
    Answer,
    Case,
    Confidence,
    Heard,
    Incoming,
    Parsed,
    Provider,
    SecretRule,
    Setting,
    Setup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.bodymac import secret_problem
from tillbell.providers.kit.proof import same_text, tried
from tillbell.providers.kit.requests import JSON, json_body, request
from tillbell.rules.payments.lifecycles import (
    CANCELLED,
    CREATED,
    DELIVERED,
    EXCEPTION,
    IN_TRANSIT,
    RETURNED,
    STATES,
)

ZONE = "Europe/Belgrade"
_PATTERN, _DIGITS = "%Y%m%d%H%M%S", 14


class Standing(NamedTuple):
    """What a status id says: our state, the finer word, a sentence."""

    status: str
    substate: str | None = None
    message: str | None = None


_DELAYED = Standing(EXCEPTION, "delayed", "Delayed")
_PROBLEM = Standing(EXCEPTION)
_READY = Standing(IN_TRANSIT, "ready_for_pickup", "Ready for pick-up")
_MOVING = Standing(IN_TRANSIT)
_REFUSED = Standing(EXCEPTION, "failed", "Refused by the recipient")
_RETURNING = Standing(EXCEPTION, "returning", "On its way back to the sender")
STATUSES: Mapping[int, Standing] = {
    0: Standing(CREATED),
    3: Standing(IN_TRANSIT, "picked_up", "Picked up from the sender"),
    4: Standing(IN_TRANSIT, "out_for_delivery", "Out for delivery"),
    22: Standing(IN_TRANSIT, message="The return was cancelled"),
    30: Standing(IN_TRANSIT, message="International"),
    820: Standing(IN_TRANSIT, message="Redirected to a parcel locker"),
    840: _MOVING,
    830: Standing(IN_TRANSIT, "ready_for_pickup", "In a parcel locker"),
    842: Standing(IN_TRANSIT, "ready_for_pickup", "In a parcel shop"),
    **dict.fromkeys((18, 118), _READY),
    1: Standing(DELIVERED, message="Delivered"),
    831: Standing(DELIVERED, message="Taken from the parcel locker"),
    843: Standing(DELIVERED, message="Taken from the parcel shop"),
    # The sources differ about the last three: one of them calls them a problem.
    **dict.fromkeys((6, 7, 12, 17, 106, 107, 112), _DELAYED),
    **dict.fromkeys((8, 9, 10, 11, 19, 25, 108, 109, 110, 111, 119, 125, 822, 841), _PROBLEM),
    **dict.fromkeys((5, 105), _REFUSED),
    -11: Standing(EXCEPTION, "failed", "Seized"),
    -12: Standing(EXCEPTION, "failed", "Destroyed"),
    -13: Standing(EXCEPTION, "failed", "Lost"),
    **dict.fromkeys((21, 23, 123), _RETURNING),
    20: Standing(RETURNED, message="Back at the sender"),
    -1: Standing(CANCELLED, message="The delivery was cancelled"),
    -2: Standing(CANCELLED, message="Deleted"),
}


def verify(incoming: Incoming, setup: Setup) -> Verdict:
    """Compare the passcode; where its owner lists networks, also where it comes from."""
    try:
        found = reading.fields(incoming)
    except Unreadable as error:
        return Verdict(None, str(error))
    place = networks.verify(incoming, setup)
    if place.trust is None:
        return place
    cc = found.get("cc")
    given = str(cc) if isinstance(cc, str | int) else None
    return tried(
        setup.secrets, lambda secret: same_text(given, secret), "The passcode cc", Trust.SECRET
    )


def parse(incoming: Incoming, setup: Setup) -> Parsed:
    """Read one event of one parcel."""
    found = reading.fields(incoming)
    event_id, raw = reading.need(found, "nID"), reading.need(found, "sID")
    standing = _standing(raw, setup.config.get("statuses"))
    at, is_ambiguous = _instant(found)
    notice = ShipmentNotice(
        tracking_number=reading.need(found, "code"),
        raw_status=raw,
        status=standing.status if standing else None,
        substate=standing.substate if standing else None,
        reference=reading.text(found, "rID"),
        message=standing.message if standing else None,
        occurred_at=at,
        sequence=_whole(event_id),
        is_time_ambiguous=is_ambiguous,
    )
    return Parsed((notice,), event_id)


def answer(incoming: Incoming, setup: Setup, heard: Heard) -> Answer:
    """Answer 200 whatever it was; only for a wrong passcode its owner may choose otherwise."""
    del incoming
    if heard is Heard.REFUSED:
        chosen = setup.config.get("authFailureStatus", 200)
        return Answer(chosen if 200 <= chosen <= 599 else 200)
    return Answer(200)


def sign(case: Case, setup: Setup, url: str) -> Incoming:
    """Send the fields with the passcode: a PUT in the query, a POST as JSON."""
    passcode = {"cc": setup.secrets[0]} if setup.secrets else {}
    fields = {**passcode, **case.fields}
    if case.method == "PUT":
        asked = urlencode({name: str(value) for name, value in fields.items()})
        return request(case, f"{url}{'&' if '?' in url else '?'}{asked}", b"", {})
    return request(case, url, json_body(fields), {"content-type": JSON})


def _standing(raw: str, own: Mapping[str, Any] | None) -> Standing | None:
    """Look a status id up, in the owner's table first: the courier adds ids now and then."""
    written = (own or {}).get(raw)
    if isinstance(written, str):
        status, _, substate = written.partition("/")
        return Standing(status, substate or None) if status in STATES else None
    number = _whole(raw)
    return STATUSES.get(number) if number is not None else None


def _instant(found: Mapping[str, Any]) -> tuple[Micros | None, bool]:
    written = reading.text(found, "dt") or ""
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
        Setting(
            "authFailureStatus",
            "What a wrong passcode is answered. Anything but 200 counts as an error there.",
            "integer",
            default=200,
        ),
        networks.NETWORKS,
        Setting(
            "statuses",
            'Own meanings of status ids: {"33": "in_transit/customs"}. They win over the table.',
            "object",
        ),
    ),
    methods=frozenset({"POST", "PUT"}),
    masked=("cc",),
    note=(
        "Known from two plugins that follow the courier's documents, which are not public. Its "
        "addresses are not published."
    ),
)
