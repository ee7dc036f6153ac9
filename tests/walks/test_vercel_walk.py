"""Vercel: a flood of analytics, while payments are told of. The flood waits; money does not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from tests.patience import PATIENCE_S
from tests.walks.subscribed_shop import ProviderAccount, SubscribedShop, sent
from tests.web.served_gateway import ServedGateway
from tillbell.process.process import BULK_CONCURRENCY, BULK_QUEUE_MAX
from tillbell.providers.kit.base import Incoming
from tillbell.providers.kit.cases import samples
from tillbell.verify import verify

pytestmark = pytest.mark.sqlite_first

BATCHES, ITEMS = 100, 30
PAYMENTS = 20
AT_ONCE = 100


class Storm(NamedTuple):
    """How everything was answered."""

    bulk: list[httpx.Response]
    money: list[httpx.Response]


class Flooded:
    """A shop with a drain and a bank. Its endpoint wants to hear of money only."""

    def __init__(self, served: ServedGateway) -> None:
        self.served, self.shop = served, SubscribedShop(served)
        wanted = {"filterTypes": ["transaction.approved"]}
        path = f"{self.shop.path}/endpoint/{self.shop.endpoint['id']}"
        assert self.shop.http.patch(path, json=wanted).status_code == 200
        self.drain = self.shop.account("vercel-analytics")
        self.bank = self.shop.account("allsecure")
        self.paid = [f"PAY-{number:02}" for number in range(PAYMENTS)]
        self.before = len(served.receiver.requests)
        for uid in self.paid:
            self.shop.begin(uid=uid, amount="49.90")

    def payments(self) -> list[Incoming]:
        told = self.bank.says
        return [
            told("approved", f"merchantTransactionId={uid}", f"uuid=psp-{uid}") for uid in self.paid
        ]

    def statuses(self) -> set[str]:
        return {self.shop.shown(uid)["status"] for uid in self.paid}

    def heard(self) -> list[str]:
        """Wait until the endpoint has heard of each payment; return of which it did."""
        receiver = self.served.receiver
        self.served.do(receiver.wait_for(self.before + PAYMENTS))
        found = receiver.to(self.shop.hook)
        bodies = [verify(one.body, one.headers, self.shop.secret).json() for one in found]
        return sorted(body["data"]["uid"] for body in bodies)

    def log(self, account: ProviderAccount) -> list[dict[str, Any]]:
        """Return the whole callback log of an account, page by page."""
        found: list[dict[str, Any]] = []
        query = {"provider": account.provider, "limit": "250"}
        while True:
            page = self.shop.get("callback", **query)
            found += page["data"]
            if page["done"]:
                return found
            query["iterator"] = page["iterator"]

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Let the analytics that are being decided take as long as this lasts."""
        slots = self.served.gateway.processor._bulk_slots
        for _ in range(BULK_CONCURRENCY):
            self.served.do(slots.acquire())
        yield
        for _ in range(BULK_CONCURRENCY):
            self.served._loop.call_soon_threadsafe(slots.release)


@pytest.fixture
def flooded(served: ServedGateway) -> Flooded:
    return Flooded(served)


def batch(drain: ProviderAccount, number: int, items: int = ITEMS) -> Incoming:
    """Return a batch of page views, each of another session."""
    fields = samples("vercel-analytics")["pageview"].case.fields
    first = number * items
    body = json.dumps([{**fields, "sessionId": first + n} for n in range(items)]).encode()
    signature = hmac.new(drain.secret.encode(), body, hashlib.sha1).hexdigest()
    headers = (("content-type", "application/json"), ("x-vercel-signature", signature))
    return Incoming("POST", drain.source["path"], headers, body, 0)


async def storm(
    served: ServedGateway, bulk: Sequence[Incoming], money: Sequence[Incoming]
) -> Storm:
    """Send the flood from many sides, and amid it payments, one after another."""
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with (
        httpx.AsyncClient(base_url=served.url, limits=limits, timeout=PATIENCE_S) as many,
        httpx.AsyncClient(base_url=served.url, timeout=PATIENCE_S) as bank,
    ):
        flood = [asyncio.ensure_future(send(many, one)) for one in bulk]
        await asyncio.wait(flood, return_when=asyncio.ALL_COMPLETED)
        paid = [await send(bank, one) for one in money]
        return Storm(list(await asyncio.gather(*flood)), paid)


async def send(client: httpx.AsyncClient, one: Incoming) -> httpx.Response:
    return await client.request(one.method, one.target, content=one.body, headers=[*one.headers])


def answers(found: list[httpx.Response]) -> set[int]:
    return {answer.status_code for answer in found}


# ── the walks ────────────────────────────────────────────────────────────────────────────────────


def test_payments_amid_a_flood_are_all_answered_and_decided(flooded: Flooded) -> None:
    batches = [batch(flooded.drain, number) for number in range(BATCHES)]
    found = asyncio.run(storm(flooded.served, batches, flooded.payments()))
    assert answers(found.money) == {200}
    assert answers(found.bulk) <= {200, 503}
    flooded.shop.served.wait_for_callbacks()
    assert flooded.statuses() == {"Approved"}
    assert flooded.heard() == flooded.paid


def test_what_was_busy_comes_again_and_each_page_view_is_told_once(flooded: Flooded) -> None:
    due = [batch(flooded.drain, number) for number in range(BATCHES)]
    while due:  # what was answered 503 is sent again
        found = asyncio.run(storm(flooded.served, due, [])).bulk
        due = [one for one, answer in zip(due, found, strict=True) if answer.status_code == 503]
    asyncio.run(storm(flooded.served, [batch(flooded.drain, 0)] * 3, []))
    flooded.shop.served.wait_for_callbacks()
    log = flooded.log(flooded.drain)
    assert sum(len(one["messageIds"]) for one in log) == BATCHES * ITEMS
    assert {one["outcome"] for one in log} == {"noted", "duplicate"}


def test_money_is_decided_while_analytics_wait(flooded: Flooded) -> None:
    with flooded.stalled():
        flood = [batch(flooded.drain, number) for number in range(BULK_CONCURRENCY * 4)]
        found = asyncio.run(storm(flooded.served, flood, flooded.payments()))
        assert answers(found.bulk) == answers(found.money) == {200}
        assert flooded.heard() == flooded.paid
        assert flooded.statuses() == {"Approved"}
        assert {one["outcome"] for one in flooded.log(flooded.drain)} == {None}
    flooded.shop.served.wait_for_callbacks()
    assert {one["outcome"] for one in flooded.log(flooded.drain)} == {"noted"}


def test_analytics_have_a_bound_of_their_own(flooded: Flooded) -> None:
    with flooded.stalled():
        flood = [batch(flooded.drain, number, items=1) for number in range(BULK_QUEUE_MAX)]
        for start in range(0, BULK_QUEUE_MAX, 32):
            asyncio.run(storm(flooded.served, flood[start : start + 32], []))
        more = batch(flooded.drain, BULK_QUEUE_MAX, items=1)
        busy = sent(flooded.served, more)
        assert (busy.status_code, busy.json()["code"]) == (503, "busy")
        assert int(busy.headers["retry-after"]) > 0
        assert len(flooded.log(flooded.drain)) == BULK_QUEUE_MAX
        assert answers([sent(flooded.served, one) for one in flooded.payments()]) == {200}
        assert flooded.heard() == flooded.paid
    flooded.shop.served.wait_for_callbacks()
    assert sent(flooded.served, more).status_code == 200
