"""Which store the gateways of tests use: SQLite, or with TEST_STORE=postgres a schema a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

IS_POSTGRES = os.environ.get("TEST_STORE") == "postgres"
_urls: dict[Path, str] = {}


def nowhere() -> str:
    """Refuse: conftest.py has not started a server."""
    raise AssertionError("TEST_STORE=postgres needs the fixture of tests/conftest.py")


make_schema: Callable[[], str] = nowhere


def settings_of(folder: Path) -> dict[str, str]:
    """Return the settings that name the store of a folder: the same again for the same folder."""
    if not IS_POSTGRES:
        return {}
    if folder not in _urls:
        _urls[folder] = make_schema()
    return {"database_url": _urls[folder]}
