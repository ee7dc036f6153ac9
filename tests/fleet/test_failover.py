"""The primary dies, its synchronous standby is promoted: nothing is lost, nothing starts anew."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.postgres_server import programs

from tests.fleet.failover import Pair
from tests.fleet.local_fleet import APP, LocalFleet, eventually
from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.deliver.publish import MessageDraft
from tillbell.errors import ConflictError, StoreUnavailable
from tillbell.storage.ports.outbound import Totals

PRODUCERS = 8
BEFORE = 200  # accepted before the primary dies, and again after it
REFUSALS = 20  # of each producer between the two
REFUSED_S = 20  # a refusal comes within 6 s, however the database fails; machines are busy
PAUSE_S = 0.02  # of a producer that was refused


@pytest.fixture
def pair() -> Iterator[Pair]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL: install the dev dependencies")
    made = Pair(found)
    yield made
    made.remove()


class Producers:
    """They publish event after event, each until it is taken."""

    def __init__(self, fleet: LocalFleet, by: Gateway) -> None:
        self._fleet = fleet
        self._by = by
        self._numbers = itertools.count()
        self._is_over = False
        self.accepted: set[int] = set()
        self.refused = 0
        self._tasks = [asyncio.ensure_future(self._produce()) for _ in range(PRODUCERS)]

    async def _produce(self) -> None:
        while not self._is_over:
            number = next(self._numbers)
            while not await asyncio.wait_for(self._is_taken(number), REFUSED_S):
                self.refused += 1
                await asyncio.sleep(PAUSE_S)
            self.accepted.add(number)

    async def _is_taken(self, number: int) -> bool:
        try:
            await self._by.publisher.publish(
                APP, MessageDraft("order.paid", body(number), str(number))
            )
        except StoreUnavailable:
            return False
        except ConflictError:  # it was stored when we were told that nobody knows
            assert self.refused
        return True

    async def are_at(self, *, accepted: int = 0, refused: int = 0) -> None:
        """Wait until they got so far."""

        async def are_there() -> bool:
            assert not any(task.done() for task in self._tasks)
            return len(self.accepted) >= accepted and self.refused >= refused

        await eventually(are_there)

    async def stop(self) -> set[int]:
        """Let each get its last event accepted; return all."""
        self._is_over = True
        await asyncio.gather(*self._tasks)
        return self.accepted


def body(number: int) -> bytes:
    return b'{"order": %d, "amount": 149.990}' % number


def arrived(fleet: LocalFleet) -> dict[bytes, set[str | None]]:
    """Return under which ids each body came."""
    found = defaultdict(set)
    for request in fleet.receiver.requests:
        found[request.body].add(request.header("webhook-id"))
    return found


async def all_are_delivered(gateway: Gateway, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await gateway.database.counts()).succeeded < count:
            await asyncio.sleep(PAUSE_S)


@pytest.mark.slow
async def test_after_a_failover_all_that_was_accepted_is_delivered_once_and_no_process_restarts(
    pair: Pair, tmp_path: Path
) -> None:
    async with LocalFleet(pair.url, tmp_path) as fleet:
        api, worker = await fleet.start("api"), await fleet.start("worker")
        await fleet.agreed(1)
        await fleet.knows(worker, (await fleet.endpoint(api, "/a")).id)
        producers = Producers(fleet, api)
        await producers.are_at(accepted=BEFORE)

        await asyncio.to_thread(pair.primary.die)
        await producers.are_at(refused=PRODUCERS)
        accepted = len(producers.accepted)
        await producers.are_at(refused=producers.refused + PRODUCERS * REFUSALS)
        assert len(producers.accepted) == accepted, "there was nobody who could have stored it"

        await asyncio.to_thread(pair.promote)
        await producers.are_at(accepted=accepted + BEFORE)
        numbers = await producers.stop()
        await all_are_delivered(api, len(numbers))

        ids = arrived(fleet)
        assert ids.keys() == {body(number) for number in numbers}
        assert {len(one) for one in ids.values()} == {1}, "each event is one message"
        assert await fleet.messages() == len(numbers)
        assert await api.database.counts() == Totals(succeeded=len(numbers))
