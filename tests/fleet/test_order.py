"""Order keys in a fleet: one that sends is killed, one answer in ten fails, nothing overtakes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from zlib import crc32

import pytest

from tests.fleet.local_fleet import LocalFleet, eventually, publish_surely
from tests.fleet.upgrading import running
from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.deliver.publish import MessageDraft
from tillbell.testing.exchange import ReceiverExchange

KEYS = 6
EVENTS = 10  # of each key
OWNED = 2  # endpoints that each process has at least
FAILS_ONE_IN = 10
ANSWER_S = 0.005  # so that some are under way when their sender dies
STUCK = "stuck"  # the key whose first event fails always
RETRIES_S = (1, 600)  # long at last: an endpoint at which all fails would be spared


class FlakyReceiver:
    """Receives, and fails now and then, at first."""

    def __init__(self) -> None:
        self.came: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._tries: Counter[tuple[str, str, int]] = Counter()

    async def receive(self, exchange: ReceiverExchange) -> None:
        body = json.loads(exchange.request.body)
        path, key, number = exchange.request.path, body["key"], body["number"]
        self.came[path, key].append(number)
        self._tries[path, key, number] += 1
        fails = crc32(f"{path}{key}{number}".encode()) % FAILS_ONE_IN == 0
        await asyncio.sleep(ANSWER_S)
        is_refused = key == STUCK or (fails and self._tries[path, key, number] == 1)
        await exchange.answer(500 if is_refused else 200)

    @property
    def refused(self) -> int:
        """How many had to be sent again."""
        return sum(count > 1 for (_, key, _), count in self._tries.items() if key != STUCK)


async def furnish(fleet: LocalFleet, here: Gateway, flaky: FlakyReceiver) -> list[str]:
    """Make ordered endpoints until both processes have some; return their paths."""
    paths: list[str] = []
    owned = Counter({True: 0, False: 0})
    while min(owned.values()) < OWNED:
        paths.append(f"/{len(paths)}")
        fleet.receiver.on(paths[-1], flaky.receive)
        fields = {"ordering": "fifo", "retry_schedule": RETRIES_S}
        made = await fleet.endpoint(here, paths[-1], **fields)
        owned[here.cluster.owns(made.id)] += 1
    return paths


async def publish(here: Gateway, numbers: Iterable[int]) -> None:
    """Publish that event of each key, then the next."""
    for number in numbers:
        for key in (*map(str, range(KEYS)), STUCK):
            payload = json.dumps({"key": key, "number": number}).encode()
            event_id = f"{key}-{number}"
            await publish_surely(here, MessageDraft("order.paid", payload, event_id, order_key=key))


@pytest.mark.slow
async def test_nothing_overtakes_in_its_key_and_one_that_fails_holds_only_its_own(
    empty_database: Callable[[], str], tmp_path: Path
) -> None:
    url, flaky = empty_database(), FlakyReceiver()
    quiet = {"TILLBELL_LOG_LEVEL": "error"}
    async with (
        LocalFleet(url, tmp_path) as fleet,
        running(tmp_path / "other", url, **quiet) as other,
    ):
        here = await fleet.start()
        await fleet.agreed(2)
        paths = await furnish(fleet, here, flaky)
        await publish(here, range(EVENTS // 2))
        half = len(paths) * KEYS * EVENTS // 4
        await asyncio.wait_for(fleet.receiver.wait_for(half), PATIENCE_S)
        other.process.kill()
        await publish(here, range(EVENTS // 2, EVENTS))

        async def all_of_the_rest_are_there() -> bool:
            return (await here.database.counts()).succeeded == len(paths) * KEYS * EVENTS

        await eventually(all_of_the_rest_are_there)
        waiting = (await here.database.counts()).waiting

    assert flaky.refused > len(paths)
    assert waiting + len(paths) >= len(paths) * EVENTS, "what is behind the stuck one waits"
    for path in paths:
        assert set(flaky.came[path, STUCK]) == {0}, "it was tried, nothing behind it"
        for key in map(str, range(KEYS)):
            came = flaky.came[path, key]
            assert came == sorted(came), "an event came before the one before it was accepted"
            assert set(came) == set(range(EVENTS))
