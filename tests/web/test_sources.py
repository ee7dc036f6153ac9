"""Sources over the API: made, shown without secrets, changed, rotated, removed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web import pretend
from tests.web.site import Site

SECRET = "pretend-secret-1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), public_url="https://hooks.example/in") as made:
        pretend.use(made)
        yield made


@pytest.fixture
def sources(site: Site, app_id: str) -> str:
    return f"/app/{app_id}/source"


def body(**fields: Any) -> dict[str, Any]:
    return {"name": "till", "provider": "pretend", "secrets": [SECRET], **fields}


def made(site: Site, sources: str, **fields: Any) -> dict[str, Any]:
    answer = site.http.post(sources, json=body(**fields))
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def problems(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(".".join(map(str, p["loc"])), p["msg"]) for p in answer.json()["detail"]]


def send(site: Site, source: dict[str, Any], content: bytes, secret: str = SECRET) -> int:
    headers = {pretend.SIGNATURE: pretend.signature(secret, content)}
    return httpx.post(
        site.url + source["path"], content=content, headers=headers, verify=False
    ).status_code


def test_a_new_source_tells_what_to_enter_at_the_provider(site: Site, sources: str) -> None:
    shown = made(site, sources, uid="front", config={"confirm": "review"})
    assert shown["url"] == f"https://hooks.example/in/api/webhooks/pretend/{shown['token']}"
    assert shown["path"] == f"/api/webhooks/pretend/{shown['token']}"
    assert len(shown["token"]) == 32
    assert (shown["trust"], shown["allows"]) == ("signed", "Money moves by itself.")
    assert (shown["answers"], shown["confidence"]) == ("200 with [OK].", "verified")
    assert site.http.get(f"{sources}/front").json() == shown
    assert site.http.get(sources).json()["data"] == [shown]


def test_no_secret_is_ever_shown_or_stored_in_clear(site: Site, sources: str) -> None:
    shown = made(site, sources, config={"apiPassword": "hush-hush-hush"})
    later = site.http.get(f"{sources}/{shown['id']}").text
    for text in (SECRET, "hush-hush-hush"):
        assert text not in str(shown)
        assert text not in later
    assert shown["secretSettings"] == ["apiPassword"]
    files = b"".join(path.read_bytes() for path in Path(site.folder).glob("tillbell.db*"))
    for text in (SECRET, "hush-hush-hush", shown["token"]):
        assert text.encode() not in files


@pytest.mark.parametrize(
    ("fields", "where", "told"),
    [
        ({"provider": "pretended"}, "body.provider", "did you mean pretend?"),
        ({"secrets": []}, "body.secrets", "is needed"),
        ({"secrets": [""]}, "body.secrets.0", "is empty"),
        ({"secrets": ["  "]}, "body.secrets.0", "is empty"),
        ({"secrets": ["short"]}, "body.secrets.0", "8 characters"),
        ({"provider": "hint"}, "body.secrets", "has no secret"),
        ({"config": {"sucessUrl": "https://a.b"}}, "body.config.sucessUrl", "mean successUrl?"),
        ({"config": {"successUrl": "javascript:x"}}, "body.config.successUrl", "http or https"),
        ({"config": {"mode": "prod"}}, "body.config.mode", "one of test, live"),
        ({"config": {"limit": True}}, "body.config.limit", "of type integer"),
        ({"config": {"confirm": "maybe"}}, "body.config.confirm", "one of pull"),
        ({"uid": "operational"}, "body.uid", "reserved"),
    ],
)
def test_what_is_wrong_is_told_where_it_is(
    site: Site, sources: str, fields: dict[str, Any], where: str, told: str
) -> None:
    ((place, message),) = problems(site.http.post(sources, json=body(**fields)))
    assert place == where
    assert told in message
    assert "short" not in message


def test_a_source_without_its_secret_is_refused_by_name(site: Site, sources: str) -> None:
    bare = made(site, sources, provider="hint", secrets=[])
    assert bare["trust"] == "none"
    assert bare["allows"] == "Money moves after a person has confirmed it."
    trusted = made(site, sources, provider="hint", secrets=[], config={"confirm": "trust"})
    assert "its owner chose" in trusted["allows"]


def test_there_is_one_default_source_of_a_provider(site: Site, sources: str) -> None:
    first = made(site, sources, default=True)
    assert first["path"] == "/api/webhooks/pretend"
    other = site.http.post("/app", json={"name": "other"}).json()["id"]
    second = site.http.post(f"/app/{other}/source", json=body(default=True))
    assert second.status_code == 409
    third = made(site, sources)
    assert site.http.patch(f"{sources}/{third['id']}", json={"default": True}).status_code == 409
    assert send(site, first, b"{}") == 200
    site.http.patch(f"{sources}/{first['id']}", json={"default": False})
    assert send(site, first, b"{}") == 404
    moved = site.http.patch(f"{sources}/{third['id']}", json={"default": True})
    assert moved.json()["path"] == "/api/webhooks/pretend"
    site.http.delete(f"{sources}/{third['id']}")
    assert send(site, first, b"{}") == 404


def test_two_sources_cannot_have_one_uid(site: Site, sources: str) -> None:
    made(site, sources, uid="twice")
    assert site.http.post(sources, json=body(uid="twice")).status_code == 409


def test_a_change_of_config_names_only_what_changes(site: Site, sources: str) -> None:
    source = made(site, sources, config={"successUrl": "https://a.example", "apiPassword": "p"})
    path = f"{sources}/{source['id']}"
    changed = site.http.patch(path, json={"name": "new", "config": {"mode": "live"}}).json()
    assert changed["name"] == "new"
    assert changed["config"] == {"successUrl": "https://a.example", "mode": "live"}
    assert changed["secretSettings"] == ["apiPassword"]
    cleared = site.http.patch(path, json={"config": {"apiPassword": None, "mode": None}}).json()
    assert cleared["config"] == {"successUrl": "https://a.example"}
    assert cleared["secretSettings"] == []
    assert cleared["version"] == 3


def test_a_source_that_was_removed_is_unknown(site: Site, sources: str) -> None:
    source = made(site, sources)
    assert send(site, source, b"{}") == 200
    assert site.http.delete(f"{sources}/{source['id']}").status_code == 204
    assert send(site, source, b"{}") == 404
    assert site.http.get(f"{sources}/{source['id']}").status_code == 404


def test_the_sources_of_a_removed_application_are_unknown(site: Site) -> None:
    app = site.http.post("/app", json={"name": "gone"}).json()["id"]
    source = made(site, f"/app/{app}/source")
    assert send(site, source, b"{}") == 200
    assert site.http.delete(f"/app/{app}").status_code == 204
    assert send(site, source, b"{}") == 404


def test_an_application_does_not_see_the_sources_of_another(site: Site, sources: str) -> None:
    source = made(site, sources, uid="mine")
    other = site.http.post("/app", json={"name": "other"}).json()["id"]
    for name in (source["id"], "mine"):
        assert site.http.get(f"/app/{other}/source/{name}").status_code == 404
    key = site.make_key("write", app_id=other)
    with site.client(key) as stranger:
        assert stranger.get(f"{sources}/mine").status_code == 404


def test_both_secrets_are_good_while_they_overlap_and_the_old_one_not_after(
    site: Site, sources: str
) -> None:
    """F7: no callback is refused in the overlap, each with the old secret after its end."""
    source = made(site, sources)
    path = f"{sources}/{source['id']}/secret/rotate"
    rotated = site.http.post(path, json={"secret": "pretend-secret-2"})
    assert rotated.status_code == 200
    assert "pretend-secret" not in rotated.text
    assert rotated.json()["secretExpiries"][0] is None
    assert rotated.json()["secretExpiries"][1] is not None
    for secret in (SECRET, "pretend-secret-2"):
        assert send(site, source, b'{"id":"%s"}' % secret.encode(), secret) == 200
    site.http.post(path, json={"secret": "pretend-secret-3", "gracePeriodSeconds": 0})
    for old in (SECRET, "pretend-secret-2"):
        assert send(site, source, b"{}", old) == 401
    assert send(site, source, b"{}", "pretend-secret-3") == 200


def test_rotation_in_a_stream_refuses_nothing(site: Site, sources: str) -> None:
    source = made(site, sources)
    path = f"{sources}/{source['id']}/secret/rotate"
    old = SECRET
    for number in range(5):
        new = f"pretend-secret-{number}-new"
        assert send(site, source, b'{"id":"a%d"}' % number, old) == 200
        site.http.post(path, json={"secret": new})
        assert send(site, source, b'{"id":"b%d"}' % number, old) == 200
        assert send(site, source, b'{"id":"c%d"}' % number, new) == 200
        old = new


def test_an_empty_secret_cannot_be_rotated_in(site: Site, sources: str) -> None:
    source = made(site, sources)
    path = f"{sources}/{source['id']}/secret/rotate"
    assert problems(site.http.post(path, json={"secret": ""})) == [("body.secret", "is empty")]


def test_a_test_shows_what_would_become_of_a_callback(site: Site, sources: str) -> None:
    source = made(site, sources)
    path = f"{sources}/{source['id']}/test"
    dry = site.http.post(path, json={"fields": {"id": "e1", "note": "hello"}}).json()
    assert dry["reading"]["trust"] == "signed"
    assert dry["reading"]["notices"] == [{"kind": "note", "text": "hello"}]
    assert (dry["answerStatus"], dry["answerBody"]) == (200, "[OK]")
    assert dry["callbackId"] is None
    log = f"{sources.removesuffix('/source')}/callback"
    assert site.http.get(log).json()["data"] == []
    real = site.http.post(path, json={"fields": {"id": "e1"}, "dryRun": False}).json()
    assert [c["id"] for c in site.http.get(log).json()["data"]] == [real["callbackId"]]


def test_a_test_takes_the_cases_of_its_provider(site: Site, sources: str) -> None:
    source = made(site, sources, provider="github", secrets=["github-secret-1"])
    path = f"{sources}/{source['id']}/test"
    names = [case["name"] for case in site.http.get("/provider/github").json()["cases"]]
    assert "ping" in names
    for name in names:
        told = site.http.post(path, json={"case": name})
        assert told.status_code == 200, told.text
        assert told.json()["reading"]["verdict"] == "accepted"
    assert site.http.post(path, json={}).json()["reading"]["verdict"] == "accepted"
    ((where, message),) = problems(site.http.post(path, json={"case": "pong"}))
    assert where == "body.case"
    assert "ping" in message


def test_providers_are_listed_with_their_settings(site: Site) -> None:
    listed = {p["name"]: p for p in site.http.get("/provider").json()["data"]}
    names = {setting["name"]: setting for setting in listed["pretend"]["settings"]}
    assert names["mode"]["choices"] == ["test", "live"]
    assert names["apiPassword"]["secret"] is True
    assert "confirm" in names
    assert site.http.get("/provider/pretend").json() == listed["pretend"]
    assert site.http.get("/provider/nobody").status_code == 404


def test_a_source_whose_secrets_cannot_be_opened_proves_nothing(site: Site, sources: str) -> None:
    """F2: fail closed, and only for that source."""
    import msgspec

    from tillbell.model.sources import Source

    source, other = made(site, sources), made(site, sources)
    live = site.gateway.source_cache.compiled(source["id"])
    assert live is not None
    foreign = site.gateway.source_cache.compiled(other["id"])
    assert foreign is not None
    secrets = foreign.source.secrets
    change = site.gateway.config_cache.change(
        Source,
        live.source.scope,
        live.source.id,
        lambda present: msgspec.structs.replace(present, secrets=secrets),
    )
    site.do(change)
    assert send(site, source, b"{}") == 503
    assert send(site, other, b"{}") == 200
    assert "cannot be opened" in site.http.get(f"{sources}/{source['id']}").json()["problem"]
