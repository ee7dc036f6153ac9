"""With a streaming replica: lists are its own and may be old, everything else is the primary's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.postgres_server import PostgresServer, programs

from tests.fleet.fleet import KEY
from tests.fleet.replica import Replica, until
from tests.money.teller import APPROVED, FAILED, news
from tests.web.site import Site
from tests.web.till import Till
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
    "audit",
)


class Pair:
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
def pair() -> Iterator[Pair]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL: install the dev dependencies")
    made = Pair(found)
    yield made
    made.remove()


@pytest.fixture
def till(pair: Pair, tmp_path: Path) -> Iterator[Till]:
    with Site(tmp_path, **pair.settings()) as site:
        yield Till(site)


class Lists:
    """The lists of one application, and what happened that they tell of."""

    def __init__(self, till: Till) -> None:
        self._till = till
        self.ids = {"endpoint": till.endpoint["id"], "message": self._publish()}
        till.begin(uid="u")
        till.tell(news("u", FAILED))
        till.tell(news("u", APPROVED, amount="100.00"))
        (conflict,) = till.shown("u")["conflicts"]
        assert till.post(f"conflict/{conflict['id']}/keep", {"reason": "because"}).is_success

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
        return {name for name, shown in found.items() if not shown["data"]}

    def successes(self) -> int:
        """Return what the endpoint's statistics count."""
        count = self._till.get(f"endpoint/{self.ids['endpoint']}/stats")["success"]
        assert isinstance(count, int)
        return count


def test_lists_are_of_the_replica_and_everything_else_is_of_the_primary(
    pair: Pair, till: Till
) -> None:
    with pair.replica.lagging():
        lists = Lists(till)
        assert lists.empty() == {*LISTS, "delivery"}
        assert lists.successes() == 0

        message = lists.ids["message"]
        assert till.get(f"msg/{message}")["payload"] == ORDER["payload"]
        assert [one["id"] for one in till.get(f"msg/{message}/endpoint")["data"]]
        assert till.shown("u")["conflicts"]
        assert till.post("msg", {**ORDER, "eventId": "e"}).status_code == 202
        assert till.post("msg", {**ORDER, "eventId": "e"}).status_code == 409
        until(lambda: till.get("poller/all")["data"])
    until(lambda: not lists.empty())
    assert lists.successes() > 0


def test_while_the_replica_is_stopped_lists_are_of_the_primary(pair: Pair, till: Till) -> None:
    pair.replica.catch_up()
    pair.replica.stop("immediate")
    try:
        lists = Lists(till)
        assert lists.empty() == set()
        assert lists.successes() > 0
    finally:
        pair.replica.start()
