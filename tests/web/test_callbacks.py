"""The callback log over the API: filters, what is shown of a request, replays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.web import pretend
from tests.web.served_gateway import ServedGateway
from tillbell.receive.receive import NoCallbackHandler

SECRET = "pretend-secret-1"
LATER = "pretend-secret-2"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    with ServedGateway(tmp_path_factory.mktemp("site")) as made:
        pretend.use(made)
        yield made


class CallbackLog:
    """An application with sources, and its callback log."""

    def __init__(self, served: ServedGateway, app_id: str) -> None:
        self.served = served
        self.path = f"/app/{app_id}"
        self.source = self.add("pretend")

    def add(self, provider: str, uid: str | None = None) -> dict[str, Any]:
        secrets = [] if provider in ("hint", "echo") else [SECRET]
        body = {"name": "till", "provider": provider, "secrets": secrets, "uid": uid}
        made: dict[str, Any] = self.served.http.post(f"{self.path}/source", json=body).json()
        return made

    def send(self, content: bytes, secret: str = SECRET, **to: Any) -> int:
        source = to.get("source", self.source)
        headers = {pretend.SIGNATURE: pretend.signature(secret, content), **to.get("headers", {})}
        url = self.served.url + source["path"] + to.get("query", "")
        status = httpx.post(url, content=content, headers=headers, verify=False).status_code
        self.served.do(self.served.gateway.processor.wait_idle())
        return status

    def log(self, **query: Any) -> list[dict[str, Any]]:
        answer = self.served.http.get(f"{self.path}/callback", params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def show(self, callback_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.served.http.get(f"{self.path}/callback/{callback_id}").json()
        return shown

    def replay(self, callback_id: str, **body: Any) -> dict[str, Any]:
        answer = self.served.http.post(f"{self.path}/callback/{callback_id}/replay", json=body)
        assert answer.status_code == 200, answer.text
        self.served.do(self.served.gateway.processor.wait_idle())
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture
def shop(served: ServedGateway, app_id: str) -> CallbackLog:
    return CallbackLog(served, app_id)


# ── the log ──────────────────────────────────────────────────────────────────────────────────────


def test_the_log_tells_what_became_of_each(shop: CallbackLog) -> None:
    shop.send(b'{"id":"1","note":"hello"}')
    shop.send(b'{"id":"1","note":"hello"}')
    shop.send(b'{"id":"2"}', "wrong-secret")
    refused, copy, first = shop.log()
    assert (first["outcome"], first["why"], first["size"]) == ("noted", "hello", 25)
    assert first["processedAt"] is not None
    assert (copy["outcome"], copy["duplicateOf"]) == ("duplicate", first["id"])
    assert (refused["outcome"], refused["trust"]) == ("unauthenticated", None)
    assert "does not match" in refused["verdictWhy"]


def test_filters_show_what_they_name(shop: CallbackLog) -> None:
    other = shop.add("hint", uid="hints")
    shop.send(b'{"id":"1"}')
    shop.send(b'{"id":"1"}')
    shop.send(b"{}", "wrong-secret")
    shop.send(b"{}", source=other)
    everything = shop.log()
    assert len(everything) == 4

    def shown(**query: Any) -> list[int]:
        ids = [callback["id"] for callback in everything]
        return sorted(ids.index(callback["id"]) for callback in shop.log(**query))

    assert shown(source_id=other["id"]) == shown(source_id="hints") == [0]
    assert shown(provider="pretend") == [1, 2, 3]
    assert shown(outcome="duplicate") == [2]
    assert shown(outcome=["duplicate", "unauthenticated"]) == [1, 2]
    assert shown(verdict="refused") == [1]
    assert shown(verdict="accepted", provider="pretend") == [2, 3]
    assert shown(transaction_id="trx_none") == []
    assert shown(before=everything[3]["receivedAt"]) == []
    assert shown(after="2020-01-01T00:00:00Z") == [0, 1, 2, 3]


def test_the_log_is_read_in_pages(shop: CallbackLog) -> None:
    for number in range(5):
        shop.send(b'{"id":"%d"}' % number)
    path = f"{shop.path}/callback"
    first = shop.served.http.get(path, params={"limit": 2}).json()
    second = shop.served.http.get(path, params={"limit": 3, "iterator": first["iterator"]}).json()
    assert [c["dedupeKey"] for c in first["data"] + second["data"]] == ["4", "3", "2", "1", "0"]
    assert (first["done"], second["done"]) == (False, True)


def test_another_application_does_not_see_the_log(shop: CallbackLog) -> None:
    shop.send(b'{"id":"1"}')
    (mine,) = shop.log()
    other = shop.served.http.post("/app", json={"name": "other"}).json()["id"]
    assert shop.served.http.get(f"/app/{other}/callback").json()["data"] == []
    for method, path in (("GET", ""), ("POST", "/replay")):
        url = f"/app/{other}/callback/{mine['id']}{path}"
        assert shop.served.http.request(method, url).status_code == 404


def test_a_callback_leads_to_its_messages_and_deliveries(shop: CallbackLog) -> None:
    echo = shop.add("echo")
    endpoint = {"url": shop.served.receiver.url()}
    endpoint_id = shop.served.http.post(f"{shop.path}/endpoint", json=endpoint).json()["id"]
    shop.send(b'{"a":1}', source=echo)
    (callback,) = shop.log()
    (message_id,) = callback["messageIds"]
    assert shop.served.http.get(f"{shop.path}/msg/{message_id}").json()["payload"] == {"a": 1}
    (delivery,) = shop.show(callback["id"])["deliveries"]
    assert (delivery["messageId"], delivery["endpointId"]) == (message_id, endpoint_id)


# ── what is shown ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"passcode":"sesame","deep":[{"Passcode":"sesame"}],"n":4111111111111111}', "json"),
        (b"passcode=sesame&n=4111+1111+1111+1111&kept=yes", "x-www-form-urlencoded"),
        (b"<a passcode='sesame'><passcode>sesame</passcode><n>4111-1111-1111-1111</n></a>", "xml"),
    ],
)
def test_a_request_is_shown_without_what_is_secret(
    shop: CallbackLog, content: bytes, kind: str
) -> None:
    headers = {
        "content-type": f"application/{kind}",
        "x-pretend-token": "sesame",
        "authorization": "Bearer sesame",
        "x-plain": "4111 1111 1111 1111",
    }
    shop.send(content, headers=headers, query="?passcode=sesame&a=1")
    (callback,) = shop.log()
    request = shop.show(callback["id"])["request"]
    told = str(request)
    assert "sesame" not in told
    assert "411111******1111" in request["body"]
    assert "1111 1111" not in told
    assert ["x-plain", "411111******1111"] in request["headers"]
    assert shop.source["token"] not in told
    assert request["target"] == "/api/webhooks/pretend/***?passcode=***&a=1"


def test_what_cannot_be_read_is_not_shown_where_secrets_may_be_in_it(shop: CallbackLog) -> None:
    shop.send(b'{"passcode":"sesame", "broken')
    (callback,) = shop.log()
    request = shop.show(callback["id"])["request"]
    assert request["body"] is None
    assert "cannot be masked" in request["bodyNote"]


# ── replay ───────────────────────────────────────────────────────────────────────────────────────


def rotate(shop: CallbackLog, secret: str) -> None:
    path = f"{shop.path}/source/{shop.source['id']}/secret/rotate"
    assert shop.served.http.post(path, json={"secret": secret}).status_code == 200


def test_a_dry_run_shows_what_would_differ_and_changes_nothing(shop: CallbackLog) -> None:
    shop.send(b'{"id":"1","note":"now"}', LATER)
    (refused,) = shop.log()
    unchanged = shop.replay(refused["id"], dryRun=True)["preview"]
    assert (unchanged["possible"], unchanged["differences"]) == (False, [])
    rotate(shop, LATER)
    preview = shop.replay(refused["id"], dryRun=True)["preview"]
    assert preview["possible"] is True
    changes = {d["name"]: (d["before"], d["after"]) for d in preview["differences"]}
    assert changes == {
        "verdict": ("refused", "accepted"),
        "trust": (None, "signed"),
        "outcome": ("unauthenticated", None),
        "dedupeKey": (None, "1"),
    }
    assert preview["reading"]["notices"] == [{"kind": "note", "text": "now"}]
    assert shop.log() == [refused]


def test_what_was_refused_is_stored_anew_when_it_is_proven_now(shop: CallbackLog) -> None:
    shop.send(b'{"id":"1"}', LATER)
    (refused,) = shop.log()
    rotate(shop, LATER)
    told = shop.replay(refused["id"])
    assert told["callback"]["id"] != refused["id"]
    new, old = shop.log()
    assert old == refused
    assert (new["outcome"], new["trust"]) == ("noted", "signed")
    assert refused["id"] in new["verdictWhy"]
    assert shop.replay(refused["id"])["callback"]["outcome"] == "duplicate"


def test_what_was_processed_is_processed_again(shop: CallbackLog) -> None:
    shop.send(b'{"id":"1","note":"again"}')
    (before,) = shop.log()
    assert shop.replay(before["id"])["callback"]["id"] == before["id"]
    (after,) = shop.log()
    assert (after["outcome"], after["why"]) == ("noted", "again")
    assert after["processedAt"] > before["processedAt"]


def test_what_is_refused_still_says_so(shop: CallbackLog) -> None:
    shop.send(b"{}", "wrong-secret")
    (refused,) = shop.log()
    told = shop.replay(refused["id"])
    assert told["callback"] is None
    assert "does not match" in told["why"]
    assert shop.log() == [refused]


def test_what_a_removed_source_sent_stays_and_cannot_be_replayed(shop: CallbackLog) -> None:
    shop.send(b'{"id":"1"}')
    (callback,) = shop.log()
    shop.served.http.delete(f"{shop.path}/source/{shop.source['id']}")
    assert shop.show(callback["id"])["request"]["method"] == "POST"
    assert shop.replay(callback["id"])["why"] == "Its source was deleted."


def test_many_are_replayed_by_a_filter_in_the_background(shop: CallbackLog) -> None:
    for number in range(5):
        shop.send(b'{"id":"%d"}' % number, LATER)
    shop.send(b'{"id":"fine"}')
    rotate(shop, LATER)
    path = f"{shop.path}/callback/replay"
    dry = shop.served.http.post(path, json={"verdict": "refused", "dryRun": True})
    assert dry.status_code == 200
    assert [p["possible"] for p in dry.json()["previews"]] == [True] * 5
    assert len(shop.log()) == 6
    begun = shop.served.http.post(path, json={"verdict": "refused"})
    assert begun.status_code == 202
    task = shop.served.wait_for_task(begun.json()["taskId"])
    assert (task["status"], task["data"]["count"]) == ("finished", 5)
    shop.served.do(shop.served.gateway.processor.wait_idle())
    keys = sorted(c["dedupeKey"] for c in shop.log(outcome="noted"))
    assert keys == ["0", "1", "2", "3", "4", "fine"]


def test_what_was_stored_and_not_processed_is_picked_up_at_a_later_start(tmp_path: Any) -> None:
    with ServedGateway(tmp_path) as first:
        pretend.use(first)
        first.gateway.receiver.processor = NoCallbackHandler()
        app_id = first.http.post("/app", json={"name": "shop"}).json()["id"]
        shop = CallbackLog(first, app_id)
        for number in range(3):
            assert shop.send(b'{"id":"%d"}' % number) == 200
        assert [c["outcome"] for c in shop.log()] == [None] * 3
    with ServedGateway(tmp_path) as second:
        second.do(second.gateway.startup_recovery.done())
        log = second.http.get(f"/app/{app_id}/callback")
        assert [c["outcome"] for c in log.json()["data"]] == [None] * 3  # no adapter yet
        pretend.use(second)
        second.do(second.gateway.source_cache.load())
        second.do(second.gateway.reprocessor.recover_all())
        second.do(second.gateway.processor.wait_idle())
        log = second.http.get(f"/app/{app_id}/callback")
        assert [c["outcome"] for c in log.json()["data"]] == ["noted"] * 3
