"""With a streaming replica: lists are its own and may be old, everything else is the primary's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.postgres_server import PostgresServer, programs

from tests.fleet.local_fleet import KEY
from tests.fleet.replica import Replica, until
from tests.money.payment_harness import APPROVED, FAILED, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient
from tillbell.vault import Secret

ORDER = {"eventType": "order.paid", "payload": {"id": "1001"}}
LISTS = (
    "msg",
    "attempt/endpoint/{endpoint}",
    "attempt/msg/{message}",
    "endpoint/{endpoint}/msg",
    "callback",
    "transaction",
    "conflict",
)


class PrimaryAndReplica:
    """A primary and its replica."""

    def __init__(self, bin_: Path) -> None:
        self.primary = PostgresServer(bin_)
        self.replica = Replica(self.primary, bin_)
        self._numbers = itertools.count()

    def settings(self) -> dict[str, Any]:
        """Make a database, and name it on both."""
        name = f"shop{next(self._numbers)}"
        self.primary.execute(f"CREATE DATABASE {name}")
        self.replica.catch_up()
        return {
            "database_url": self.primary.url(name),
            "database_replica_url": self.replica.url(name),
            "master_key": Secret(KEY),
        }

    def remove(self) -> None:
        self.replica.remove()
        self.primary.remove()


@pytest.fixture(scope="module")
def pair() -> Iterator[PrimaryAndReplica]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL: install the dev dependencies")
    made = PrimaryAndReplica(found)
    yield made
    made.remove()


@pytest.fixture
def shop(pair: PrimaryAndReplica, tmp_path: Path) -> Iterator[ShopClient]:
    with ServedGateway(tmp_path, **pair.settings()) as served:
        yield ShopClient(served)


class Lists:
    """The lists of one application, and what happened that they tell of."""

    def __init__(self, shop: ShopClient) -> None:
        self._till = shop
        self.ids = {"endpoint": shop.endpoint["id"], "message": self._publish()}
        shop.begin(uid="u")
        shop.tell(news("u", FAILED))
        shop.tell(news("u", APPROVED, amount="100.00"))
        (conflict,) = shop.shown("u")["conflicts"]
        self.conflict = conflict["id"]
        assert shop.post(f"conflict/{conflict['id']}/keep", {"reason": "because"}).is_success

    def _publish(self) -> str:
        answer = self._till.post("msg", ORDER)
        assert answer.status_code == 202
        id_ = str(answer.json()["id"])
        self._till.received(id_)
        return id_

    def empty(self) -> set[str]:
        """Return those in which there is nothing."""
        found = {one: self._till.get(one.format(**self.ids)) for one in LISTS}
        found["delivery"] = self._till.get("delivery", endpoint_id=self.ids["endpoint"])
        found["audit"] = self._till.get("audit", target=self.conflict)
        return {name for name, shown in found.items() if not shown["data"]}

    def successes(self) -> int:
        """Return what the endpoint's statistics count."""
        count = self._till.get(f"endpoint/{self.ids['endpoint']}/stats")["success"]
        assert isinstance(count, int)
        return count


def test_lists_are_of_the_replica_and_everything_else_is_of_the_primary(
    pair: PrimaryAndReplica, shop: ShopClient
) -> None:
    with pair.replica.lagging():
        lists = Lists(shop)
        assert lists.empty() == {*LISTS, "delivery", "audit"}
        assert lists.successes() == 0

        message = lists.ids["message"]
        assert shop.get(f"msg/{message}")["payload"] == ORDER["payload"]
        assert [one["id"] for one in shop.get(f"msg/{message}/endpoint")["data"]]
        assert shop.shown("u")["conflicts"]
        assert shop.post("msg", {**ORDER, "eventId": "e"}).status_code == 202
        assert shop.post("msg", {**ORDER, "eventId": "e"}).status_code == 409
        until(lambda: shop.get("poller/all")["data"])
    until(lambda: not lists.empty())
    assert lists.successes() > 0


def test_while_the_replica_is_stopped_lists_are_of_the_primary(
    pair: PrimaryAndReplica, shop: ShopClient
) -> None:
    pair.replica.catch_up()
    pair.replica.stop("immediate")
    try:
        lists = Lists(shop)
        assert lists.empty() == set()
        assert lists.successes() > 0
    finally:
        pair.replica.start()
