"""What the tests of `deploy/` read it with: the program's own settings, and the tools' own eyes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.patience import PATIENCE_S
from tillbell.config import Settings, load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GUIDE = (ROOT / "docs" / "operations.md").read_text()
SECRETS = {
    "master_key": "WYMOvDpBhBEFZr8aKQ0IRz39y9SSzkmLFM0aXi+i5EE=",
    "admin_key": "tb_0123456789abcdefghij0123456789abcdefghij",
    "database_url": "postgresql://tillbell:canary@postgres/tillbell",
}


def load_yaml(text: str) -> Any:
    """Read one document."""
    return yaml.safe_load(text)


def settings_from(environment: Mapping[str, str], folder: Path) -> Settings:
    """Return the settings that a process with this environment has; `Misconfigured` if none.

    A `…_FILE` names a place on another machine: here it is a file in `folder` with a secret of
    that name in it.
    """
    here = dict(environment)
    for name in [name for name in here if name.endswith("_FILE")]:
        kept = Path(here[name]).name.replace("-", "_")
        (folder / kept).write_text(SECRETS[kept] + "\n")
        here[name] = str(folder / kept)
    return load({}, here).settings


def image_environment() -> dict[str, str]:
    """Return what the image sets for the program."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    last = text[text.rindex("\nFROM ") :]
    lines = [line.split()[1:] for line in last.splitlines() if line.startswith("ENV ")]
    pairs = [word.partition("=") for words in lines for word in words]
    return {name: value for name, _, value in pairs if name.startswith("TILLBELL_")}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; a wheel's is beside our Python."""
    beside = Path(sys.executable).with_name(str(command[0]))
    tool = beside if beside.is_file() else command[0]
    return subprocess.run(
        [tool, *command[1:]], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def blocks() -> list[str]:
    """Return what the guide shows as code."""
    return re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
