"""Times the store's own methods on a database that is filled to some size."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple, TypeVar

from bench.figures import percentile
from bench.scale.counted import CountedDatabase, Trips
from bench.scale.fill import DEEP, EQUAL, Filling, endpoint_id, lane
from bench.store import accepted
from tillbell.clock import SECOND
from tillbell.ids import IdMaker, delivery_id
from tillbell.model.messages import Claim, Delivery, DeliveryState, Message
from tillbell.storage.ports.outbound import LaneKey, Publication

T = TypeVar("T")
BATCH = 500  # claims in one commit, as the claimer asks for
PAGE = 5_000  # lanes, as the claimer asks for
_PAYLOAD = b'{"note":"%s"}' % (b"." * 85)  # as long as what was filled in


class Timing(NamedTuple):
    """What one operation cost, over many calls at one size."""

    name: str
    millis: tuple[float, ...]
    round_trips: float
    wal_kb: float  # median: autovacuum writes beside us now and then

    @property
    def median_ms(self) -> float:
        """The middle one."""
        return percentile(self.millis, 0.5)

    @property
    def p99_ms(self) -> float:
        """What 99 of 100 do not exceed; with fewer calls the longest."""
        return percentile(self.millis, 0.99)


class Probe:
    """One size's measurements. What is claimed is finished and published anew, so sizes stay."""

    def __init__(self, filling: Filling, store: CountedDatabase, calls: int) -> None:
        self.filling = filling
        self.store = store
        self.calls = calls
        self._ids = IdMaker()
        self._random = random.Random(filling.endpoints)
        self._taken: dict[str, list[tuple[float, int, int]]] = {}

    async def measure(self) -> list[Timing]:
        """Measure everything; the first call of each kind makes plans and is left out."""
        for _ in range(self.calls + 1):
            await self._cycle("500 lanes × 1", dict.fromkeys(self._lanes(BATCH), 1))
            await self._cycle("50 lanes × 10", dict.fromkeys(self._lanes(BATCH // 10), 10))
            await self._cycle("1 deep lane × 500", {lane(DEEP): BATCH})
            await self._cycle("1 lane × 500, all due at once", {lane(EQUAL): BATCH})
            chosen = self._lanes(BATCH)
            await self._timed("next_due of 500 lanes", partial(self.store.next_due, chosen))
            after = endpoint_id(self._random.randrange(self.filling.endpoints))
            page = partial(self.store.due_lanes, after, PAGE)
            await self._timed("a page of 5,000 lanes", page)
            await self._timed("all lanes, page by page", self._sweep)
        return [_timing(name, taken[1:]) for name, taken in self._taken.items()]

    def _lanes(self, count: int) -> list[LaneKey]:
        numbers = range(EQUAL + 1, self.filling.endpoints)
        return [lane(n) for n in self._random.sample(numbers, min(count, len(numbers)))]

    async def _timed(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        trips, wal = Trips.count, self.filling.database.wal_bytes()
        began = time.perf_counter()
        result = await call()
        taken = (time.perf_counter() - began) * 1_000
        spent = self.filling.database.wal_bytes() - wal
        self._taken.setdefault(name, []).append((taken, Trips.count - trips, spent))
        return result

    async def _cycle(self, name: str, wanted: dict[LaneKey, int]) -> None:
        now = self.filling.clock.now()
        claims = await self._timed(
            f"claim {name}", lambda: self.store.claim(wanted, now, now + 60 * SECOND)
        )
        await self._timed(f"finish attempts after {name}", lambda: self._settle(claims))
        await self._timed(f"publish after {name}", lambda: self._publish(claims))

    async def _settle(self, claims: Sequence[Claim]) -> None:
        for written in [self.store.finish_attempt(accepted(claim.delivery)) for claim in claims]:
            await written

    async def _publish(self, claims: Sequence[Claim]) -> None:
        now = self.filling.clock.now()
        for written in [self.store.publish(self._again(c.delivery, now)) for c in claims]:
            await written

    def _again(self, delivery: Delivery, now: int) -> Publication:
        message = Message(self._ids.new("msg", now), delivery.app_id, "order.paid", now)
        due_at = 1 if delivery.endpoint_id == endpoint_id(EQUAL) else now
        waiting = Delivery(
            delivery_id(message.id, delivery.endpoint_id),
            delivery.app_id,
            delivery.endpoint_id,
            message.id,
            "",
            DeliveryState.WAITING,
            due_at,
            now,
        )
        return Publication(message, {"": _PAYLOAD}, [waiting])

    async def _sweep(self) -> None:
        after = ""
        while len(page := await self.store.due_lanes(after, PAGE)) == PAGE:
            after = page[-1].endpoint_id


def _timing(name: str, taken: Sequence[tuple[float, int, int]]) -> Timing:
    millis, trips, wal = zip(*taken, strict=True)
    return Timing(name, tuple(millis), median(trips), median(wal) / 1_000)
