"""How long tests wait for what must come: so long that only what never comes takes it."""

from __future__ import annotations

import inspect

import httpx

PATIENCE_S = 120


def make_httpx_patient() -> None:
    """Let httpx, which gives up after 5 s if it is not told otherwise, wait as long as we do."""
    default = inspect.signature(httpx.get).parameters["timeout"].default
    default.connect = default.read = default.write = default.pool = PATIENCE_S
