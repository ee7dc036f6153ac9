"""Inboxes over real sockets: exact bytes, chosen answers, history, proof, sources made of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.patience import PATIENCE_S
from tests.web.served_gateway import ServedGateway
from tillbell.configure.inbox_checks import DELAY_MAX_MS
from tillbell.model.inboxes import Inbox
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SourceSetup
from tillbell.providers.kit.cases import samples
from tillbell.receive.inbox_requests import DELAYED_OF_ONE
from tillbell.rules.delivery.signing import standard_signature
from tillbell.web.edge.inbox_route import REQUESTS_A_SECOND

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DAY_S = 86_400


def create(served: ServedGateway, **body: Any) -> dict[str, Any]:
    answer = served.http.post("/inbox", json=body)
    assert answer.status_code == 201, answer.text
    inbox: dict[str, Any] = answer.json()
    return inbox | {"url": served.url + urlsplit(inbox["url"]).path}


def listed(served: ServedGateway, inbox: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = served.http.get(f"/inbox/{inbox['id']}/request", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def raw(served: ServedGateway, data: bytes) -> bytes:
    """Send bytes and return all that comes back."""
    host, port = urlsplit(served.url).netloc.split(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(data)
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_a_request_is_kept_byte_for_byte_before_it_is_answered(served: ServedGateway) -> None:
    inbox = create(served, name="First look")
    assert inbox["url"].startswith(served.url + "/inbox/")
    assert (inbox["received"], inbox["appId"]) == (0, None)
    path = urlsplit(inbox["url"]).path
    body = b'{"total": 1.10,\r\n "n": 12345678901234567890}\xff'
    lines = [
        b"Host: example.com",
        b"X-OdD-CaSe: One",
        b"x-odd-case: Two",
        b"Authorization: Basic c2VjcmV0",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
    ]
    head = b"PUT %b/a%%2Fb//c?x=1&x=%%20&y HTTP/1.1\r\n" % path.encode() + b"\r\n".join(lines)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:]))
    answer = raw(served, head + b"\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK"), answer
    assert answer.endswith(b"\r\n\r\n")

    (row,) = listed(served, inbox)["data"]
    assert row["number"] == 1
    assert (row["method"], row["path"], row["query"]) == ("PUT", "/a%2Fb//c", "x=1&x=%20&y")
    assert row["target"] == f"{path}/a%2Fb//c?x=1&x=%20&y"
    assert row["headers"] == [line.decode().split(": ", 1) for line in lines]
    assert (row["address"], row["size"], row["body"]) == ("127.0.0.1", len(body), None)
    assert base64.b64decode(row["bodyBase64"]) == body
    kept = served.http.get(f"/inbox/{inbox['id']}/request/{row['id']}/body")
    assert kept.content == body
    assert kept.headers["content-disposition"] == f'attachment; filename="{row["id"]}.bin"'
    assert kept.headers["x-content-type-options"] == "nosniff"
    assert kept.headers["content-type"] == "application/octet-stream"


def test_every_method_and_path_is_taken_and_a_wrong_token_is_not(served: ServedGateway) -> None:
    inbox = create(served)
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
    for method in methods:
        answer = httpx.request(method, inbox["url"] + "/x/../y", content=b"text" * 9)
        assert answer.status_code == 200, method
    rows = listed(served, inbox, order="ascending")["data"]
    assert [row["method"] for row in rows] == [*methods]
    assert {row["body"] for row in rows} == {"text" * 9}
    wrong = inbox["url"][:-1] + ("A" if inbox["url"][-1] != "A" else "B")
    for url in (wrong, inbox["url"] + "x", inbox["url"][:-1], served.url + "/inbox/", wrong + "/x"):
        answer = httpx.post(url, content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), url
    assert len(listed(served, inbox)["data"]) == len(methods)


def test_the_chosen_answer_is_given_and_browsers_run_nothing_of_it(served: ServedGateway) -> None:
    chosen = {
        "status": 503,
        "headers": {"Retry-After": "7", "X-Shop": "a"},
        "contentType": "application/problem+json",
        "body": '{"plan": "<script>é"}',
    }
    inbox = create(served, answer=chosen)
    assert inbox["answer"] == {**chosen, "delayMs": 0}
    answer = httpx.post(inbox["url"], content=b"{}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == str(chosen["body"]).encode()
    path = f"/inbox/{inbox['id']}"
    changed = served.http.patch(path, json={"answer": {"status": 204, "body": ""}}).json()
    assert changed["answer"]["headers"] == chosen["headers"], "what is not named stays"
    answer = httpx.post(inbox["url"], content=b"{}")
    assert (answer.status_code, answer.content) == (204, b"")

    refused: list[tuple[dict[str, Any], str]] = [
        ({"headers": {"Set-Cookie": "a=b"}}, "headers.Set-Cookie"),
        ({"headers": {"Location": "https://a.example"}}, "headers.Location"),
        ({"headers": {"Content-Length": "7"}}, "headers.Content-Length"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "headers.Transfer-Encoding"),
        ({"headers": {"X-Accel-Redirect": "/etc/passwd"}}, "headers.X-Accel-Redirect"),
        ({"headers": {"Content-Security-Policy": "x"}}, "headers.Content-Security-Policy"),
        ({"headers": {"X-A": "a\r\nSet-Cookie: b"}}, "headers.X-A"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, "headers.x-a"),
        ({"contentType": "text/html\r\nX: y"}, "contentType"),
        ({"status": 204, "body": "text"}, "body"),
        ({"status": 101}, "status"),
        ({"delayMs": DELAY_MAX_MS + 1}, "delayMs"),
        ({"body": "x" * 16_385}, "body"),
    ]
    for changes, where in refused:
        answer = served.http.patch(path, json={"answer": changes})
        assert answer.status_code == 422, changes
        assert ".".join(answer.json()["detail"][0]["loc"]) == f"body.answer.{where}", changes
    assert served.http.get(path).json()["answer"]["status"] == 204


def test_a_delay_is_kept_and_bounded(served: ServedGateway) -> None:
    inbox = create(served, answer={"delayMs": 150})
    started = time.monotonic()
    httpx.post(inbox["url"], content=b"{}")
    assert time.monotonic() - started >= 0.14
    served.http.patch(f"/inbox/{inbox['id']}", json={"answer": {"delayMs": DELAY_MAX_MS}})
    delays = served.gateway.answer_delays
    slow = served.gateway.inbox_cache.find(inbox["id"], None)
    assert isinstance(slow, Inbox)

    async def fill() -> list[bool]:
        import asyncio

        waits = [asyncio.ensure_future(delays.wait(slow)) for _ in range(DELAYED_OF_ONE)]
        await asyncio.sleep(0)
        skipped = await delays.wait(slow)
        for wait in waits:
            wait.cancel()
        ended = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended)
        return [skipped, not delays._waiting]

    assert served.do(fill()) == [False, True]


def test_a_test_suite_waits_for_the_next_request(served: ServedGateway) -> None:
    inbox = create(served)
    assert listed(served, inbox, wait_ms=1)["data"] == []
    started = time.monotonic()
    sender = threading.Thread(target=lambda: httpx.post(inbox["url"], content=b"first"))
    sender.start()
    page = listed(served, inbox, wait_ms=30_000, order="ascending")
    sender.join()
    assert [row["body"] for row in page["data"]] == ["first"]
    assert time.monotonic() - started < 30
    after = {"order": "ascending", "iterator": page["iterator"]}
    assert listed(served, inbox, **after, wait_ms=1)["iterator"] == page["iterator"]
    httpx.post(inbox["url"], content=b"second")
    page = listed(served, inbox, **after, wait_ms=30_000)
    assert [row["body"] for row in page["data"]] == ["second"]
    at = page["data"][0]["receivedAt"]
    assert [row["body"] for row in listed(served, inbox, since=at)["data"]] == ["second"]
    for query in ({"wait_ms": 30_001}, {"since": "yesterday"}, {"iterator": "msg_1"}, {"wait": 1}):
        answer = served.http.get(f"/inbox/{inbox['id']}/request", params=query)
        assert answer.status_code == 422, query
    path = f"/inbox/{inbox['id']}/request"
    assert served.http.delete(path).json() == {"deleted": 2}
    assert served.http.get(f"/inbox/{inbox['id']}").json()["received"] == 2
    assert served.http.get(f"{path}/{page['data'][0]['id']}").status_code == 404


def test_what_is_too_much_is_said(served: ServedGateway) -> None:
    inbox = create(served, requestsMax=2)
    for number in range(3):
        httpx.post(inbox["url"], content=b"%d" % number)
    rows = listed(served, inbox)["data"]
    assert [row["body"] for row in rows] == ["2", "1"]
    shown = served.http.get(f"/inbox/{inbox['id']}").json()
    assert (shown["received"], shown["dropped"]) == (3, 1)
    limit = served.gateway.settings.max_body_bytes
    answer = httpx.post(inbox["url"], content=b"x" * (limit + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    long = b'"' + b"x" * 20_000 + b'"'
    httpx.post(inbox["url"], content=long)
    row = listed(served, inbox)["data"][0]
    assert (row["number"], row["size"], row["body"]) == (4, len(long), None)
    whole = served.http.get(f"/inbox/{inbox['id']}/request/{row['id']}").json()
    assert whole["body"] == long.decode()
    with httpx.Client() as client:
        answers = [client.post(inbox["url"]).status_code for _ in range(REQUESTS_A_SECOND * 4)]
    assert {*answers} <= {200, 429}


def test_an_inbox_is_of_one_application_or_of_none(served: ServedGateway, app_id: str) -> None:
    other = served.http.post("/app", json={"name": "other"}).json()["id"]
    own, foreign, free = (create(served, appId=each) for each in (app_id, other, None))
    with served.client(served.make_key("write", app_id=app_id)) as key:
        assert [row["id"] for row in key.get("/inbox").json()["data"]] == [own["id"]]
        assert key.post("/inbox", json={}).json()["appId"] == app_id
        assert key.post("/inbox", json={"appId": other}).status_code == 422
        for inbox in (foreign, free):
            httpx.post(inbox["url"], content=b"{}")
            (row,) = listed(served, inbox)["data"]
            path = f"/inbox/{inbox['id']}"
            request = f"{path}/request/{row['id']}"
            asked = [key.get(path), key.patch(path, json={}), key.delete(path), key.get(request)]
            asked += [key.get(f"{path}/request"), key.delete(f"{path}/request")]
            asked += [key.get(f"{request}/body"), key.post(f"{request}/verify", json={})]
            asked += [key.post(f"{path}/promote", json={"provider": "kopa"})]
            assert {answer.status_code for answer in asked} == {404}
    own_path = f"/inbox/{own['id']}/request/{row['id']}"
    assert served.http.get(own_path).status_code == 404, "a request is of its inbox alone"
    assert served.http.delete(f"/app/{app_id}").status_code == 204
    assert httpx.post(own["url"]).status_code == 404
    assert served.http.get(f"/inbox/{own['id']}").status_code == 404


def test_an_inbox_ends_and_its_changes_are_on_record(served: ServedGateway, app_id: str) -> None:
    inbox = create(served, appId=app_id, expiresAt="2026-01-01T00:00:00Z")
    assert httpx.post(inbox["url"]).status_code == 404
    path = f"/inbox/{inbox['id']}"
    later = served.http.patch(path, json={"expiresAt": None, "name": "Kept"}).json()
    assert (later["expiresAt"], later["name"]) == (None, "Kept")
    assert httpx.post(inbox["url"]).status_code == 200
    served.http.delete(f"{path}/request")
    gone = create(served, appId=app_id, expiresAt="2026-01-01T00:00:00Z")
    served.do(served.gateway.inbox_settings.remove_expired())
    assert served.http.get(f"/inbox/{gone['id']}").status_code == 404
    assert served.http.delete(path).status_code == 204
    assert httpx.post(inbox["url"]).status_code == 404
    entries = served.http.get("/audit", params={"filter": f"target:{inbox['id']}"}).json()["data"]
    acts = [entry["action"] for entry in reversed(entries)]
    assert acts == ["inbox.create", "inbox.update", "inbox.clear", "inbox.delete"]
    assert inbox["url"].rpartition("/")[2] not in json.dumps(entries)


def signed(body: bytes, secret: str, timestamp_s: int | None = None) -> dict[str, str]:
    at = int(time.time()) if timestamp_s is None else timestamp_s
    signature = standard_signature([secret], "msg_1", at, body)
    return {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": signature,
    }


HMAC_AT = {"header": "X-Sig", "algorithm": "sha512", "prefix": "v="}
WRONG = "whsec_" + base64.b64encode(b"wrong secret " * 2).decode()
CLAIMS: tuple[tuple[dict[str, Any], bool], ...] = (
    ({"scheme": "standard-webhooks", "secret": SECRET}, True),
    ({"scheme": "svix", "secret": SECRET}, True),
    ({"scheme": "standard-webhooks", "secret": WRONG}, False),
    ({"scheme": "hmac", "secret": "k3y", "hmac": HMAC_AT}, True),
    ({"scheme": "hmac", "secret": "key", "hmac": HMAC_AT}, False),
    ({"scheme": "hmac", "secret": "k3y", "hmac": {"header": "X-Sig"}}, False),
    ({"scheme": "stripe", "secret": "whsec_abc"}, False),
    ({"provider": "standardwebhooks", "secrets": [SECRET]}, True),
    ({"sourceId": "own"}, True),
)
UNCLEAR: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "body"),
    ({"scheme": "svix", "provider": "kopa", "secret": SECRET}, "body"),
    ({"scheme": "svix"}, "body.secret"),
    ({"scheme": "svix", "secret": "whsec_%%%"}, "body.secret"),
    ({"scheme": "hmac", "secret": "k3y"}, "body.hmac"),
    (
        {"scheme": "hmac", "secret": "k3y", "hmac": {"header": "X-Sig", "template": "x"}},
        "body.hmac.template",
    ),
    ({"provider": "nobody"}, "body.provider"),
    ({"sourceId": "nothing"}, "body.sourceId"),
)


def test_a_request_is_verified_by_scheme_provider_or_source(
    served: ServedGateway, app_id: str
) -> None:
    inbox = create(served, appId=app_id)
    body = b'{"type": "order.paid", "n": 1.10}'
    mac = hmac.new(b"k3y", body, hashlib.sha512).hexdigest()
    httpx.post(inbox["url"], content=body, headers=signed(body, SECRET) | {"X-Sig": f"v={mac}"})
    (row,) = listed(served, inbox)["data"]
    path = f"/inbox/{inbox['id']}/request/{row['id']}/verify"
    source = {"name": "Sender", "provider": "standardwebhooks", "secrets": [SECRET], "uid": "own"}
    assert served.http.post(f"/app/{app_id}/source", json=source).status_code == 201
    for claim, is_genuine in CLAIMS:
        answer = served.http.post(path, json=claim)
        assert answer.status_code == 200, answer.text
        proof = answer.json()
        assert proof["genuine"] is is_genuine, (claim, proof)
        assert proof["why"]
        assert (proof["reading"] is None) is ("scheme" in claim)
        assert not any(secret in answer.text for secret in (SECRET, "k3y", WRONG, mac))
    for claim, where in UNCLEAR:
        answer = served.http.post(path, json=claim)
        assert answer.status_code == 422, claim
        assert ".".join(answer.json()["detail"][0]["loc"]) == where, claim
        assert not any(secret in answer.text for secret in (SECRET, "k3y", "%%%"))


def test_a_signed_time_is_judged_by_when_the_request_came(served: ServedGateway) -> None:
    inbox = create(served)
    old = int(time.time()) - DAY_S
    httpx.post(inbox["url"], content=b"{}", headers=signed(b"{}", SECRET, old))
    (row,) = listed(served, inbox)["data"]
    claim = {"scheme": "svix", "secret": SECRET}
    proof = served.http.post(f"/inbox/{inbox['id']}/request/{row['id']}/verify", json=claim).json()
    assert (proof["genuine"], proof["trust"]) == (False, None)
    assert "old" in proof["why"]
    assert proof["verifiedAt"] == row["receivedAt"]


def test_an_inbox_becomes_a_source_that_receives_what_had_come(
    served: ServedGateway, app_id: str
) -> None:
    inbox = create(served, name="Stripe, first look")
    stripe, secret = PROVIDERS["stripe"], "whsec_the_secret_of_this_shop"
    wanted = {"direction": "pay_in", "amount": "49.90", "currency": "EUR", "uid": "pay-1"}
    case = samples("stripe")["approved"].case._replace(at=int(time.time()) * 1_000_000)
    reference = str(case.fields["data"]["object"]["id"])
    served.http.post(f"/app/{app_id}/transaction", json={**wanted, "pspTransactionId": reference})
    request = stripe.sign(case, SourceSetup((secret,)), inbox["url"])
    headers = dict(request.headers)
    httpx.post(inbox["url"], content=request.body, headers=headers)
    httpx.post(inbox["url"], content=request.body + b" ", headers=headers)
    httpx.get(inbox["url"])
    path = f"/inbox/{inbox['id']}/promote"
    made = {"provider": "stripe", "secrets": [secret], "replay": True, "uid": "stripe"}
    answer = served.http.post(path, json=made)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "appId"]
    with served.client(served.make_key("inbox:write")) as keyed:
        assert keyed.post(path, json={**made, "appId": app_id}).status_code == 403

    answer = served.http.post(path, json={**made, "appId": app_id})
    assert answer.status_code == 201, answer.text
    source = answer.json()["source"]
    assert source["name"] == "Stripe, first look"
    assert source["path"].startswith("/api/webhooks/stripe/")
    report = {name: answer.json()[name] for name in ("callbacks", "refused", "skipped")}
    assert report == {"callbacks": 2, "refused": 1, "skipped": 1}
    assert answer.json()["why"]
    assert secret not in answer.text
    served.do(served.gateway.processor.wait_idle())
    callbacks = served.http.get(f"/app/{app_id}/callback?order=ascending").json()["data"]
    assert [row["verdict"] for row in callbacks] == ["accepted", "refused"]
    (first, *_) = listed(served, inbox, order="ascending")["data"]
    assert callbacks[0]["receivedAt"] == first["receivedAt"]
    assert served.http.get(f"/inbox/{inbox['id']}").json()["received"] == 3, "the inbox stays"


def test_the_page_is_told_of_what_comes_and_the_newest_is_open(served: ServedGateway) -> None:
    inbox = create(served, name="Live")
    page = f"/inboxes/{inbox['id']}"
    cookies = {"tillbell": served.session()}
    with httpx.Client(base_url=served.url, cookies=cookies, timeout=PATIENCE_S) as browser:
        assert "Waiting for the first request" in browser.get(page).text
        with browser.stream("GET", f"{page}/live", params={"after": 0}) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            httpx.post(inbox["url"], content=b"<b>first</b>")
            assert "event: request" in lines
            assert next(lines) == 'data: {"number":1}'
        part = browser.get(page, params={"view": "requests"}).text
        assert "Newest request 1" in part
        assert "&lt;b&gt;first&lt;/b&gt;" in part
        assert "<html" not in part
        (row,) = listed(served, inbox)["data"]
        kept = browser.get(f"{page}/requests/{row['id']}/body")
        assert kept.content == b"<b>first</b>"
        assert kept.headers["content-disposition"].startswith("attachment;")
        assert kept.headers["x-content-type-options"] == "nosniff"


@pytest.mark.sqlite_first
def test_requests_are_sealed_and_sealed_anew(served: ServedGateway) -> None:
    inbox = create(served)
    httpx.post(inbox["url"] + "?q=sesame", content=b"open sesame", headers={"X-K": "sesame"})
    rows = served.do(served.gateway.database.sealed_inbox_requests("", 100))
    row = next(row for row in rows if row.inbox_id == inbox["id"])
    assert b"sesame" not in row.head + row.body
    assert served.http.post("/reseal").status_code in (200, 202)
    assert listed(served, inbox)["data"][0]["body"] == "open sesame"
