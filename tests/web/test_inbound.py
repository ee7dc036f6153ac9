"""Callbacks over HTTP: what is let in, what is kept, what the provider is told."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.patience import PATIENCE_S
from tests.scale import full_or_tenth, soak
from tests.web import pretend
from tests.web.callback_sender import SECRET, CallbackSender
from tests.web.served_gateway import ServedGateway
from tillbell.clock import MINUTE
from tillbell.errors import StoreUnavailable
from tillbell.receive import receive

PROXY = "127.0.0.0/8"
COPIES = full_or_tenth(200)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    folder = tmp_path_factory.mktemp("site")
    with ServedGateway(
        folder, trusted_proxies=PROXY, public_url="https://hooks.example/in"
    ) as made:
        pretend.use(made)
        yield made


@pytest.fixture
def sender(served: ServedGateway, app_id: str) -> CallbackSender:
    return CallbackSender(served, app_id)


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def test_a_proven_callback_is_stored_and_answered_as_its_provider_wants(
    sender: CallbackSender,
) -> None:
    answer = sender.send(b'{"id":"e1"}')
    assert (answer.status_code, answer.content) == (200, b"[OK]")
    assert answer.headers["content-type"].startswith("text/plain")
    (callback,) = sender.log()
    assert callback["verdict"] == "accepted"
    assert callback["trust"] == "signed"
    assert callback["dedupeKey"] == "e1"
    assert callback["sourceId"] == sender.source["id"]


def test_a_redirect_is_answered_where_the_owner_wants_it(
    served: ServedGateway, app_id: str
) -> None:
    sender = CallbackSender(served, app_id, config={"successUrl": "https://shop.example/thanks"})
    answer = sender.send()
    assert answer.status_code == 303
    assert answer.headers["location"] == "https://shop.example/thanks"
    assert answer.content == b""


def test_what_is_not_proven_is_refused_kept_and_holds_no_key(sender: CallbackSender) -> None:
    body = b'{"id":"e1"}'
    assert sender.send(body, x_pretend_signature="00").status_code == 401
    assert sender.send(body).status_code == 200
    accepted, refused = sender.log()
    assert refused["outcome"] == "unauthenticated"
    assert refused["verdict"] == "refused"
    assert refused["dedupeKey"] is None
    assert accepted["outcome"] != "duplicate"


def test_what_cannot_be_read_is_malformed_and_holds_no_key(sender: CallbackSender) -> None:
    assert sender.send(b"{").status_code == 400
    assert sender.send(b"{").status_code == 400
    assert [c["outcome"] for c in sender.log()] == ["malformed", "malformed"]


def test_an_adapter_that_fails_costs_only_its_callback(served: ServedGateway, app_id: str) -> None:
    sender = CallbackSender(served, app_id, "fickle")
    assert sender.send(b"sesame").status_code == 400
    (callback,) = sender.log()
    assert callback["outcome"] == "malformed"
    assert "KeyError" in callback["why"]
    assert "sesame" not in callback["why"]
    assert sender.kept(callback).body == b"sesame"


def test_a_source_that_is_switched_off_answers_and_causes_nothing(
    sender: CallbackSender, served: ServedGateway
) -> None:
    path = f"/app/{sender.app_id}/source/{sender.source['id']}"
    served.http.patch(path, json={"disabled": True})
    assert sender.send().status_code == 200
    (callback,) = sender.log()
    assert (callback["outcome"], callback["why"]) == ("ignored", "The source is disabled.")


# ── who is not let in ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        "/api/webhooks/",
        "/api/webhooks/nobody",
        "/api/webhooks/fickle",
        "/api/webhooks/pretend/0000000000000000000000000000000a",
        "/api/webhooks/flood/{token}",
        "/api/webhooks/pretend/{token}/",
        "/api/webhooks/pretend/{token}/more",
        "/api/webhooks//pretend/{token}",
        "/api/webhooks/pretend%2F{token}",
        "/api/webhooks/pretend/%2e%2e",
        "/api/webhooks/pretend/{token}%00",
        "/api/webhooks/..;/v1/app",
    ],
)
def test_an_unknown_place_is_not_found(sender: CallbackSender, path: str) -> None:
    url = sender.served.url + path.format(token=sender.source["token"])
    assert httpx.post(url, content=b"{}").status_code == 404
    assert sender.log() == []


def test_another_method_is_refused_with_those_that_are_allowed(sender: CallbackSender) -> None:
    answer = sender.send(method="PUT")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert sender.send(X_HTTP_Method_Override="PUT").status_code == 200


def test_heads_and_prefetches_are_not_stored(served: ServedGateway, app_id: str) -> None:
    sender = CallbackSender(served, app_id, "hint")
    head = httpx.head(f"{sender.url}?orderId=1")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Sec-Purpose", "Purpose", "X-Moz"):
        early = httpx.get(f"{sender.url}?orderId=1", headers={name: "prefetch"})
        assert early.status_code == 403
    assert sender.log() == []
    assert httpx.get(f"{sender.url}?orderId=1").status_code == 200
    (callback,) = sender.log()
    assert (callback["trust"], callback["method"]) == ("none", "GET")


def test_a_body_over_the_limit_is_refused_before_it_is_read(
    sender: CallbackSender, served: ServedGateway
) -> None:
    limit = served.gateway.settings.max_body_bytes
    assert sender.send(b"a" * (limit + 1)).status_code == 413

    async def announce() -> bytes:
        """Only announce a great body: it is answered though it never comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        path = sender.source["path"]
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n"
        writer.write(head.encode())
        line = await reader.readline()
        writer.close()
        return line

    assert b" 413 " in asyncio.run(announce())
    assert sender.log() == []


def test_a_compressed_body_is_not_unpacked(sender: CallbackSender) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    assert sender.send(bomb, content_encoding="gzip").status_code == 415
    assert sender.send(b"{}", content_encoding="identity").status_code == 200


def test_strangers_fill_the_log_only_so_far(sender: CallbackSender, served: ServedGateway) -> None:
    before = served.gateway.meters.callbacks["dropped"]
    number = receive.UNAUTHENTICATED_MAX + 5
    started = served.gateway.clock.now() // MINUTE
    statuses = {sender.send(b"%d" % n, x_pretend_signature="").status_code for n in range(number)}
    assert statuses == {401}
    minutes = served.gateway.clock.now() // MINUTE - started + 1
    dropped = served.gateway.meters.callbacks["dropped"] - before
    kept = number - dropped
    assert receive.UNAUTHENTICATED_MAX <= kept <= receive.UNAUTHENTICATED_MAX * minutes
    assert sender.send(b'{"id":"genuine"}').status_code == 200
    assert sender.log()[0]["dedupeKey"] == "genuine"
    assert "tillbell_callbacks_total" in httpx.get(f"{served.url}/metrics").text


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"id":"bom"}',
        b'{"id":"ws" }\r\n',
        b'{"note":"a\\u0000b"}',
        b'{"note":"\\ud800"}',
        '{"note":"Đorđe"}'.encode(),
    ],
)
def test_the_bytes_verified_are_the_bytes_stored(sender: CallbackSender, body: bytes) -> None:
    assert sender.send(body).status_code == 200
    (callback,) = sender.log()
    kept = sender.kept(callback)
    assert kept.body == body
    assert kept.url == sender.source["url"]
    assert kept.header(pretend.SIGNATURE) == pretend.signature(SECRET, body)


async def test_a_chunked_body_is_put_together(sender: CallbackSender) -> None:
    async def parts() -> Any:
        for part in (b'{"id":', b'"chunk', b'ed"}'):
            yield part

    signature = pretend.signature(SECRET, b'{"id":"chunked"}')
    async with httpx.AsyncClient() as client:
        headers = {pretend.SIGNATURE: signature}
        answer = await client.post(sender.url, content=parts(), headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("query", ["?", "?a=1&a=%20&b=%C3%A9+x", "?a=/../x"])
def test_the_target_is_kept_as_it_was_sent(
    sender: CallbackSender, served: ServedGateway, query: str
) -> None:
    path = sender.source["path"] + query

    async def post() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        signature = pretend.signature(SECRET, b"{}")
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n"
        writer.write(f"{head}X-Pretend-Signature:  {signature} \r\n\r\n{{}}".encode())
        answer = await reader.read()
        writer.close()
        return answer

    assert b" 200 " in asyncio.run(post())[:20]
    (callback,) = sender.log()
    kept = sender.kept(callback)
    assert kept.target == f"/in{path}"
    assert kept.origin == "https://hooks.example"


def test_the_client_is_who_our_own_proxies_name(sender: CallbackSender) -> None:
    sender.send(b'{"id":"a"}', x_forwarded_for="6.6.6.6, 203.0.113.7, 127.0.0.9")
    sender.send(b'{"id":"b"}', x_forwarded_host="evil.example")
    last, first = sender.log()
    assert sender.kept(first).peer == "203.0.113.7"
    assert sender.kept(last).peer == "127.0.0.1"
    assert sender.kept(last).origin == "https://hooks.example"


def test_an_address_from_elsewhere_is_not_believed(tmp_path: Any) -> None:
    with ServedGateway(tmp_path) as strict:
        pretend.use(strict)
        app_id = strict.http.post("/app", json={"name": "shop"}).json()["id"]
        sender = CallbackSender(strict, app_id)
        sender.send(b"{}", x_forwarded_for="203.0.113.7")
        (callback,) = sender.log()
        assert sender.kept(callback).peer == "127.0.0.1"


NETWORKS = {"allowedNetworks": ["203.0.113.0/24", "2001:db8::1"]}


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("203.0.113.7", 200),
        ("203.0.113.7:50123", 200),
        ("::ffff:203.0.113.7", 200),
        ("2001:db8::1", 200),
        ("[2001:db8::1]:50123", 200),
        ("203.0.114.7", 403),
        ("2001:db8::2", 403),
        ("203.0.113.7, 203.0.114.7", 403),
        ("not an address", 403),
        ("", 403),
    ],
)
def test_a_source_takes_callbacks_only_from_the_networks_that_it_allows(
    served: ServedGateway, app_id: str, address: str, status: int
) -> None:
    sender = CallbackSender(served, app_id, config=NETWORKS)
    assert sender.send(b'{"id":"a"}', x_forwarded_for=address).status_code == status
    (callback,) = sender.log()
    assert callback["verdict"] == ("accepted" if status == 200 else "refused")
    if status == 403:
        assert callback["outcome"] == "unauthenticated"
        assert "allowedNetworks" in callback["why"]
        assert callback["dedupeKey"] is None


def test_the_refusal_of_an_address_names_it(served: ServedGateway, app_id: str) -> None:
    sender = CallbackSender(served, app_id, config=NETWORKS)
    answer = sender.send(x_forwarded_for="198.51.100.9")
    assert (answer.status_code, answer.content) == (403, b"")
    (callback,) = sender.log()
    assert "198.51.100.9" in callback["why"]


def test_an_allowed_address_raises_no_trust(served: ServedGateway, app_id: str) -> None:
    config = {"allowedNetworks": ["127.0.0.1"]}
    sender = CallbackSender(served, app_id, config=config)
    assert sender.send(x_pretend_signature="00").status_code == 401
    bare = CallbackSender(served, app_id, provider="hint", config=config)
    assert bare.send().status_code == 200
    assert bare.log(source_id=bare.source["id"])[0]["trust"] == "none"


def test_no_advice_is_worked_out_for_an_address_that_is_not_allowed(
    served: ServedGateway, app_id: str
) -> None:
    check = {"check": "hmac", "at": "header:x-sig"}
    config = {"checks": [check], "event": {"id": "/id"}, **NETWORKS}
    sender = CallbackSender(served, app_id, provider="custom", config=config)
    assert sender.send(x_sig="00" * 32).status_code == 403
    (callback,) = sender.log()
    assert "allowedNetworks" in callback["verdictWhy"]


def test_what_an_address_was_refused_is_taken_when_the_owner_allows_it(
    served: ServedGateway, app_id: str
) -> None:
    sender = CallbackSender(served, app_id, config=NETWORKS)
    sender.send(b'{"id":"late"}')
    (refused,) = sender.log()
    path = f"/app/{app_id}/source/{sender.source['id']}"
    served.http.patch(path, json={"config": {"allowedNetworks": ["127.0.0.1"]}})
    answer = served.http.post(f"/app/{app_id}/callback/{refused['id']}/replay")
    assert answer.status_code < 300, answer.text
    assert {callback["verdict"] for callback in sender.log()} == {"refused", "accepted"}


def test_nothing_secret_is_at_rest_in_clear(sender: CallbackSender, served: ServedGateway) -> None:
    body = b'{"id":"pan","passcode":"open-sesame-7","note":"card 4111 1111 1111 1111"}'
    assert sender.send(body, x_pretend_token="header-token-7").status_code == 200
    files = b"".join(path.read_bytes() for path in served.folder.glob("tillbell.db*"))
    for text in (b"open-sesame-7", b"4111 1111", b"4111111111111111", b"header-token-7"):
        assert text not in files
    assert sender.source["token"].encode() not in files


# ── once ─────────────────────────────────────────────────────────────────────────────────────────


@soak
async def test_many_copies_at_once_are_one(sender: CallbackSender) -> None:
    body = b'{"id":"storm"}'
    headers = {pretend.SIGNATURE: pretend.signature(SECRET, body)}
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(limits=limits, timeout=PATIENCE_S) as client:
        copies = (client.post(sender.url, content=body, headers=headers) for _ in range(COPIES))
        answers = await asyncio.gather(*copies)
    assert {answer.status_code for answer in answers} == {200}
    app_id = sender.app_id

    def count(**query: str) -> int:
        found = sender.served.http.get(f"/app/{app_id}/callback", params={"limit": "250", **query})
        return len(found.json()["data"])

    assert count() == COPIES
    assert count(outcome="duplicate") == COPIES - 1


def test_without_a_key_of_its_own_method_query_and_body_are_the_key(
    served: ServedGateway, app_id: str
) -> None:
    sender = CallbackSender(served, app_id, "hint")
    for query in ("a=1", "a=1", "a=2"):
        httpx.get(f"{sender.url}?{query}", verify=False)
    assert [c["outcome"] == "duplicate" for c in sender.log()] == [False, True, False]


@pytest.mark.parametrize("key", ["x" * 20_000, "a\nb"])
def test_a_key_that_cannot_be_kept_as_it_is_is_hashed(sender: CallbackSender, key: str) -> None:
    body = json.dumps({"id": key}).encode()
    assert sender.send(body).status_code == 200
    assert sender.send(body).status_code == 200
    second, first = sender.log()
    assert first["dedupeKey"].startswith("sha256:")
    assert second["outcome"] == "duplicate"
    assert second["duplicateOf"] == first["id"]


def test_a_callback_of_one_source_is_no_duplicate_of_anothers(
    served: ServedGateway, app_id: str
) -> None:
    doors = [CallbackSender(served, app_id), CallbackSender(served, app_id)]
    for sender in doors:
        assert sender.send(b'{"id":"same"}').status_code == 200
    assert all(c["outcome"] != "duplicate" for c in doors[0].log())


def test_a_request_for_another_source_proves_nothing(served: ServedGateway, app_id: str) -> None:
    """sig-25."""
    other = CallbackSender(served, app_id, secrets=["another-secret"])
    assert other.send(b"{}").status_code == 401


# ── never a false 2xx ────────────────────────────────────────────────────────────────────────────


def test_a_store_that_is_away_is_never_answered_with_success(
    sender: CallbackSender, served: ServedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Any:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(served.gateway.database, "receive", away)
        for headers in ({}, {"x_pretend_signature": "00"}):
            answer = sender.send(b'{"id":"away"}', **headers)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
    assert sender.send(b'{"id":"away"}').status_code == 200
    (callback,) = sender.log()
    assert callback["outcome"] != "duplicate"


def test_bulk_is_sent_back_when_too_much_waits_and_money_is_not(
    served: ServedGateway, app_id: str
) -> None:
    money, flood = CallbackSender(served, app_id), CallbackSender(served, app_id, "flood")
    receiver = served.gateway.receiver
    working = receiver.processor

    class Behind:
        is_behind = True
        hand_over = staticmethod(working.hand_over)

    receiver.processor = Behind()
    try:
        answer = flood.send()
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert money.send().status_code == 200
    finally:
        receiver.processor = working
    assert flood.send().status_code == 200


def test_a_loop_of_gateways_is_cut(sender: CallbackSender) -> None:
    hops: list[dict[str, str]] = [
        {},
        {"tillbell_delivery": "dlv_1"},
        {"tillbell_hops": "2"},
        {"tillbell_hops": "3"},
    ]
    for number, headers in enumerate(hops):
        body = b'{"id":"hop%d"}' % number
        assert sender.send(body, **headers).status_code == 200
    log = list(reversed(sender.log()))
    assert [c["hops"] for c in log] == [0, 1, 2, 3]
    assert [c["outcome"] == "ignored" for c in log] == [False, False, False, True]
    assert "loop" in log[3]["why"]


def test_an_endpoint_that_delivers_to_its_own_source_is_cut_off(
    served: ServedGateway, app_id: str
) -> None:
    """At most three hops."""
    echo = CallbackSender(served, app_id, "echo")
    served.http.post(f"/app/{app_id}/endpoint", json={"url": echo.url})
    assert echo.send(b'{"around": "and around"}').status_code == 200

    async def go_round() -> None:
        async with served._changed:
            await served._changed.wait_for(lambda: len(attempts()) >= 3)
        await served.gateway.processor.wait_idle()

    def attempts() -> list[Any]:
        return [attempt for attempt in served.ended if attempt.app_id == app_id]

    served.do(go_round())
    assert [c["hops"] for c in echo.log()] == [3, 2, 1, 0]
    assert [c["outcome"] for c in echo.log()] == ["ignored", "noted", "noted", "noted"]
    assert len(attempts()) == 3
