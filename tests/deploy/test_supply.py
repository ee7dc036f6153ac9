"""What is shipped is listed, with its licence, in every wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parents[2]
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}


def locked() -> dict[str, str]:
    """Return the packages of the lock that are installed on Linux, with their versions."""
    lines = (ROOT / "requirements/run.txt").read_text().splitlines()
    pins = [line.removesuffix("\\").strip() for line in lines if "==" in line and line[0] != " "]
    requirements = [Requirement(pin) for pin in pins]
    return {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(LINUX)
    }


VENDOR = ROOT / "src/tillbell/web/pages/vendor"  # scripts of others that the pages load


def listed(text: str) -> list[dict[str, Any]]:
    components: list[dict[str, Any]] = json.loads(text)["components"]
    return components


def test_the_list_of_what_is_shipped_is_the_lock() -> None:
    components = listed((ROOT / "requirements/sbom.cdx.json").read_text())
    versions: dict[str, dict[str, str]] = {"pkg:pypi": {}, "pkg:npm": {}}
    for one in components:
        versions[one["purl"].partition("/")[0]][canonicalize_name(one["name"])] = one["version"]
    notes = [tomllib.loads(note.read_text()) for note in VENDOR.glob("*/vendored.toml")]
    vendored = {canonicalize_name(note["name"]): note["version"] for note in notes}
    assert versions == {"pkg:pypi": locked(), "pkg:npm": vendored}, "run `make sbom`"
    unlicensed = [one["name"] for one in components if not one.get("licenses")]
    assert not unlicensed


def test_a_wheel_carries_the_list_and_the_licence(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel")
    subprocess.run((*command, "--directory", str(tmp_path)), cwd=ROOT, check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    about = f"{project['name']}-{project['version']}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        assert listed(archive.read(f"{about}/sboms/sbom.cdx.json").decode())
        assert archive.read(f"{about}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        metadata = archive.read(f"{about}/METADATA").decode()
    assert f"License-Expression: {project['license']}" in metadata


def test_the_threat_model_names_tests_that_are_there() -> None:
    text = (ROOT / "docs/security.md").read_text()
    named = re.findall(r"`(tests/[a-z_/]+\.py)`", text)
    assert len(named) > 20
    assert not [path for path in named if not (ROOT / path).is_file()]
