"""Migrations are counted, so each number stands once and none is left out."""

from __future__ import annotations

import re

import pytest

from tests.tidy.source import ROOT


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_migrations_are_numbered_without_gaps(dialect: str) -> None:
    folder = ROOT / "src/tillbell/storage" / dialect / "migrations"
    names = sorted(file.name for file in folder.glob("*.sql"))
    numbers = [int(number[0]) for name in names if (number := re.match(r"\d{4}", name))]
    assert numbers == list(range(1, len(names) + 1)), names
