"""The simulator: what it says is believed, is of now, and is what was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.cases import each
from tests.providers.pinned import pinned
from tests.providers.test_every_provider import secret_of
from tillbell.clock import SECOND, from_datetime
from tillbell.errors import Misconfigured
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import ParsedNotices, SimulationCase, SourceSetup
from tillbell.providers.kit.cases import SampleCallback, samples
from tillbell.testing import ManualClock, SimulatedCallback, Simulation, simulate
from tillbell.testing.freshness import in_same_shape, renewed
from tillbell.testing.overrides import overridden, read_override, value_of
from tillbell.testing.simulator import listed

URL = "https://hooks.example/api/webhooks/x/token"
SECRET = "simulator-suite-secret-0123"
NAMES = dict(listed())


def clock() -> ManualClock:
    return ManualClock(1_795_000_000 * SECOND)  # after the times of all samples


def wanted(name: str, *overrides: str, is_fresh: bool = True) -> Simulation:
    provider = PROVIDERS[name.partition(":")[0]]
    settings: Mapping[str, Any] = pinned(provider.name)
    secret = next(iter(secret_of(provider)), "")
    return Simulation(name, secret, settings, overrides, is_fresh)


def parsed(name: str, simulated: SimulatedCallback) -> ParsedNotices:
    simulation, sample = wanted(name), NAMES[name]
    setup = SourceSetup((simulation.secret,), {**sample.config, **simulation.settings})
    return PROVIDERS[name.partition(":")[0]].parse(simulated.request, setup)


def statuses(told: ParsedNotices) -> list[object]:
    return [(type(one), getattr(one, "status", None)) for one in told.notices]


def identity(name: str, simulated: SimulatedCallback) -> object:
    key, request = parsed(name, simulated).dedupe_key, simulated.request
    return key if key is not None else (request.target, request.body)


# ── every case ───────────────────────────────────────────────────────────────────────────────────


@each("name", NAMES)
def test_made_fresh_it_is_proven_and_says_the_same(name: str) -> None:
    fresh = simulate(wanted(name), URL, clock())
    same = simulate(wanted(name, is_fresh=False), URL, clock())
    provider, simulation = PROVIDERS[name.partition(":")[0]], wanted(name)
    secrets = (simulation.secret,) if simulation.secret else ()
    setup = SourceSetup(secrets, {**NAMES[name].config, **simulation.settings})
    trusts = [provider.verify(one.request, setup).trust for one in (fresh, same)]
    assert trusts[0] is not None
    assert trusts[0] is trusts[1]
    assert statuses(parsed(name, fresh)) == statuses(parsed(name, same))


@each("name", NAMES)
def test_it_says_truly_whether_the_next_one_is_another_event(name: str) -> None:
    later = clock()
    first = simulate(wanted(name), URL, later)
    later.advance(2)
    second = simulate(wanted(name), URL, later)
    assert first.is_new is second.is_new
    is_repeat = identity(name, first) == identity(name, second) != ""
    assert is_repeat is not first.is_new
    assert first.known_by == parsed(name, first).dedupe_key


@each("name", NAMES)
def test_the_same_is_the_same(name: str) -> None:
    first, second = (simulate(wanted(name, is_fresh=False), URL, clock()) for _ in range(2))
    assert identity(name, first) == identity(name, second)
    assert not first.is_new


@each("provider", ["stripe", "paddle", "mollie", "dexpress", "github", "resend"])
def test_who_has_event_ids_never_repeats_one(provider: str) -> None:
    cases = [f"{provider}:{case}" for case in samples(provider)] * 2
    ids = [simulate(wanted(name), URL, clock()).known_by for name in cases]
    assert len(set(ids)) == len(ids)


# ── ids and times ────────────────────────────────────────────────────────────────────────────────


def test_an_id_is_renewed_wherever_it_stands_and_other_ids_are_not() -> None:
    case = SimulationCase({"id": "evt_1", "data": [{"event": "evt_1", "payment": "pi_1"}]})
    fields = renewed(case, "evt_1", clock().now()).fields
    assert fields["id"] == fields["data"][0]["event"] != "evt_1"
    assert fields["data"][0]["payment"] == "pi_1"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("90000121", r"\d{8}"),
        ("evt_3Nf001", r"evt_[0-9a-f]{12}"),
        ("bb55ca5a-e05c-47e1-8e94-000000000001", r"bb55ca5a-e05c-47e1-8e94-\d{12}"),
        ("event_GvJ8WHrp5isUdRub9CJyH", r"event_[0-9a-f]{21}"),
    ],
)
def test_another_id_looks_alike(text: str, shape: str) -> None:
    others = {in_same_shape(text) for _ in range(20)}
    assert len(others) == 20
    for other in others:
        assert re.fullmatch(shape, other)


def test_the_newest_time_becomes_now_and_the_others_keep_their_distance() -> None:
    now = from_datetime(datetime.fromisoformat("2026-11-21T10:00:00Z"))
    times = {
        "iso": "2026-03-01T09:59:00+01:00",
        "short": "2026-03-01 09:00:00",
        "millis": "2026-03-01T08:59:59.5Z",
        "compact": "20260301085900",
        "seconds": 1_772_355_600,
        "text": "1772355600",
        "ms": 1_772_355_600_120,
        "ahead": "2030-01-01T00:00:00Z",
    }
    moved = renewed(SimulationCase({**times, "amount": 4990, "bin": "42424242"}), None, now).fields
    assert moved == {
        "iso": "2026-11-21T10:59:00+01:00",
        "short": "2026-11-21 10:00:00",
        "millis": "2026-11-21T09:59:59.5Z",
        "compact": "20261121095900",
        "seconds": 1_795_255_200,
        "text": "1795255200",
        "ms": 1_795_255_200_120,
        "ahead": "2030-09-23T01:00:00Z",
        "amount": 4990,
        "bin": "42424242",
    }


def test_what_has_no_time_in_the_past_is_left_alone() -> None:
    case = SimulationCase(
        {"at": "2030-01-01T00:00:00Z", "odd": "2026-13-45T00:00:00Z", "yes": True}
    )
    assert renewed(case, None, clock().now()).fields == case.fields


# ── overrides ────────────────────────────────────────────────────────────────────────────────────

OBJECT: dict[str, Any] = {"amount": 100, "total": "49.90", "items": [{"n": 1}]}
HELD = {"id": "a", "data": {"object": OBJECT}}


def changed(*overrides: str) -> Any:
    case = SimulationCase(HELD)
    for one in overrides:
        case = overridden(case, read_override(one))
    return case


@each(
    ("override", "expected"),
    [
        ("amount=250", {"amount": 250}),
        ("amount=12.50", {"amount": Decimal("12.50")}),
        ("total=50.00", {"total": "50.00"}),
        ("total=null", {"total": None}),
        ('total="x"', {"total": "x"}),
        ("items.0.n=two", {"items": [{"n": "two"}]}),
        ('items=["a"]', {"items": ["a"]}),
        ("note=a=b", {"note": "a=b"}),
        ("note=", {"note": ""}),
        ("note=NaN", {"note": "NaN"}),
    ],
)
def test_a_member_is_changed_and_nothing_else(override: str, expected: dict[str, Any]) -> None:
    whole = {**HELD, "data": {"object": {**OBJECT, **expected}}}
    assert changed(f"data.object.{override}").fields == whole
    assert OBJECT["items"] == [{"n": 1}]


def test_a_parameter_of_the_query_is_changed_by_a_question_mark() -> None:
    assert changed("?orderId=7").query == {"orderId": "7"}
    request = simulate(wanted("allsecure:returned-success", "?orderId=7"), URL, clock()).request
    assert "orderId=7" in request.target


@each(
    ("override", "said"),
    [
        ("data.objct.amount=1", "data.objct.amount: there is no member 'objct'; did you mean"),
        ("data.zzz.amount=1", "there are object"),
        ("data.object.items.1.n=1", "'1' is not an index from 0 to 0"),
        ("data.object.items.x=1", "'x' is not an index"),
        ("data.object.amount.x=1", "data.object.amount.x: 'x' cannot stand in a int"),
        ("amount", "not an override"),
        ("=1", "not an override"),
        ("a..b=1", "not an override"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(override: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=re.escape(said)):
        changed(override)


def test_no_override_makes_a_float() -> None:
    value = value_of('{"a": [1.10, 2]}')
    assert value == {"a": [Decimal("1.10"), 2]}
    request = simulate(wanted("stripe:approved", "data.object.amount=1.10"), URL, clock()).request
    assert b'"amount":1.10' in request.body


def test_overrides_win_over_what_is_fresh_and_are_signed() -> None:
    name = "stripe:approved"
    simulated = simulate(wanted(name, "id=evt_mine", "data.object.amount=7"), URL, clock())
    told = json.loads(simulated.request.body)
    assert (told["id"], told["data"]["object"]["amount"]) == ("evt_mine", 7)
    assert (simulated.known_by, simulated.is_new) == ("evt_mine", False)
    setup = SourceSetup((wanted(name).secret,))
    assert PROVIDERS["stripe"].verify(simulated.request, setup).trust is not None


# ── what is refused ──────────────────────────────────────────────────────────────────────────────


@each(
    ("simulation", "said"),
    [
        (Simulation("strip:approved"), "no provider 'strip'; did you mean stripe"),
        (Simulation("stripe:aproved"), "stripe has no case 'aproved'; did you mean approved?"),
        (Simulation("stripe"), "stripe has no case ''; there are approved"),
        (Simulation("stripe:approved"), "none is given, and stripe signs"),
        (Simulation("zenofy:order-paid", SECRET + "ä"), "secret: the secret travels"),
        (Simulation("brite:credit", SECRET), "secret: brite has none"),
        (Simulation("github:push", SECRET, {"x": 1}), "github has no setting 'x'"),
        (Simulation("mollie:event"), "mollie cannot be simulated"),
        (Simulation("paypal:approved", "8PT597110X687430LKGECATA"), "private key"),
    ],
)
def test_what_cannot_be_simulated_is_said(simulation: Simulation, said: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        simulate(simulation, URL, clock())
    assert said in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_case_tells_what_it_is() -> None:
    assert all(
        isinstance(one, SampleCallback) and one.about.endswith(".") for one in NAMES.values()
    )
