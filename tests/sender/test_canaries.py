"""The guard under attack, in a network namespace without a route."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_S

_ROOT = Path(__file__).parents[2]


def _is_permitted() -> bool:
    try:
        return subprocess.run(["unshare", "-n", "true"], check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    if not _is_permitted():
        if os.environ.get("CI") == "true":
            pytest.fail("CI must be able to run `unshare -n`: these cases need a namespace.")
        pytest.skip("unshare -n is not permitted here; CI runs these cases")
    command = ["unshare", "-n", sys.executable, "-m", "tests.sender.canaries"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_canaries_are_alive_and_a_public_address_is_reached(report: dict[str, Any]) -> None:
    assert report["alive"] == [True, True]
    assert report["public"] == 200
    assert len(report["bound"]) > 60


def test_no_hostile_url_reaches_a_canary_at_create_or_at_delivery(report: dict[str, Any]) -> None:
    assert len(report["visits"]) > 250
    assert [visit for visit in report["visits"] if visit[2]] == []


def test_a_blocked_attempt_carries_its_class(report: dict[str, Any]) -> None:
    errors = {visit[3] for visit in report["visits"] if "blocked" in visit[0]}
    assert errors == {"blocked_address", "dns_error"}  # the latter: spellings that are no names


@pytest.mark.parametrize("name", ["rebind", "late", "mixed", "families", "alias"])
def test_no_trick_with_names_reaches_a_canary(report: dict[str, Any], name: str) -> None:
    assert report["names"][name]["elsewhere"] == []
    assert "blocked_address" in report["names"][name]["errors"]
