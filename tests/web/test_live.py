"""Live: what happens is told while it happens, once, also over a break and a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient
from tillbell.upkeep.live import STREAMS_OF_ONE, WAITING_MAX, LiveEvent, LiveRequest, Position

pytestmark = pytest.mark.sqlite_first


class SentEvent(NamedTuple):
    """One event as a client reads it."""

    id: str
    name: str
    data: dict[str, Any]


@contextmanager
def listening(
    http: httpx.Client, last: str | None = None, **query: str
) -> Iterator[Iterator[SentEvent]]:
    headers = {"last-event-id": last} if last else {}
    with http.stream("GET", "/live", params=query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith("retry: ")
        assert next(lines) == ""
        yield events_of(lines)


def events_of(lines: Iterator[str]) -> Iterator[SentEvent]:
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield SentEvent(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


def publish(shop: ShopClient, number: int, **fields: Any) -> str:
    body = {"eventType": "order.paid", "payload": {"n": number}, **fields}
    answer = shop.http.post(f"{shop.path}/msg", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_each_message_is_told_once_also_after_a_break(served: ServedGateway) -> None:
    shop, other = ShopClient(served), ShopClient(served)
    key = served.make_key("read", app_id=shop.app_id)
    with served.client(key) as http:
        with listening(http, filter="-tag:test") as events:
            publish(other, 0)
            publish(shop, 1, tags=["test"])
            first = publish(shop, 2, channels=["web"])
            event = next(events)
            assert (event.name, event.data["id"], event.data["channels"]) == (
                "message",
                first,
                ["web"],
            )
            assert event.data["appId"] == shop.app_id
        missed = [publish(shop, number) for number in range(3, 6)]
        with listening(http, event.id) as events:
            later = publish(shop, 6)
            told = [next(events) for _ in range(4)]
            assert [each.data["id"] for each in told] == [*missed, later]
        for lost in ("nonsense", "msg_" + "0" * 26 + ".cbk_" + "0" * 26):
            with listening(http, lost) as events:
                assert next(events).name == "gap"
        assert http.get("/live", params={"topics": "all"}).status_code == 422
        assert http.get("/live", params={"filter": "data.n:1"}).status_code == 422
        assert http.get("/live", params={"filter": "stat:1"}).json()["detail"][0]["length"] == 4


def test_callbacks_and_counters_are_told(served: ServedGateway) -> None:
    shop = ShopClient(served)
    with listening(shop.http, topics="callbacks,counters") as events:
        assert next(events).name == "counters"
        shop.begin(uid="u")
        shop.tell()
        names = {next(events).name for _ in range(2)}
        assert "callback" in names
    few = served.make_key("message:read", app_id=shop.app_id)
    with served.client(few) as bound:
        assert bound.get("/live", params={"topics": "callbacks"}).status_code == 403


def test_attempts_deliveries_and_problems_are_told_also_after_a_break(
    served: ServedGateway,
) -> None:
    shop = ShopClient(served)
    good = str(shop.endpoint["id"])
    body = {"url": served.receiver.url("/status/500"), "retrySchedule": []}
    bad = str(shop.made("endpoint", body)["id"])
    with listening(shop.http, topics="attempts,deliveries,problems", app=shop.app_id) as events:
        assert next(events).data["failing"] == []
        first = publish(shop, 1)
        told = {(each.name, each.data.get("endpointId")): each for each in islice(events, 5)}
        attempt = told["attempt", good].data
        assert (attempt["msgId"], attempt["result"]) == (first, "accepted")
        assert attempt["phases"]["firstByte"] > 0
        assert told["attempt", bad].data["responseStatusCode"] == 500
        assert told["delivery", good].data["state"] == "succeeded"
        assert told["delivery", bad].data["state"] == "failed"
        failing = told["problems", None].data["failing"]
        assert [each["endpointId"] for each in failing] == [bad]
        last = max((each.id for each in told.values()), key=lambda id_: id_.rpartition(".")[2])
    missed = {publish(shop, number) for number in range(2, 5)}
    for id_ in missed:
        served.wait_for_attempts(id_, 2)
    with listening(shop.http, last, topics="attempts", filter=f"endpoint:{good}") as events:
        later = publish(shop, 5)
        again: list[str] = []
        while later not in again:
            again.append(next(events).data["msgId"])
        assert set(again) - {first} == {*missed, later}
        assert len(again) == len(set(again))
    with listening(shop.http, topics="problems", app=shop.app_id) as events:
        assert [each["endpointId"] for each in next(events).data["failing"]] == [bad]
    for wrong in ("tag:a", "data.n:1"):
        query = {"topics": "attempts", "filter": wrong}
        assert shop.http.get("/live", params=query).status_code == 422


def test_a_stream_ends_with_the_key_that_opened_it(served: ServedGateway) -> None:
    shop = ShopClient(served)
    made = served.http.post("/key", json={"name": "reader", "scopes": ["read"]}).json()
    portal = served.http.post(f"/auth/app-portal-access/{shop.app_id}", json={}).json()["token"]
    with (
        served.client(made["key"]) as by_key,
        served.client(portal) as by_token,
        listening(by_key) as of_key,
        listening(by_token) as of_token,
    ):
        publish(shop, 1)
        assert next(of_key).name == next(of_token).name == "message"
        assert served.http.delete(f"/key/{made['id']}").status_code == 204
        served.http.post(f"/auth/app/{shop.app_id}/expire-all", json={})
        publish(shop, 2)
        assert list(of_key) == list(of_token) == []


def test_one_key_has_few_streams(served: ServedGateway) -> None:
    reader = served.make_key("read")
    with ExitStack() as opened, served.client(reader) as http:
        for _ in range(STREAMS_OF_ONE):
            opened.enter_context(listening(http))
        refused = http.get("/live")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        with listening(served.http):
            pass


def test_a_reader_that_does_not_keep_up_is_ended(served: ServedGateway) -> None:
    async def fill() -> tuple[int, bool]:
        hub = served.gateway.live
        request = LiveRequest(None, None, None, has_counters=False)
        stream = hub.events(request)
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)  # the stream attaches its reader and waits
        [reader] = [reader for reader in hub._readers if reader.request is request]
        for _ in range(WAITING_MAX + 500):
            reader.give([LiveEvent(None, Position("msg_", "cbk_"))])
        events = [await first] + [events async for events in stream]
        return sum(map(len, events)), reader in hub._readers

    assert served.do(fill()) == (WAITING_MAX, False)


def test_a_stream_ends_with_the_server_and_resumes_at_the_next(tmp_path: Path) -> None:
    with ServedGateway(tmp_path) as before:
        shop = ShopClient(before)
        with before.client(before.key) as http, listening(http) as events:
            first = publish(shop, 1)
            event = next(events)
            assert event.data["id"] == first
            second = publish(shop, 2)
            assert next(events).data["id"] == second
            before.do(before.server.stop())
            assert list(events) == []
        key = before.key
    with (
        ServedGateway(tmp_path) as after,
        after.client(key) as http,
        listening(http, event.id) as events,
    ):
        assert next(events).data["id"] == second
