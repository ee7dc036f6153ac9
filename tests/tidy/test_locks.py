"""The locks, which `requirements/lock.sh` makes, hold what pyproject.toml names."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.tidy.source import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
POSTGRES = PROJECT["project"]["optional-dependencies"]["postgres"]
NAMED: dict[str, list[str]] = {
    "run": PROJECT["project"]["dependencies"] + POSTGRES,
    "build": GROUPS["build"],
    "dev": [dependency for dependency in GROUPS["dev"] if isinstance(dependency, str)],
    "bench": GROUPS["bench"],
    "supply": GROUPS["supply"],
}


def blocks(lock: str) -> list[str]:
    """Return the packages of a lock, each with its version, marker and hashes."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return re.findall(r"^\S+==(?:.*\\\n)+.*$", text, re.MULTILINE)


def pins(lock: str) -> set[str]:
    """Return `name==version` of every package of a lock."""
    return {block.split()[0] for block in blocks(lock)}


@pytest.mark.parametrize("lock", NAMED)
def test_every_dependency_is_locked(lock: str) -> None:
    named = {re.split(r"[\[<>=!; ]", dependency)[0] for dependency in NAMED[lock]}
    assert named
    assert named <= {pin.split("==")[0] for pin in pins(lock)}


@pytest.mark.parametrize("lock", NAMED)
def test_every_package_has_its_hashes(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert len(blocks(lock)) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert all("--hash=sha256:" in block for block in blocks(lock))


def test_the_dev_set_goes_on_top_of_what_runs() -> None:
    assert pins("run") | pins("build") < pins("dev")
