"""`tillbell serve --processes`: one port, several processes, each replaced when it dies."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.conftest import PROGRAM, environment, serve, tillbell
from tests.patience import PATIENCE_S

KEY = "tb_fleet_key_0123456789abcdefghij"


class Supervisor:
    """A supervisor and what it said."""

    def __init__(self, folder: Path, url: str, *arguments: str, **more: str) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--data-dir", str(folder), "--port", "0", "--dev", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(
                **{"TILLBELL_LOG_FORMAT": "json", "TILLBELL_ADMIN_KEY": KEY, **more},
                DATABASE_URL=url,
            ),
        )
        self.said: list[str] = []
        found = re.search(r":(\d+)$", self.read_until(r"· \d+ processes ·"))
        assert found is not None
        self.url = f"http://127.0.0.1:{found[1]}"

    def read_until(self, pattern: str) -> str:
        """Read lines until one matches; the test's timeout ends a wait for ever."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if re.search(pattern, line):
                return line.rstrip()
        raise AssertionError("\n".join(self.said))

    def accepted(self) -> dict[str, float]:
        """Return how many messages each process says it took, whichever is asked."""
        page = httpx.get(f"{self.url}/metrics").text
        return {
            sample.labels["process"]: sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == "tillbell_ingest_requests_total"
            and sample.labels["outcome"] == "accepted"
        }

    def children(self) -> list[int]:
        """Return the processes that serve."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def stop(self) -> int:
        """Stop it in order."""
        self.process.send_signal(signal.SIGTERM)
        rest, _ = self.process.communicate(timeout=PATIENCE_S)
        self.said += rest.splitlines()
        return self.process.returncode


@pytest.mark.slow
def test_two_processes_answer_on_one_port_one_that_dies_is_replaced_and_all_stop_in_order(
    tmp_path: Path, empty_database: Callable[[], str]
) -> None:
    fleet = Supervisor(tmp_path / "data", empty_database(), "--processes", "2")
    try:
        for _ in range(2):
            fleet.read_until("server.started")
        assert_both_take_messages(fleet)
        assert_a_dead_one_is_replaced(fleet)
    finally:
        code = fleet.stop()
    assert code == 0
    stopped = [line for line in fleet.said if "server.stopped" in line]
    assert len(stopped) == 2


def assert_both_take_messages(fleet: Supervisor) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    made = httpx.post(f"{fleet.url}/api/v1/app", json={"name": "shop"}, headers=headers)
    assert made.status_code == 201
    path = f"{fleet.url}/api/v1/app/{made.json()['id']}/msg"
    for number in range(20):
        body = {"eventType": "order.paid", "payload": {"n": number}}
        assert httpx.post(path, json=body, headers=headers).status_code == 202

    assert len(fleet.children()) == 2
    while sum(fleet.accepted().values()) < 20:
        assert fleet.process.poll() is None
    assert set(fleet.accepted()) == {"0", "1"}


def assert_a_dead_one_is_replaced(fleet: Supervisor) -> None:
    before = fleet.children()
    os.kill(before[0], signal.SIGKILL)
    died = fleet.read_until("process.died")
    fleet.read_until("server.started")

    assert json.loads(died)["code"] == -signal.SIGKILL
    assert len(set(fleet.children()) - set(before)) == 1
    assert httpx.get(f"{fleet.url}/livez").status_code == 200


def test_one_that_cannot_start_ends_all_with_its_reason(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    refused = tillbell(
        "serve", "--data-dir", str(tmp_path), "--port", "0", "--processes", "2", DATABASE_URL=url
    )
    assert refused.returncode == 2
    assert "Cannot use the PostgreSQL database" in refused.stderr + refused.stdout


@pytest.mark.slow
def test_it_says_that_it_serves_when_all_its_processes_do(
    tmp_path: Path, empty_database: Callable[[], str]
) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(address)
        told.settimeout(PATIENCE_S)
        flags = ("--processes", "2")
        fleet = Supervisor(tmp_path / "data", empty_database(), *flags, NOTIFY_SOCKET=address)
        try:
            assert told.recv(4_096) == b"READY=1"
            assert len(fleet.children()) == 2
        finally:
            assert fleet.stop() == 0


@pytest.mark.slow
def test_a_worker_without_the_admin_key_leaves_it_as_it_is(
    tmp_path: Path, empty_database: Callable[[], str]
) -> None:
    url = empty_database()
    api = Supervisor(tmp_path / "api", url, "--processes", "2", "--role", "api")
    api.read_until("server.started")
    worker = Supervisor(
        tmp_path / "w", url, "--processes", "2", "--role", "worker", TILLBELL_ADMIN_KEY=""
    )
    try:
        for fleet in (api, worker, worker):
            fleet.read_until("server.started")
        headers = {"authorization": f"Bearer {KEY}"}
        assert httpx.get(f"{api.url}/api/v1/app", headers=headers).status_code == 200
        assert not [line for line in worker.said if "admin key" in line]
        assert_serves_only_how_it_is(worker.url)
    finally:
        assert (worker.stop(), api.stop()) == (0, 0)


def test_a_worker_serves_how_it_is_and_nothing_else(
    tmp_path: Path, empty_database: Callable[[], str]
) -> None:
    worker = serve(
        tmp_path / "data",
        DATABASE_URL=empty_database(),
        TILLBELL_ROLE="worker",
        TILLBELL_ADMIN_KEY=KEY,
    )
    try:
        assert_serves_only_how_it_is(f"http://127.0.0.1:{worker.port}")
    finally:
        code, _ = worker.stop()
    assert code == 0


def assert_serves_only_how_it_is(url: str) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    assert httpx.get(f"{url}/readyz").status_code == 200
    assert httpx.get(f"{url}/api/v1/app", headers=headers).status_code == 404
