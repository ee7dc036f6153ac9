"""Hostile callbacks over HTTP: never a failure of ours, and the log can show each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web import pretend
from tests.web.door import SECRET, Door
from tests.web.site import Site
from tillbell.model.sources import Source

pytestmark = pytest.mark.sqlite_first


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as made:
        pretend.use(made)
        yield made


@pytest.fixture
def door(site: Site, app_id: str) -> Door:
    return Door(site, app_id)


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
    site: Site, app_id: str, provider: str, name: str
) -> None:
    door = Door(site, app_id, provider)
    body = HOSTILE[name]
    for signature in (pretend.signature(SECRET, body), "\u00e9", "00" * 40_0, "a" * 64):
        answer = door.send(body, x_pretend_signature=signature)
        assert answer.status_code in (200, 400, 401)
    for callback in door.log():
        shown = site.http.get(f"/app/{app_id}/callback/{callback['id']}")
        assert shown.status_code == 200, shown.text
    assert door.send(b'{"id":"good"}').status_code == 200


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
def test_hostile_headers_are_no_failure_of_ours(door: Door, headers: dict[str, str]) -> None:
    answer = door.send(b"{}", **headers)
    assert answer.status_code in (200, 401)


def test_a_source_whose_adapter_is_gone_takes_nothing_until_it_is_back(
    site: Site, door: Door
) -> None:
    sources = site.gateway.source_cache
    live = sources.compiled(door.source["id"])
    assert live is not None
    known = sources.providers
    sources.providers = {name: one for name, one in known.items() if name != "pretend"}
    site.do(site.gateway.config_cache.refresh(Source, live.source.scope, live.source.id))
    for signature in (pretend.signature(SECRET, b"{}"), "", "00"):
        assert door.send(b"{}", x_pretend_signature=signature).status_code == 404
    sources.providers = known
    site.do(site.gateway.config_cache.refresh(Source, live.source.scope, live.source.id))
    assert door.log() == []
    assert door.send(b"{}").status_code == 200
