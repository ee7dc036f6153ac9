"""The official JavaScript SDK, unmodified, against a real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.patience import PATIENCE_S
from tests.web.served_gateway import ServedGateway

pytestmark = pytest.mark.sqlite_first

SDK = "svix@2.5.0"
SCRIPT = Path(__file__).parent / "sdk.mjs"


@pytest.fixture(scope="module")
def home() -> Path:
    """Return a folder with the SDK in it, installed once. Without npm: skipped, but not in CI."""
    folder = Path(sys.prefix) / "npm" / SDK
    if not (folder / "node_modules" / "svix").is_dir():
        problem = install(folder)
        if problem and os.environ.get("CI"):
            pytest.fail(problem)
        if problem:
            pytest.skip(problem)
    return folder


def install(folder: Path) -> str:
    """Install the SDK; say why it could not be."""
    if not (shutil.which("npm") and shutil.which("node")):
        return "JAVASCRIPT SDK NOT TESTED: node and npm are not installed"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text("{}")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", SDK]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "JAVASCRIPT SDK NOT TESTED: npm did not answer"
    failed = done.returncode != 0
    return f"JAVASCRIPT SDK NOT TESTED: npm: {done.stderr[-300:]}" if failed else ""


def test_the_javascript_sdk_works_unmodified(served: ServedGateway, home: Path) -> None:
    arguments = [str(home), served.url, served.key, served.receiver.url("")]
    ran = subprocess.run(
        ["node", str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    saw = json.loads(ran.stdout)
    served.wait_for_attempts(saw["message"], 2)
    arrivals = served.receiver.to("/js")
    for secret in saw["secrets"]:
        Webhook(secret).verify(arrivals[0].body, dict(arrivals[0].headers))
    assert {arrival.header("webhook-id") for arrival in arrivals} == {saw["message"]}
