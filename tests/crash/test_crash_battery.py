"""The battery itself: it runs, and it would notice."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import httpx
import pytest
from bench.gateway import GatewayProcess

from tests.crash import trace

ROOT = Path(__file__).resolve().parents[2]
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

WRITER = """
import apsw, os, sys
db = apsw.Connection(sys.argv[1])
db.execute("PRAGMA journal_mode=wal"); db.execute("PRAGMA synchronous=" + sys.argv[2])
db.execute("CREATE TABLE entry (number INTEGER)")
for number in range(50):
    db.execute("INSERT INTO entry VALUES (?)", (number,))
os._exit(0)
"""


def rows_after_cut(folder: Path, synchronous: str) -> int:
    """Write 50 rows, cut the power right after the last, and count what is left."""
    data = folder / "data"
    data.mkdir()
    program = [sys.executable, "-c", WRITER, str(data / "x.db"), synchronous]
    subprocess.run([*trace.wrapper(folder / "trace"), *program], check=True)
    disk = trace.Disk()
    for call in trace.read(folder / "trace", data):
        disk.take(call)
    disk.cut(data, folder / "cut", random.Random(1))
    connection = apsw.Connection(str(folder / "cut" / "x.db"))
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
    rows = next(iter(connection.execute("SELECT count(*) FROM entry")))[0] if tables else 0
    connection.close()
    return rows


@needs_strace
def test_a_power_cut_spares_what_was_synced(tmp_path: Path) -> None:
    assert rows_after_cut(tmp_path, "FULL") == 50


@needs_strace
def test_a_power_cut_takes_what_was_not_synced(tmp_path: Path) -> None:
    assert rows_after_cut(tmp_path, "NORMAL") < 50


@pytest.mark.slow
def test_the_kill_loop_holds_for_three_kills() -> None:
    command = [sys.executable, "-m", "tests.crash", "kill-loop", "--cycles", "3", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VIOLATION" not in done.stdout


@pytest.mark.slow
def test_a_file_whose_import_is_killed_is_written_as_a_whole(tmp_path: Path) -> None:
    rows = 2_500
    file = "uid,email\r\n" + "".join(f"c-{n},c{n}@shop.example\r\n" for n in range(rows))
    gateway = GatewayProcess(tmp_path / "data")
    gateway.start()
    try:
        app = gateway.application()
        task = _asked(gateway, "POST", f"/app/{app}/import/customers?onError=stop", file)
        path = f"/background-task/{json.loads(task)['id']}"
        while (state := json.loads(_asked(gateway, "GET", path)))["data"].get("created", 0) < 500:
            assert state["status"] == "running", state
        assert 500 <= state["data"]["created"] < rows
        canceled = gateway.call("POST", f"/api/v1{path}/cancel")
        assert canceled.status == 409, canceled
        gateway.kill()
        gateway.start()
        while json.loads(_asked(gateway, "GET", path))["status"] == "running":
            pass
        for kind, least in (("customers", rows), ("messages", rows)):
            lines = _asked(gateway, "GET", f"/app/{app}/export/{kind}?format=ndjson").splitlines()
            assert len(lines) == least, kind
    finally:
        gateway.stop()


def _asked(gateway: GatewayProcess, method: str, path: str, file: str | None = None) -> bytes:
    headers = {"Authorization": f"Bearer {gateway.admin_key}", "Content-Type": "text/csv"}
    url = f"http://127.0.0.1:{gateway.port}/api/v1{path}"
    answer = httpx.request(method, url, content=file, headers=headers, timeout=60)
    assert answer.is_success, answer.text
    return answer.content
