"""The image, read without an engine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.deploy.reading import DEPLOY, ROOT, image_environment, run, settings_from

TEXT = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
LINES = [line.split(maxsplit=1) for line in TEXT.replace("\\\n", " ").splitlines() if line]
LAST = LINES[max(n for n, (word, _) in enumerate(LINES) if word == "FROM") :]


def said(word: str, lines: list[list[str]] = LAST) -> list[str]:
    """Return what an instruction is told, each time it is there."""
    return [rest for found, rest in lines if found == word]


def test_hadolint_finds_nothing() -> None:
    found = run("hadolint", "--no-color", DEPLOY / "Dockerfile")
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)


def test_it_runs_as_a_number_that_is_not_root() -> None:
    (user,) = said("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    after = LAST[[word for word, _ in LAST].index("USER") :]
    assert not {"RUN", "COPY", "ADD"} & {word for word, _ in after}


def test_it_starts_without_a_shell_that_would_keep_the_signal() -> None:
    for word in ("ENTRYPOINT", "CMD"):
        assert all(rest.startswith('["') for rest in said(word)), word
    assert said("STOPSIGNAL") == ["SIGTERM"]
    assert '["tillbell", "healthcheck", "--live"]' in said("HEALTHCHECK")[0]


def test_every_base_has_a_tag_that_is_not_latest() -> None:
    bases = [rest.split()[0] for rest in said("FROM", LINES)]
    (tag,) = [rest.removeprefix("PYTHON=") for rest in said("ARG", LINES)]
    assert set(bases) == {"python:${PYTHON}"}
    assert re.fullmatch(r"\d+\.\d+-slim-\w+", tag)


def test_every_package_from_outside_has_its_hash_and_is_a_wheel() -> None:
    installs = [
        part for rest in said("RUN", LINES) for part in rest.split("&&") if " install --" in part
    ]
    outside = [part for part in installs if "-r requirements/" in part]
    assert len(outside) == 2
    assert all("--require-hashes --only-binary :all:" in part for part in outside)
    inside = [part for part in installs if "pip" in part and part not in outside]
    assert all("--no-deps --no-index" in part for part in inside)


def test_what_it_copies_is_there_and_not_ignored(tmp_path: Path) -> None:
    copied = [
        source
        for rest in said("COPY", LINES)
        if not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    let_in = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert set(copied) == let_in
    assert all((ROOT / source).exists() for source in copied)


def test_it_has_the_packages_that_we_run_with() -> None:
    installed = [rest for rest in said("RUN", LINES) if "-r requirements/run.txt" in rest]
    assert len(installed) == 1


def test_what_it_sets_are_settings(tmp_path: Path) -> None:
    settings = settings_from(image_environment(), tmp_path)
    assert str(settings.data_dir) in said("VOLUME")
    assert [str(settings.port)] == said("EXPOSE")
    assert settings.host == "0.0.0.0"


def test_what_must_stay_out_of_it_stays_out_of_the_repository() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "deploy/secrets/master_key"], cwd=ROOT, check=False
    )
    assert ignored.returncode == 0
