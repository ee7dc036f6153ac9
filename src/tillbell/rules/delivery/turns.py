"""Who goes next when more want to than may? Applications in turn, in each its endpoints."""

from __future__ import annotations

from collections import OrderedDict


class FairQueue:
    """Lanes that wait for a slot. Taking and adding cost the same however many wait."""

    def __init__(self) -> None:
        self._applications: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._applications)

    def add(self, app_id: str, endpoint_id: str) -> None:
        """Queue a lane; one that waits already keeps its place."""
        self._applications.setdefault(app_id, OrderedDict())[endpoint_id] = None

    def pop(self) -> str:
        """Take the endpoint whose turn it is. The application goes to the end of the line."""
        app_id, lanes = self._applications.popitem(last=False)
        endpoint_id, _ = lanes.popitem(last=False)
        if lanes:
            self._applications[app_id] = lanes
        return endpoint_id

    def drop(self, app_id: str, endpoint_id: str) -> None:
        """Forget a lane."""
        lanes = self._applications.get(app_id)
        if lanes is not None and lanes.pop(endpoint_id, 0) is None and not lanes:
            del self._applications[app_id]
