"""How long tests wait for what must come: so long that only what never comes takes it."""

from __future__ import annotations

import inspect

import httpx

from tillbell.storage.engine import group_commit, readers
from tillbell.storage.postgres import database

PATIENCE_S = 120


def make_httpx_patient() -> None:
    """Let httpx, which gives up after 5 s if it is not told otherwise, wait as long as we do."""
    default = inspect.signature(httpx.get).parameters["timeout"].default
    default.connect = default.read = default.write = default.pool = PATIENCE_S


def make_stores_patient() -> None:
    """Let stores, which give up a database that says nothing for seconds, wait as long as we do.

    A test of what a silent database does sets its own time.
    """
    group_commit.COMMIT_TIMEOUT_S = readers.READ_TIMEOUT_S = PATIENCE_S
    database.READ_TIMEOUT_S = PATIENCE_S
