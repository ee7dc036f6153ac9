"""DPD: the query, times of Germany, the pushid in the answer, addresses."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.cases import each
from tillbell.clock import iso
from tillbell.model.callbacks import ShipmentNotice
from tillbell.model.sources import Trust
from tillbell.providers.dpd import PROVIDER
from tillbell.providers.kit.base import Incoming, IntakeStatus, SourceSetup, Unreadable

FIELDS = {
    "pushid": "77000001",
    "pnr": "01405400012345",
    "status": "delivery_customer",
    "statusdate": "01052026104300",
    "ref": "ORD-1004",
}
LISTED = SourceSetup((), {"networks": ["192.0.2.0/24"]})


def scan(method: str = "GET", peer: str = "", **changed: str) -> Incoming:
    query = urlencode({**FIELDS, **changed})
    return Incoming(method, f"/api/webhooks/dpd/token?{query}", (), b"", 0, peer=peer)


def told(**changed: str) -> ShipmentNotice:
    (notice,) = PROVIDER.parse(scan(**changed), SourceSetup()).notices
    assert isinstance(notice, ShipmentNotice)
    return notice


def answered(incoming: Incoming, intake: IntakeStatus = IntakeStatus.STORED) -> tuple[int, bytes]:
    answer = PROVIDER.answer(incoming, SourceSetup(), intake)
    return answer.status, answer.body


def test_a_scan_is_read_by_either_method() -> None:
    for method in ("GET", "POST"):
        (notice,) = PROVIDER.parse(scan(method), SourceSetup()).notices
        assert isinstance(notice, ShipmentNotice)
        assert (notice.tracking_number, notice.status) == ("01405400012345", "delivered")
        assert notice.reference == "ORD-1004"


@each(
    ("statusdate", "at"),
    [
        ("01052026104300", "2026-05-01T08:43:00"),
        ("01122026104300", "2026-12-01T09:43:00"),
        ("20260501104300", None),
        ("0105202610430", None),
        ("", None),
    ],
)
def test_times_are_those_of_germany(statusdate: str, at: str | None) -> None:
    occurred_at = told(statusdate=statusdate).occurred_at
    assert (iso(occurred_at)[:19] if occurred_at is not None else None) == at


def test_the_hour_that_autumn_repeats_is_marked() -> None:
    assert told(statusdate="25102026023000").is_time_ambiguous
    assert not told(statusdate="25102026033000").is_time_ambiguous


def test_the_pushid_is_given_back() -> None:
    body = b"<push><pushid>77000001</pushid><status>OK</status></push>"
    assert answered(scan()) == (200, body)
    assert answered(scan(pushid="<&\n>"))[1].startswith(b"<push><pushid>&lt;&amp;&gt;</pushid>")
    assert answered(scan(), IntakeStatus.REFUSED) == (401, b"")
    twice = scan()._replace(target=scan().target + "&pushid=2")
    assert answered(twice) == (200, b"<push><pushid></pushid><status>OK</status></push>")


def test_a_pushid_is_believed_only_from_listed_addresses() -> None:
    assert PROVIDER.verify(scan(), SourceSetup()).trust is Trust.NONE
    assert PROVIDER.verify(scan(peer="192.0.2.7"), LISTED).trust is Trust.NETWORK
    assert PROVIDER.verify(scan(peer="198.51.100.7"), LISTED).trust is None
    assert PROVIDER.parse(scan(), SourceSetup()).dedupe_key is None
    assert PROVIDER.parse(scan(), LISTED).dedupe_key == "77000001"


def test_an_unknown_word_means_nothing_unless_the_owner_says_so() -> None:
    assert told(status="delivery_moon").status is None
    own = SourceSetup((), {"statuses": {"delivery_moon": "exception/moon"}})
    (notice,) = PROVIDER.parse(scan(status="delivery_moon"), own).notices
    assert isinstance(notice, ShipmentNotice)
    assert (notice.status, notice.substate) == ("exception", "moon")


@pytest.mark.parametrize("name", ["pushid", "pnr", "status"])
def test_a_scan_without_its_names_is_unreadable(name: str) -> None:
    with pytest.raises(Unreadable, match=name):
        PROVIDER.parse(scan(**{name: ""}), SourceSetup())
