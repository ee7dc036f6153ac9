"""The paths of the API."""

from __future__ import annotations

BASE = "/api/v1"
CASHIER = "/v1/api/mozarto/cashier"  # a platform's path, outside of `BASE`


def is_api(path: str) -> bool:
    """Tell whether a path belongs to the API."""
    return path.startswith(f"{BASE}/") or path == CASHIER
