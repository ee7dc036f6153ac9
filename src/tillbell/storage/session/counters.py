"""How many deliveries a commit moves from which state to which: what it adds to the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from tillbell.clock import DAY, HOUR, Micros
from tillbell.ids import made_at
from tillbell.model.messages import Delivery, DeliveryState

STATES = tuple(DeliveryState)
_TIME_WIDTH = len("dlv_") + 10  # of an id: ten letters hold the time, to the millisecond
_COLUMN = {state: number for number, state in enumerate(STATES)}

TotalsKey = tuple[str, str, Micros]  # application, endpoint, hour (of everything: day)


@lru_cache(maxsize=4096)
def _hour(start_of_id: str) -> Micros:
    return made_at(start_of_id) // HOUR * HOUR


class TotalsDelta:
    """Counts moves; `rows` sums them up for the endpoint, its application and everything."""

    def __init__(self) -> None:
        self._moves: Counter[tuple[str, str, Micros, str | None, str | None]] = Counter()

    def __bool__(self) -> bool:
        return bool(self._moves)

    def count_new(self, deliveries: Iterable[Delivery]) -> None:
        """Count new deliveries."""
        self._moves.update(
            [
                (d.app_id, d.endpoint_id, _hour(d.id[:_TIME_WIDTH]), None, d.state)
                for d in deliveries
            ]
        )

    def count_move(
        self, app_id: str, endpoint_id: str, delivery_id: str, before: str, after: str | None
    ) -> None:
        """Count one move of a delivery to the state `after`; None: it was deleted."""
        self._moves[app_id, endpoint_id, _hour(delivery_id[:_TIME_WIDTH]), before, after] += 1

    def merge(self, other: TotalsDelta) -> None:
        """Add what another one counted."""
        self._moves.update(other._moves)

    @property
    def has_removed(self) -> bool:
        """Whether deliveries were deleted."""
        return any(after is None for _, _, _, _, after in self._moves)

    def rows(self) -> list[tuple[str, str, Micros, int, int, int, int, int]]:
        """Return the change of each total: application, endpoint, hour, one number for a state."""
        changes: dict[TotalsKey, list[int]] = {}
        for (app_id, endpoint_id, hour, before, after), times in self._moves.items():
            for key in (
                (app_id, endpoint_id, hour),
                (app_id, "", hour),
                ("", "", hour // DAY * DAY),
            ):
                change = changes.setdefault(key, [0] * len(STATES))
                if before is not None:
                    change[_COLUMN[DeliveryState(before)]] -= times
                if after is not None:
                    change[_COLUMN[DeliveryState(after)]] += times
        return [(*key, *change) for key, change in changes.items() if any(change)]  # type: ignore[misc]
