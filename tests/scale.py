"""How much of a long test runs: a tenth in `make test`, the whole on SQLite in `make soak`."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

import pytest
from hypothesis import settings

from tests.stores import IS_POSTGRES

T = TypeVar("T")
IS_SOAK = os.environ.get("TEST_SOAK") == "1"
IS_WHOLE = IS_SOAK and not IS_POSTGRES

soak = pytest.mark.soak
"""Marks a test that asks `full_or_tenth` or `drawn`: `make soak` runs it again."""


def full_or_tenth(count: int) -> int:
    """Return the count on SQLite in `make soak`, else a tenth of it, and at least 1."""
    return count if IS_WHOLE else max(1, count // 10)


def drawn(rows: Sequence[T], one_in: int = 10) -> list[T]:
    """Return all rows on SQLite in `make soak`, else one in so many, drawn by `seed`."""
    count = max(1, len(rows) // one_in)
    return [*rows] if IS_WHOLE else random.Random(seed()).sample(rows, count)


def orders_played(count: int) -> int:
    """Return how many of so many orders of a life are played: at most 6, or 120 in a soak.

    Each soak draws other ones (`seed`).
    """
    return min(count, 120 if IS_WHOLE else 6)


def seed() -> int:
    """Return TEST_SEED; else the same number in each `make test`, another one in each soak."""
    fixed = os.environ.get("TEST_SEED")
    if fixed is not None:
        return int(fixed)
    return random.getrandbits(32) if IS_SOAK else 20_260_301


def use_hypothesis_profile() -> None:
    """Draw the same examples in each `make test`, others in each soak; none fails by its time."""
    settings.register_profile("tillbell", deadline=None, derandomize=not IS_SOAK, print_blob=True)
    settings.load_profile("tillbell")
