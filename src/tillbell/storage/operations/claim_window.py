"""The horizon: the due time from which on claims look, because what was due before is taken.

PostgreSQL keeps whatever a transaction that is still open could see: of a lane also the index
entries of all that was claimed since it began. Who claims from the first entry on walks over all
of them, each time. So a claim begins where the last one has taken everything, and only every
`every` microseconds looks at everything again: at what became due in the past, which is rare.

- A commit that began before a claim may end after it, and the clocks of processes differ: so a
  claim begins `COMMIT_MARGIN` before where the last one ended. No commit takes that long.
- One of an order key that may go at last is as due as it ever was: lanes with such are looked at
  whole, always.
- Leases end in the future when they are written, so theirs needs no margin but for clocks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from tillbell.clock import SECOND, Micros
from tillbell.storage.ports.outbound import LaneKey

COMMIT_MARGIN: Micros = 15 * SECOND
LEASES_MARGIN: Micros = 2 * SECOND
FULL_SCAN_EVERY: Micros = 30 * SECOND
LANES_MAX = 100_000  # then all are forgotten: a look at everything


class ClaimBounds(NamedTuple):
    """From which due time on to look: of each lane, and for lost leases of any; 0 if not there."""

    lanes: Mapping[LaneKey, Micros]
    leases: Micros

    def since(self, lane: LaneKey) -> Micros:
        """Return that of a lane."""
        return self.lanes.get(lane, 0)


UNBOUNDED = ClaimBounds({}, 0)


class _ClaimedUntil(NamedTuple):
    until: Micros  # what was due before is taken
    whole_at: Micros  # when all of it was last looked at


class ClaimWindow:
    """Remembers how far claims have come."""

    def __init__(self, every: Micros, ordered: Collection[LaneKey] = ()) -> None:
        self._every = every
        self._ordered = ordered  # lanes with order keys; it grows
        self._lanes: dict[LaneKey, _ClaimedUntil] = {}
        self._leases = _ClaimedUntil(0, 0)

    def bounds(self, lanes: Iterable[LaneKey], now: Micros) -> ClaimBounds:
        """Say from where on to look at these."""
        since = {
            lane: seen.until
            for lane in lanes
            if (seen := self._lanes.get(lane)) is not None
            and self._is_fresh(seen, now)
            and lane not in self._ordered
        }
        return ClaimBounds(since, self._leases.until if self._is_fresh(self._leases, now) else 0)

    def _is_fresh(self, seen: _ClaimedUntil, now: Micros) -> bool:
        return 0 <= now - seen.whole_at < self._every

    def advance(
        self, view: ClaimBounds, reached: Mapping[LaneKey, Micros], leases_left: Micros, now: Micros
    ) -> None:
        """Note that a claim at `now` that looked so has been committed, and how far it came."""
        if len(self._lanes) > LANES_MAX:
            self._lanes.clear()
        for lane, until in reached.items():
            self._lanes[lane] = self._moved(lane, view.since(lane), until - COMMIT_MARGIN, now)
        until = max(view.leases, leases_left - LEASES_MARGIN)
        self._leases = _ClaimedUntil(until, self._leases.whole_at if view.leases else now)

    def _moved(self, lane: LaneKey, since: Micros, until: Micros, now: Micros) -> _ClaimedUntil:
        seen = self._lanes.get(lane)
        whole_at = seen.whole_at if since and seen is not None else now
        return _ClaimedUntil(max(since, until), whole_at)
