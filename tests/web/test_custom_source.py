"""A sender without an adapter is set up over the API, with no code."""

import base64
import hmac
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.served_gateway import ServedGateway
from tillbell.providers.custom.provider import explain
from tillbell.providers.kit.base import Incoming, SourceSetup, Verdict
from tillbell.receive.receive import UNAUTHENTICATED_MAX

pytestmark = pytest.mark.sqlite_first

CHECK = {"check": "static_field", "at": "/passcode", "secret": "courier"}
CONFIG = {
    "checks": [{"check": "hmac", "at": "header:X-Sig"}, CHECK],
    "credentials": {"courier": "open sesame 42"},
    "event": {"ours": ["/order"], "status": "/state"},
    "statuses": {"paid": "Approved"},
    "answer": {"body": "[OK]", "refusedStatus": 403},
}

UNKNOWN = {"checks": [{"check": "url_token"}, {"check": "pull"}], "event": {"ours": ["*"]}}


def create(
    served: ServedGateway, app_id: str, config: dict[str, Any], *secrets: str
) -> httpx.Response:
    body = {"name": "tiny", "provider": "custom", "secrets": list(secrets), "config": config}
    return served.http.post(f"/app/{app_id}/source", json=body)


def tried(served: ServedGateway, app_id: str, source: dict[str, Any]) -> dict[str, Any]:
    fields = {"order": "ORD-1001", "state": "paid"}
    answer = served.http.post(
        f"/app/{app_id}/source/{source['id']}/test", json={"fields": fields, "dryRun": False}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_declared_sender_proves_itself_and_is_answered_as_declared(
    served: ServedGateway, app_id: str
) -> None:
    made = create(served, app_id, CONFIG, "a shared secret")
    assert made.status_code == 201, made.text
    source = made.json()
    assert (source["trust"], source["allows"]) == ("signed", "Money moves by itself.")
    assert source["answers"].startswith("200 with '[OK]'; 403")
    found = tried(served, app_id, source)
    assert found["reading"]["trust"] == "signed", found
    assert (found["answerStatus"], found["answerBody"]) == (200, "[OK]")
    refused = httpx.post(served.url + source["path"], content=b"{}", headers={"x-sig": "00"})
    assert (refused.status_code, refused.text) == (403, "")


def test_its_credentials_are_sealed_and_masked(served: ServedGateway, app_id: str) -> None:
    source = create(served, app_id, CONFIG, "a shared secret").json()
    assert source["secretSettings"] == ["credentials"]
    found = tried(served, app_id, source)
    shown = served.http.get(f"/app/{app_id}/callback/{found['callbackId']}").text
    assert "ORD-1001" in shown
    for text in (json.dumps(source), shown, json.dumps(found)):
        assert "open sesame 42" not in text


@pytest.mark.parametrize(
    ("config", "where", "says"),
    [
        ({}, ["checks"], "is needed"),
        ({"checks": [{"check": "hmac"}]}, ["checks", "0"], "`at`"),
        ({"checks": [{"check": "none"}]}, ["checks", "0", "acknowledged"], '"acknowledged": true'),
        ({**UNKNOWN, "confirm": "trust"}, ["confirm"], "pull or review"),
        ({"preset": "gigadat", "confirm": "trust"}, ["confirm"], "pull or review"),
        ({"preset": "gigadatt"}, ["preset"], "one of cleo"),
    ],
)
def test_a_wrong_declaration_is_refused_at_its_member(
    served: ServedGateway, app_id: str, config: dict[str, Any], where: list[Any], says: str
) -> None:
    answer = create(served, app_id, config)
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["body", "config", *where]
    assert says in problem["msg"]


@pytest.mark.parametrize("config", [UNKNOWN, {"preset": "gigadat"}])
def test_a_sender_of_unknown_format_moves_no_money(
    served: ServedGateway, app_id: str, config: dict[str, Any]
) -> None:
    source = create(served, app_id, config).json()
    assert "Money moves after" in source["allows"]
    content = b"ref=ORD-1001&result=STATUS_SUCCESS"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert httpx.post(served.url + source["path"], content=content, headers=kind).status_code == 200
    assert httpx.get(served.url + source["path"], params={"ref": "ORD-1001"}).status_code == 200


def test_a_certificate_is_believed_only_from_a_trusted_proxy(
    served: ServedGateway, app_id: str, tmp_path: Path
) -> None:
    check = {"check": "mtls", "header": "X-Client", "fingerprints": ["ab" * 32]}
    headers = {"x-client": "ab" * 32}
    direct = create(served, app_id, {"checks": [check]}).json()
    assert httpx.post(served.url + direct["path"], headers=headers).status_code == 401
    with ServedGateway(tmp_path, trusted_proxies="127.0.0.0/8") as proxied:
        app = proxied.http.post("/app", json={"name": "shop"}).json()
        source = create(proxied, app["id"], {"checks": [check]}).json()
        assert httpx.post(proxied.url + source["path"], headers=headers).status_code == 200


def test_advice_is_worked_out_for_a_few_refused_requests_and_never_on_the_loop(
    served: ServedGateway, app_id: str
) -> None:
    threads: list[threading.Thread] = []

    def spied(incoming: Incoming, setup: SourceSetup) -> Verdict:
        threads.append(threading.current_thread())
        return explain(incoming, setup)

    sources = served.gateway.source_cache
    providers = sources.providers
    sources.providers = {**providers, "custom": providers["custom"]._replace(explain=spied)}
    try:
        source = create(served, app_id, CONFIG, "a shared secret").json()
        for _ in range(UNAUTHENTICATED_MAX + 5):
            httpx.post(served.url + source["path"], content=b"{}", headers={"x-sig": "ab" * 32})
    finally:
        sources.providers = providers

    assert 0 < len(threads) <= UNAUTHENTICATED_MAX
    assert all(thread.name.startswith("asyncio") for thread in threads)


def test_the_log_names_the_change_with_which_a_signature_would_match(
    served: ServedGateway, app_id: str
) -> None:
    source = create(served, app_id, CONFIG, "a shared secret").json()
    signature = base64.b64encode(hmac.digest(b"a shared secret", b"{}", "sha256")).decode()
    httpx.post(served.url + source["path"], content=b"{}", headers={"x-sig": signature})

    (refused,) = served.http.get(f"/app/{app_id}/callback").json()["data"]
    assert 'the output "base64"' in refused["verdictWhy"]
    again = served.http.post(
        f"/app/{app_id}/callback/{refused['id']}/replay", json={"dryRun": True}
    )
    assert 'the output "base64"' in again.json()["why"]
