"""`serve` as an operator meets it: first start, restart, stop, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.cli.conftest import PROGRAM, Served, environment, in_process, serve, tillbell
from tests.cli.owner import create_owner
from tests.patience import PATIENCE_S
from tillbell.cli.client import ApiClient
from tillbell.vault import Secret


def key_in(said: str) -> str:
    found = re.search(r"^admin key +(\S+)$", said, re.MULTILINE)
    assert found
    return found[1]


def setup_token_in(said: str) -> str:
    line = re.search(
        r"^Open http://127\.0\.0\.1:\d+/setup/([\w-]{43}) to make the owner account$",
        said,
        re.MULTILINE,
    )
    assert line
    return line[1]


def test_first_start_shows_a_key_that_works_and_a_curl_that_can_be_pasted(running: Served) -> None:
    curl = running.said[running.said.index("curl ") :]
    pasted = subprocess.run(
        ["sh", "-c", curl], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert json.loads(pasted.stdout)["uid"] == "shop"
    assert key_in(running.said) in curl


class FirstLife(NamedTuple):
    """A gateway that was started on an empty folder, used and stopped: what it said and logged."""

    data_dir: Path
    said: str
    code: int
    logged: str

    def copied_to(self, folder: Path) -> Path:
        """Return a copy of its folder."""
        return Path(shutil.copytree(self.data_dir, folder / "copy"))


@pytest.fixture(scope="module")
def first_life(tmp_path_factory: pytest.TempPathFactory) -> FirstLife:
    gateway = serve(tmp_path_factory.mktemp("first") / "data")
    api = ApiClient(f"http://127.0.0.1:{gateway.port}", Secret(key_in(gateway.said)))
    api.call("POST", "/app", {"name": "a", "uid": "a"})
    api.call("POST", "/app/a/endpoint", {"url": "http://127.0.0.1:8080/x", "uid": "e"})
    return FirstLife(gateway.data_dir, gateway.said, *gateway.stop())


def test_the_key_is_shown_once_a_set_up_link_at_each_start_and_none_is_kept(
    first_life: FirstLife, tmp_path: Path
) -> None:
    key, first = key_in(first_life.said), setup_token_in(first_life.said)
    assert first_life.code == 0
    assert key not in first_life.logged
    assert first not in first_life.logged
    again = serve(first_life.copied_to(tmp_path))
    try:
        second = setup_token_in(again.said)
        assert first != second
        for token in (first, second):  # the older one is still good
            page = httpx.get(f"http://127.0.0.1:{again.port}/setup/{token}")
            assert "Make the owner account" in page.text
        assert "admin key" not in again.said
        assert key not in again.said
        listed = tillbell("key", "list", **again.environment(key))
        assert "first key" in listed.stdout
    finally:
        code, logged = again.stop(signal.SIGINT)
    assert (code, "Traceback" in logged) == (0, False), "an interrupt is a normal end"
    stored = [logged.encode(), *(path.read_bytes() for path in again.data_dir.iterdir())]
    for secret in (key, first, second):
        assert not any(secret.encode() in content for content in stored)


@pytest.mark.slow
def test_a_configured_key_works_until_it_is_no_longer_configured(tmp_path: Path) -> None:
    """And with the first account no set-up link is shown any more."""
    first, second = "first-configured-key-0001", "second-configured-key-0002"
    gateway = serve(tmp_path, TILLBELL_ADMIN_KEY=first)
    try:
        assert first not in gateway.said
        assert tillbell("key", "list", **gateway.environment(first)).returncode == 0
        asyncio.run(create_owner(tmp_path, setup_token_in(gateway.said)))
    finally:
        code, _ = gateway.stop()
    assert code == 0
    gateway = serve(tmp_path, TILLBELL_ADMIN_KEY=second)
    try:
        assert "/setup/" not in gateway.said
        assert tillbell("key", "list", **gateway.environment(second)).returncode == 0
        refused = tillbell("key", "list", **gateway.environment(first))
        assert refused.returncode == 1
        assert "401" in refused.stderr
    finally:
        gateway.stop()


def test_what_it_writes_is_for_its_owner_only(running: Served) -> None:
    for path in (running.data_dir, *running.data_dir.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name


def test_dev_mode_says_so_loudly(first_life: FirstLife) -> None:
    assert "DEVELOPMENT MODE" in first_life.said
    logged = [json.loads(line)["event"] for line in first_life.logged.splitlines()]
    ends = ["server.dev_mode", "server.started", "server.draining", "server.stopped"]
    assert [event for event in logged if event.startswith("server.")] == ends


def test_a_taken_port_is_exit_code_2_and_one_line(running: Served, tmp_path: Path) -> None:
    other = tillbell("serve", "--data-dir", str(tmp_path / "other"), "--port", running.port)
    assert other.returncode == 2
    assert len(other.stderr.splitlines()) == 1
    assert f"127.0.0.1:{running.port}: address already in use" in other.stderr


def test_a_second_process_on_the_same_data_is_exit_code_2(running: Served) -> None:
    second = tillbell("serve", "--data-dir", str(running.data_dir), "--port", "0")
    assert second.returncode == 2
    assert len(second.stderr.splitlines()) == 1
    assert "Another process" in second.stderr


def test_a_newer_database_is_exit_code_2(first_life: FirstLife, tmp_path: Path) -> None:
    data_dir = first_life.copied_to(tmp_path)
    with sqlite3.connect(data_dir / "tillbell.db") as database:
        database.execute("INSERT INTO migrations VALUES (9999, 'later', 0)")
    database.close()
    refused = tillbell("serve", "--data-dir", str(data_dir), "--port", "0")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_made_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = tillbell("serve", "--data-dir", str(tmp_path / "file" / "data"))
    assert refused.returncode == 2
    assert refused.stderr.startswith("tillbell: data_dir: cannot write to ")
    assert len(refused.stderr.splitlines()) == 1


def test_wrong_settings_are_exit_code_2() -> None:
    absent = tillbell("serve", "--database-url", "postgresql://x.invalid/y")
    assert absent.returncode == 2
    assert "Cannot use the PostgreSQL database" in absent.stderr
    assert "Traceback" not in absent.stderr
    for arguments, said in (  # these are refused before anything is set up: without a process
        (("--processes", "3"), "one process"),
        (("--config", "/nowhere.toml"), "/nowhere.toml"),
        (("--retry-schedule", "soon"), "'soon' is not a whole number"),
    ):
        refused = in_process("serve", *arguments)
        assert refused.returncode == 2, arguments
        assert said in refused.stderr, arguments


def test_a_lost_master_key_is_never_replaced_by_a_new_one(
    first_life: FirstLife, tmp_path: Path
) -> None:
    data_dir = first_life.copied_to(tmp_path)
    (data_dir / "master.key").unlink()
    again = tillbell("serve", "--data-dir", str(data_dir), "--port", "0")
    assert again.returncode == 2
    assert "master.key back or set TILLBELL_MASTER_KEY" in again.stderr
    assert not (data_dir / "master.key").exists()


def test_a_file_that_is_no_database_is_told_before_the_lost_key(tmp_path: Path) -> None:
    (tmp_path / "tillbell.db").write_bytes(bytes(range(256)) * 64)
    refused = tillbell("serve", "--data-dir", str(tmp_path), "--port", "0")
    assert refused.returncode == 2
    assert "is not a database" in refused.stderr
    assert "master key" not in refused.stderr
    assert not (tmp_path / "master.key").exists()


def test_another_master_key_is_found_out_at_start(first_life: FirstLife, tmp_path: Path) -> None:
    folder = ("--data-dir", str(first_life.copied_to(tmp_path)))
    other = bytes(range(32)).hex()
    again = tillbell("serve", *folder, "--port", "0", "--dev", TILLBELL_MASTER_KEY=other)
    assert again.returncode == 2
    assert "was sealed under master key" in again.stderr
    assert "Traceback" not in again.stderr


def test_help_loads_neither_server_nor_crypto() -> None:
    listed = subprocess.run(
        [PROGRAM.replace("tillbell", "python"), "-X", "importtime", PROGRAM, "--help"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment(),
        check=True,
    )
    assert "serve" in listed.stdout
    for heavy in ("fastapi", "uvicorn", "cryptography", "pydantic", "apsw", "tillbell.app"):
        assert f" {heavy}\n" not in listed.stderr
