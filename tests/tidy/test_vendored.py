"""What is not ours stands apart, with its version, its licence and the sums of its files."""

from __future__ import annotations

import hashlib
import tomllib

from tests.tidy.source import ROOT

FOLDERS = ("src/tillbell/web/pages/vendor", "tests/pages/vendor")
LIST = "vendored.toml"


def test_vendored_files_are_what_their_lists_say() -> None:
    packages = [path for folder in FOLDERS for path in (ROOT / folder).iterdir()]
    assert len(packages) >= 3
    for package in packages:
        listed = tomllib.loads((package / LIST).read_text())
        assert listed["name"]
        assert listed["version"]
        assert listed["license"]
        stored = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in package.iterdir()
            if path.name != LIST
        }
        assert stored == listed["sha256"], package.name
        assert "LICENSE" in stored
