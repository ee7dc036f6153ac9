"""The claim window: the lower bound of `due_at` for claims. Everything earlier is claimed already.

PostgreSQL keeps every row version that an open transaction could still see. In a lane these are
also the index entries of all that was claimed since the oldest transaction began, and a claim from
the first entry on walks over all of them, each time. So a claim begins where the last one ended,
and looks at everything again only every `every` microseconds: for what became due in the past,
which is rare.

- A commit that began before a claim may end after it, and the clocks of processes differ. So a
  claim begins `COMMIT_MARGIN` before where the last one ended. No commit takes that long.
- A delivery that waited for others with its order key keeps its old due time when it may go. So
  lanes with order keys have no lower bound.
- Leases end in the future when they are written. Their margin is only for differing clocks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from tillbell.clock import SECOND, Micros
from tillbell.storage.ports.outbound import LaneKey

COMMIT_MARGIN: Micros = 15 * SECOND
LEASES_MARGIN: Micros = 2 * SECOND
FULL_SCAN_EVERY: Micros = 30 * SECOND
LANES_MAX = 100_000  # then all are forgotten, and each is looked at whole


class ClaimBounds(NamedTuple):
    """The lower bound of `due_at` in each lane, and that of expired leases in any; 0: none."""

    lanes: Mapping[LaneKey, Micros]
    leases: Micros

    def since(self, lane: LaneKey) -> Micros:
        """Return the bound of a lane."""
        return self.lanes.get(lane, 0)


UNBOUNDED = ClaimBounds(lanes={}, leases=0)


class _ClaimedUntil(NamedTuple):
    until: Micros  # everything due earlier is claimed
    full_scan_at: Micros  # when all of it was last looked at


class ClaimWindow:
    """Remembers up to where claims have come."""

    def __init__(self, every: Micros, ordered_lanes: Collection[LaneKey] = ()) -> None:
        self._every = every
        self._ordered_lanes = ordered_lanes  # lanes with order keys; it grows
        self._lanes: dict[LaneKey, _ClaimedUntil] = {}
        self._leases = _ClaimedUntil(until=0, full_scan_at=0)

    def bounds(self, lanes: Iterable[LaneKey], now: Micros) -> ClaimBounds:
        """Return the bounds of a claim in these lanes."""
        since = {
            lane: claimed.until
            for lane in lanes
            if (claimed := self._lanes.get(lane)) is not None
            and self._is_fresh(claimed, now)
            and lane not in self._ordered_lanes
        }
        return ClaimBounds(since, self._leases.until if self._is_fresh(self._leases, now) else 0)

    def _is_fresh(self, claimed: _ClaimedUntil, now: Micros) -> bool:
        return 0 <= now - claimed.full_scan_at < self._every

    def advance(
        self,
        bounds: ClaimBounds,
        claimed_until: Mapping[LaneKey, Micros],
        leases_until: Micros,
        now: Micros,
    ) -> None:
        """Note that a claim at `now` with these bounds is committed, and up to where it came."""
        if len(self._lanes) > LANES_MAX:
            self._lanes.clear()
        for lane, until in claimed_until.items():
            self._lanes[lane] = self._advanced(lane, bounds.since(lane), until, now)
        until = max(bounds.leases, leases_until - LEASES_MARGIN)
        full_scan_at = self._leases.full_scan_at if bounds.leases else now
        self._leases = _ClaimedUntil(until, full_scan_at)

    def _advanced(self, lane: LaneKey, since: Micros, until: Micros, now: Micros) -> _ClaimedUntil:
        earlier = self._lanes.get(lane)
        full_scan_at = earlier.full_scan_at if since and earlier is not None else now
        return _ClaimedUntil(max(since, until - COMMIT_MARGIN), full_scan_at)
