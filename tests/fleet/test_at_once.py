"""The same request at two processes at the same moment: both are answered as promised."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.fleet.local_fleet import LocalFleet
from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.web.edge.router import build

AT_ONCE = 6  # at each process
PAID = {"eventType": "order.paid", "payload": {"id": "1"}}


def client(gateway: Gateway, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(build(gateway)),
        base_url="http://gateway.test/api/v1",
        headers={"authorization": f"Bearer {key}"},
        timeout=PATIENCE_S,
    )


async def at_once(
    clients: list[httpx.AsyncClient], method: str, path: str, **more: Any
) -> list[httpx.Response]:
    """Ask for the same at all processes at once."""
    return await asyncio.gather(
        *(http.request(method, path, **more) for _ in range(AT_ONCE) for http in clients)
    )


@pytest.mark.slow
async def test_what_many_ask_for_at_two_processes_all_get(fleet: LocalFleet) -> None:
    gateways = [await fleet.start() for _ in range(2)]
    key = (await gateways[0].api_keys.create("all", ("admin",), None, None)).text
    clients = [client(gateway, key) for gateway in gateways]
    url = fleet.receiver.url("/at-once")
    for path, body in (
        ("/app/made", {"name": "made"}),
        ("/event-type/made.at.once", {"description": "d"}),
        ("/app/shop/endpoint/made", {"url": url}),
        ("/operational-webhook/endpoint/made", {"url": url}),
        ("/app/shop/product/made", {"name": "Mug"}),
        ("/app/shop/customer/made", {"email": "a@shop.example"}),
    ):
        answers = await at_once(clients, "PUT", path, json=body)
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses == {201: 1, 200: 2 * AT_ONCE - 1}, (path, statuses)
        assert len({answer.json().get("id") for answer in answers}) == 1, path
    body = {"name": "once", "uid": "once"}
    answers = await at_once(clients, "POST", "/app?get_if_exists=true", json=body)
    assert {answer.status_code for answer in answers} == {200, 201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    document: dict[str, Any] = {"webhooks": {f"imported.{n}": {"post": {}} for n in range(3)}}
    answers = await at_once(clients, "POST", "/event-type/import/openapi", json={"spec": document})
    modified = Counter(name for answer in answers for name in answer.json()["data"]["modified"])
    assert modified == {f"imported.{n}": 1 for n in range(3)}


@pytest.mark.slow
async def test_a_key_acts_once_at_two_processes(fleet: LocalFleet) -> None:
    gateways = [await fleet.start() for _ in range(2)]
    key = (await gateways[0].api_keys.create("all", ("admin",), None, None)).text
    clients = [client(gateway, key) for gateway in gateways]
    await fleet.endpoint(gateways[0], "/once")
    for number, (path, body, listed) in enumerate(
        (
            ("/app", {"name": "by a key"}, "/app"),
            ("/app/shop/endpoint", {"url": fleet.receiver.url("/key")}, "/app/shop/endpoint"),
            ("/key", {"name": "by a key", "scopes": ["read"]}, "/key"),
            ("/app/shop/msg", PAID, "/app/shop/msg"),
        )
    ):
        before = len((await clients[0].get(listed)).json()["data"])
        headers = {"idempotency-key": f"once-{number}"}
        answers = await at_once(clients, "POST", path, json=body, headers=headers)
        done = [answer for answer in answers if answer.is_success]
        others = [answer.json()["code"] for answer in answers if not answer.is_success]
        assert done, path
        assert set(others) <= {"idempotency_key_in_use"}
        assert len({answer.text for answer in done}) == 1
        again = await at_once(clients, "POST", path, json=body, headers=headers)
        assert {answer.text for answer in again} == {done[0].text}, path
        assert len((await clients[1].get(listed)).json()["data"]) == before + 1, path
