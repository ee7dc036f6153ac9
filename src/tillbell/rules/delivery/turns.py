"""Fair order of lanes that wait for a slot: applications in turn, in each its endpoints in turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class FairQueue:
    """Lanes that wait for a slot. All operations take constant time."""

    def __init__(self) -> None:
        self._applications: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._applications)

    def add(self, app_id: str, endpoint_id: str) -> None:
        """Add a lane; one that is waiting already keeps its place."""
        self._applications.setdefault(app_id, OrderedDict())[endpoint_id] = None

    def pop(self) -> str:
        """Remove and return the next endpoint. Its application goes to the end."""
        app_id, lanes = self._applications.popitem(last=False)
        endpoint_id, _ = lanes.popitem(last=False)
        if lanes:
            self._applications[app_id] = lanes
        return endpoint_id

    def pop_of(self, is_allowed: Callable[[str], bool]) -> str | None:
        """Remove and return the next endpoint of an allowed application; None if there is none."""
        app_id = next(filter(is_allowed, self._applications), None)
        if app_id is None:
            return None
        self._applications.move_to_end(app_id, last=False)
        return self.pop()

    def drop(self, app_id: str, endpoint_id: str) -> None:
        """Remove a lane."""
        lanes = self._applications.get(app_id)
        if lanes is not None and lanes.pop(endpoint_id, 0) is None and not lanes:
            del self._applications[app_id]
