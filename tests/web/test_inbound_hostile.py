"""Hostile callbacks over HTTP: never a failure of ours, and the log can show each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web import pretend
from tests.web.callback_sender import SECRET, CallbackSender
from tests.web.served_gateway import ServedGateway
from tillbell.model.sources import Source

pytestmark = pytest.mark.sqlite_first


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    with ServedGateway(tmp_path_factory.mktemp("site")) as made:
        pretend.use(made)
        yield made


@pytest.fixture
def sender(served: ServedGateway, app_id: str) -> CallbackSender:
    return CallbackSender(served, app_id)


HOSTILE = {
    "deep_array": b"[" * 100_000 + b"]" * 100_000,
    "huge_int": b'{"amount":' + b"9" * 5_000 + b"}",
    "nan": b'{"amount":NaN}',
    "infinity": b'{"amount":-Infinity}',
    "float_overflow": b'{"amount":1e400}',
    "dup_keys": b'{"status":"failed","status":"paid"}',
    "nul_escape": b'{"note":"a\\u0000b"}',
    "lone_surrogate": b'{"note":"\\ud800"}',
    "invalid_utf8": bytes.fromhex("7b2261223a22c0af227d"),
    "utf16_body": bytes.fromhex("fffe7b00220061002200"),
    "empty_body": b"",
    "not_object": b"[]",
    "trailing_garbage": b'{"a":1} {"b":2}',
    "form_encoded": b"payload=%7B%7D&payload=%7B%7D",
    "xml_xxe": b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
    "event_id_20kb": b'{"id":"' + b"x" * 20_000 + b'"}',
    "event_type_weird": '{"note":"../../admin\u202e\\n"}'.encode(),
    "many_fields": b"&".join(b"f%d=1" % n for n in range(5_000)),
}


@pytest.mark.parametrize("provider", ["pretend", "hint"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_answered_and_shown(
    served: ServedGateway, app_id: str, provider: str, name: str
) -> None:
    sender = CallbackSender(served, app_id, provider)
    body = HOSTILE[name]
    for signature in (pretend.signature(SECRET, body), "\u00e9", "00" * 40_0, "a" * 64):
        answer = sender.send(body, x_pretend_signature=signature)
        assert answer.status_code in (200, 400, 401)
    for callback in sender.log():
        shown = served.http.get(f"/app/{app_id}/callback/{callback['id']}")
        assert shown.status_code == 200, shown.text
    assert sender.send(b'{"id":"good"}').status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"x_pretend_signature": ",".join(["00"] * 5_000)},
        {"tillbell_hops": "9" * 400},
        {"tillbell_hops": "-1"},
        {"content_type": "\u00ff/\u00ff"},
        {"x_forwarded_for": "not an address, ::::, 1.2.3.4.5"},
    ],
)
def test_hostile_headers_are_no_failure_of_ours(
    sender: CallbackSender, headers: dict[str, str]
) -> None:
    answer = sender.send(b"{}", **headers)
    assert answer.status_code in (200, 401)


def test_a_source_whose_adapter_is_gone_takes_nothing_until_it_is_back(
    served: ServedGateway, sender: CallbackSender
) -> None:
    sources = served.gateway.source_cache
    live = sources.compiled(sender.source["id"])
    assert live is not None
    known = sources.providers
    sources.providers = {name: one for name, one in known.items() if name != "pretend"}
    served.do(served.gateway.config_cache.refresh(Source, live.source.scope, live.source.id))
    for signature in (pretend.signature(SECRET, b"{}"), "", "00"):
        assert sender.send(b"{}", x_pretend_signature=signature).status_code == 404
    sources.providers = known
    served.do(served.gateway.config_cache.refresh(Source, live.source.scope, live.source.id))
    assert sender.log() == []
    assert sender.send(b"{}").status_code == 200
