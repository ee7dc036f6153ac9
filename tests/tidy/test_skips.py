"""Where CI=true, a skipped test is a failed one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.source import ROOT

SKIPPED = """
import pytest

@pytest.mark.skipif(True, reason="needs a service")
def test_by_mark(): ...

def test_within():
    pytest.skip("needs a service")

@pytest.mark.xfail
def test_known_bug():
    assert False
"""


@pytest.mark.parametrize(
    ("ci", "closing"), [("true", "1 failed, 1 xfailed, 1 error"), ("false", "2 skipped, 1 xfailed")]
)
def test_a_skip_is_a_failure_only_where_services_must_be(
    ci: str, closing: str, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_skipped.py").write_text(SKIPPED)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]

    run = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path],
        env={**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert closing in run.stdout.splitlines()[-1]
    assert run.returncode == (1 if ci == "true" else 0)
