"""AfterShip: the signature as its page says, tags and subtags, whose order it is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import NoteNotice, ShipmentNotice
from tillbell.model.sources import Trust
from tillbell.providers.aftership import PROVIDER
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable

SECRET = "aftership-webhook-secret"
SETUP = SourceSetup((SECRET,))
BODY = b'{"event": "tracking_update", "event_id": "e1", "msg": {"tag": "Delivered"}}'


def signature(secret: str, body: bytes) -> str:
    """Sign as AfterShip's page says: HMAC-SHA256 of the body, in base64."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def posted(body: bytes, header: str) -> Incoming:
    return Incoming("POST", "/x", (("aftership-hmac-sha256", header),), body, 0)


def told(setup: SourceSetup = SETUP, **msg: Any) -> ShipmentNotice:
    known = {"tracking_number": "TT2", "order_id": "gid-1", "order_number": "#1"}
    body = {"event": "tracking_update", "event_id": "e1", "msg": {**known, **msg}}
    incoming = Incoming("POST", "/x", (), json.dumps(body).encode(), 0)
    (notice,) = PROVIDER.parse(incoming, setup).notices
    assert isinstance(notice, ShipmentNotice)
    return notice


def test_a_signature_made_as_the_page_says_is_accepted() -> None:
    assert PROVIDER.verify(posted(BODY, signature(SECRET, BODY)), SETUP).trust is Trust.SIGNED


@each(
    ("body", "header"),
    [
        (BODY, signature("another", BODY)),
        (BODY + b" ", signature(SECRET, BODY)),
        (BODY, hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()),
        (BODY, ""),
    ],
)
def test_another_secret_body_or_spelling_is_refused(body: bytes, header: str) -> None:
    assert PROVIDER.verify(posted(body, header), SETUP).trust is None


@each(
    ("tag", "subtag", "status", "substate"),
    [
        ("InTransit", "InTransit_007", "in_transit", None),
        ("InTransit", "InTransit_999", "in_transit", None),
        ("InTransit", None, "in_transit", None),
        ("Exception", "Exception_003", "exception", "failed"),
        ("Exception", "Exception_011", "returned", None),
        ("Teleported", "Teleported_001", None, None),
    ],
)
def test_a_subtag_wins_over_its_tag_if_it_says_more(
    tag: str, subtag: str | None, status: str | None, substate: str | None
) -> None:
    notice = told(tag=tag, subtag=subtag)
    assert (notice.status, notice.substate) == (status, substate)
    assert notice.raw_status == (subtag or tag)


def test_the_owner_may_give_words_a_meaning() -> None:
    own = {"Exception_007": "exception/address", "Teleported": "delivered", "Expired": "nowhere"}
    setup = SourceSetup((SECRET,), {"statuses": own})
    assert told(setup, tag="Exception", subtag="Exception_007").substate == "address"
    assert told(setup, tag="Teleported").status == "delivered"
    assert told(setup, tag="Expired").status is None


def test_the_owner_says_which_number_is_the_orders() -> None:
    assert told(tag="Delivered").reference == "gid-1"
    setup = SourceSetup((SECRET,), {"reference": "order_number"})
    assert told(setup, tag="Delivered").reference == "#1"


def test_other_events_are_noted_and_a_parcel_without_number_is_unreadable() -> None:
    other = b'{"event": "edd_revise", "event_id": "e2", "msg": {}}'
    (notice,) = PROVIDER.parse(posted(other, ""), SETUP).notices
    assert isinstance(notice, NoteNotice)
    with pytest.raises(Unreadable, match="tracking_number"):
        PROVIDER.parse(posted(BODY, ""), SETUP)
