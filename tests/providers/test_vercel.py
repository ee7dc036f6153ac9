"""Vercel's drains: three forms of a batch, items told apart, the question about the endpoint."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import AnalyticsNotice, NoteNotice
from tillbell.model.sources import Trust
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import (
    Incoming,
    IntakeStatus,
    Provider,
    SimulationCase,
    SourceSetup,
    Unreadable,
)

VIEWS, VITALS = PROVIDERS["vercel-analytics"], PROVIDERS["vercel-speed-insights"]
SETUP = SourceSetup(("vercel-demo-secret",))
ASKED = SourceSetup(SETUP.secrets, {"verifyToken": "tok-1"})
VIEW = {
    "schema": "vercel.analytics.v1",
    "eventType": "pageview",
    "timestamp": 1772359200000,
    "sessionId": 9123456789012345678,
    "path": "/čaj",
}


def posted(body: bytes, **headers: str) -> Incoming:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Incoming("POST", "/", named, body, 0)


def items(body: bytes) -> list[AnalyticsNotice]:
    notices = VIEWS.parse(posted(body), SETUP).notices
    return [notice for notice in notices if isinstance(notice, AnalyticsNotice)]


def test_the_signature_is_the_hex_of_hmac_sha1() -> None:
    body = b'[{"schema":"vercel.analytics.v1","eventType":"pageview","timestamp":1772359200000}]'
    right = "20b41e08be76749571c1b0edb990c53d9f8d2dc7"

    for written in (right, right.upper()):
        sent = posted(body, x_vercel_signature=written)
        assert VIEWS.verify(sent, SETUP).trust is Trust.SIGNED
    assert VIEWS.verify(posted(body + b" ", x_vercel_signature=right), SETUP).trust is None
    assert VIEWS.verify(posted(body), SETUP).trust is None


@pytest.mark.parametrize(
    "written",
    [
        json.dumps([VIEW, VIEW | {"path": "/b"}]),
        json.dumps([VIEW, VIEW | {"path": "/b"}], indent=2),
        json.dumps(VIEW) + "\n" + json.dumps(VIEW | {"path": "/b"}) + "\n",
        json.dumps(VIEW) + "\r\n\r\n" + json.dumps(VIEW | {"path": "/b"}),
    ],
)
def test_a_batch_is_an_array_or_a_line_an_item(written: str) -> None:
    assert [item.data["path"] for item in items(written.encode())] == ["/čaj", "/b"]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_single_object_is_a_batch_of_one(indent: int | None) -> None:
    (item,) = items(json.dumps(VIEW, indent=indent).encode())

    assert item.event == "pageview"
    assert item.data["sessionId"] == "9123456789012345678"  # no digit is lost
    assert item.data["occurredAt"] == "2026-03-01T10:00:00.000000Z"


@each("body", [b"", b"[1]", b'{"a":1}\n[]', b"[{]", b'{"a":1}{"b":2}', b"\xff"])
def test_what_is_no_batch_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        VIEWS.parse(posted(body), SETUP)


def test_an_item_has_one_key_however_it_is_written() -> None:
    turned = dict(reversed(VIEW.items()))
    (one,), (same,) = items(json.dumps(VIEW).encode()), items(json.dumps([turned]).encode())
    (other,) = items(json.dumps(VIEW | {"path": "/b"}).encode())

    assert one.item_key == same.item_key != other.item_key


@pytest.mark.parametrize(
    ("sent", "properties"),
    [
        ({"eventData": '{"total":149.99}'}, {"total": 149.99}),
        ({"data": {"a": [1]}}, {"a": [1]}),
        ({"eventData": "no json"}, {"value": "no json"}),
        ({"eventData": ""}, {}),
        ({}, {}),
    ],
)
def test_what_a_page_sent_along_is_read_in_each_form(
    sent: dict[str, Any], properties: dict[str, Any]
) -> None:
    event = VIEW | {"eventType": "event", "eventName": "checkout_started"} | sent
    (item,) = items(json.dumps(event).encode())

    assert (item.event, item.data["name"]) == ("custom_event", "checkout_started")
    assert item.data["properties"] == properties


def test_a_vital_has_its_value_as_a_number_and_its_time_as_text() -> None:
    body = (
        b'{"schema":"vercel.speed_insights.v1","timestamp":"2026-03-01T10:00:00.000Z",'
        b'"metricType":"CLS","value":0.0125}'
    )
    (item,) = VITALS.parse(posted(body), SETUP).notices

    assert isinstance(item, AnalyticsNotice)
    assert (item.event, item.data["name"], item.data["value"]) == ("web_vital", "CLS", 0.0125)
    assert item.data["occurredAt"] == "2026-03-01T10:00:00.000000Z"
    assert not any(isinstance(value, Decimal) for value in item.data.values())


def test_items_of_another_schema_are_left_out_and_told() -> None:
    batch = [VIEW, {"schema": "vercel.speed_insights.v1"}, VIEW | {"schema": "vercel.analytics.v9"}]
    notices = VIEWS.parse(posted(json.dumps(batch).encode()), SETUP).notices

    assert [type(notice) for notice in notices] == [AnalyticsNotice, AnalyticsNotice, NoteNotice]
    assert "vercel.speed_insights.v1" in str(notices[-1])


@each("provider", [VIEWS, VITALS])
@each(
    ("heard", "status"),
    [(IntakeStatus.STORED, 200), (IntakeStatus.REFUSED, 403), (IntakeStatus.MALFORMED, 400)],
)
def test_every_answer_carries_the_token_that_its_owner_set(
    provider: Provider, heard: IntakeStatus, status: int
) -> None:
    answer = provider.answer(posted(b""), ASKED, heard)

    assert (answer.status, answer.headers) == (status, (("x-vercel-verify", "tok-1"),))
    assert provider.answer(posted(b""), SETUP, heard).headers == ()


@each(
    ("asked", "is_let_through"),
    [
        (Incoming("GET", "/", (), b"", 0), True),
        (Incoming("HEAD", "/", (), b"", 0), True),
        (posted(b"", x_vercel_verify="tok-1"), True),
        (posted(b"[]", x_vercel_verify="tok-2"), False),
        (posted(b"[]", x_vercel_verify="tok-1", x_vercel_signature="00"), False),
        (posted(b"[]"), False),
    ],
)
def test_the_question_about_the_endpoint_is_answered_and_proves_nothing(
    asked: Incoming, is_let_through: bool
) -> None:
    verdict = VIEWS.verify(asked, ASKED)

    assert (verdict.trust is Trust.NONE) is is_let_through
    assert VIEWS.verify(asked, SETUP).trust is None  # nobody set a token
    if is_let_through:
        assert all(isinstance(notice, NoteNotice) for notice in VIEWS.parse(asked, ASKED).notices)


def test_what_we_simulate_is_proven() -> None:
    incoming = VIEWS.sign(SimulationCase(VIEW), SETUP, "https://hooks.example/x")

    assert VIEWS.verify(incoming, SETUP).trust is Trust.SIGNED
    assert len(VIEWS.parse(incoming, SETUP).notices) == 1
