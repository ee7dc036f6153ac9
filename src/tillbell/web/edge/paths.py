"""Where the API is found."""

from __future__ import annotations

BASE = "/api/v1"
CASHIER = "/v1/api/mozarto/cashier"  # a platform's own path, outside of ours


def is_api(path: str) -> bool:
    """Tell whether a path belongs to the API."""
    return path.startswith(f"{BASE}/") or path == CASHIER
