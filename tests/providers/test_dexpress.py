"""D-Express: two ways to send, a passcode, local times, and never an error."""

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from tests.cases import each
from tillbell.clock import HOUR, iso
from tillbell.model.callbacks import ShipmentNotice
from tillbell.model.sources import Trust
from tillbell.providers.dexpress import PROVIDER
from tillbell.providers.kit.base import (
    Incoming,
    IntakeStatus,
    SimulationCase,
    SourceSetup,
    Unreadable,
)

PATH = "/api/webhooks/dexpress"
FIELDS = {
    "cc": "demo-passcode",
    "nID": "90000123",
    "code": "TT0000000001",
    "rID": "ORD-1001",
    "sID": "1",
    "dt": "20260301110000",
}
KEYED = SourceSetup(("demo-passcode",))


def put(**changed: str) -> Incoming:
    query = urlencode({**FIELDS, **changed})
    return Incoming("PUT", f"{PATH}?{query}", (), b"", 0)


def post(content_type: str = "application/json", **changed: Any) -> Incoming:
    found = {**FIELDS, **changed}
    is_json = content_type == "application/json"
    body = msgspec.json.encode(found) if is_json else urlencode(found).encode()
    return Incoming("POST", PATH, (("content-type", content_type),), body, 0)


def heard(incoming: Incoming, setup: SourceSetup = KEYED) -> ShipmentNotice:
    (notice,) = PROVIDER.parse(incoming, setup).notices
    assert isinstance(notice, ShipmentNotice)
    return notice


@pytest.mark.parametrize(
    "incoming", [put(), post(), post("application/x-www-form-urlencoded"), post("text/plain")]
)
def test_each_way_to_send_says_the_same(incoming: Incoming) -> None:
    notice = heard(incoming)

    assert PROVIDER.verify(incoming, KEYED).trust is Trust.SECRET
    assert (notice.tracking_number, notice.reference) == ("TT0000000001", "ORD-1001")
    assert (notice.status, notice.sequence) == ("delivered", 90000123)
    assert PROVIDER.parse(incoming, KEYED).dedupe_key == "90000123"


def test_numbers_may_be_numbers() -> None:
    notice = heard(post(nID=90000123, sID=-13))

    assert (notice.status, notice.substate, notice.raw_status) == ("exception", "failed", "-13")
    assert notice.sequence == 90000123


@pytest.mark.parametrize("cc", ["", "demo-passcodf", "demo-passcode\n", "é", "x" * 1_000_000])
def test_a_wrong_passcode_is_refused_and_still_answered_200(cc: str) -> None:
    incoming = post(cc=cc)
    verdict = PROVIDER.verify(incoming, KEYED)

    assert verdict.trust is None
    assert "demo-passcode" not in verdict.why
    assert PROVIDER.answer(incoming, KEYED, IntakeStatus.REFUSED)[:2] == (200, b"")


def test_its_owner_may_choose_another_answer_to_a_wrong_passcode() -> None:
    strict = SourceSetup(("demo-passcode",), {"authFailureStatus": 401})

    assert PROVIDER.answer(put(), strict, IntakeStatus.REFUSED).status == 401
    assert PROVIDER.answer(put(), strict, IntakeStatus.MALFORMED).status == 200


@pytest.mark.parametrize("secrets", [(), ("",)])
def test_without_a_passcode_nothing_is_taken(secrets: tuple[str, ...]) -> None:
    assert PROVIDER.verify(post(cc=""), SourceSetup(secrets)).trust is None


def test_networks_are_looked_at_where_they_are_listed() -> None:
    listed = SourceSetup(("demo-passcode",), {"networks": ["203.0.113.0/24"]})

    assert PROVIDER.verify(put()._replace(peer="203.0.113.9"), listed).trust is Trust.SECRET
    assert PROVIDER.verify(put()._replace(peer="198.51.100.9"), listed).trust is None
    assert PROVIDER.verify(put(), listed).trust is None


@each(
    ("status_id", "status", "substate"),
    [
        ("0", "created", None),
        ("3", "in_transit", "picked_up"),
        ("4", "in_transit", "out_for_delivery"),
        ("18", "in_transit", "ready_for_pickup"),
        ("107", "exception", "delayed"),
        ("9", "exception", None),
        ("105", "exception", "failed"),
        ("23", "exception", "returning"),
        ("20", "returned", None),
        ("831", "delivered", None),
        ("-2", "cancelled", None),
        ("2", None, None),
        ("1.0", None, None),
        ("١", None, None),
    ],
)
def test_the_table_of_status_ids(status_id: str, status: str | None, substate: str | None) -> None:
    notice = heard(post(sID=status_id))

    assert (notice.status, notice.substate) == (status, substate)


def test_its_owner_may_add_and_change_status_ids() -> None:
    own = {"33": "in_transit/customs", "1": "exception", "34": "somewhere"}
    setup = SourceSetup((), {"statuses": own})

    assert heard(post(sID="33"), setup)[2:4] == ("in_transit", "customs")
    assert heard(post(sID="1"), setup).status == "exception"
    assert heard(post(sID="34"), setup).status is None


def test_times_are_those_of_belgrade_in_winter_and_summer() -> None:
    assert iso(heard(put(dt="20260301110000")).occurred_at or 0).startswith("2026-03-01T10:00:00")
    assert iso(heard(put(dt="20260701110000")).occurred_at or 0).startswith("2026-07-01T09:00:00")


def test_the_hour_that_autumn_repeats_is_marked() -> None:
    notice = heard(put(dt="20261025023000"))
    after = heard(put(dt="20261025030000"))

    assert notice.is_time_ambiguous
    assert not after.is_time_ambiguous
    assert (after.occurred_at or 0) - (notice.occurred_at or 0) == HOUR + HOUR // 2


@pytest.mark.parametrize("dt", ["", "2026030111000", "20261301110000", "2026-03-01T11", "0" * 14])
def test_a_time_that_is_none_is_left_out(dt: str) -> None:
    assert heard(put(dt=dt)).occurred_at is None


@pytest.mark.parametrize("name", ["nID", "code", "sID"])
def test_what_names_no_parcel_or_event_is_unreadable_and_answered_200(name: str) -> None:
    incoming = post(**{name: ""})

    with pytest.raises(Unreadable):
        PROVIDER.parse(incoming, KEYED)
    assert PROVIDER.answer(incoming, KEYED, IntakeStatus.MALFORMED).status == 200


def test_a_field_that_stands_twice_is_refused() -> None:
    twice = put()._replace(target=put().target + "&sID=20")

    assert "twice" in PROVIDER.verify(twice, KEYED).why


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_simulated_event_is_taken(method: str) -> None:
    fields = {name: value for name, value in FIELDS.items() if name != "cc"}
    made = PROVIDER.sign(
        SimulationCase(fields, method=method), KEYED, f"https://hooks.example{PATH}/tok"
    )

    assert PROVIDER.verify(made, KEYED).trust is Trust.SECRET
    assert made.method == method
    assert heard(made).status == "delivered"
