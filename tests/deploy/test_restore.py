"""What the guide says of backups: put back, they serve what was accepted, with the same secrets."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from bench.postgres_server import PostgresServer, free_port, programs

from tests.cli.conftest import environment, serve, tillbell
from tests.deploy.reading import SECRETS, blocks

KEY = SECRETS["admin_key"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLawQ"
KEYS = {"TILLBELL_ADMIN_KEY": KEY, "TILLBELL_MASTER_KEY": SECRETS["master_key"]}


@contextmanager
def gateway(folder: Path, **more: str) -> Iterator[httpx.Client]:
    """A gateway, and who may do everything with its one application."""
    served = serve(folder, **{"TILLBELL_ADMIN_KEY": KEY, **more})
    headers = {"authorization": f"Bearer {KEY}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{served.port}/api/v1", headers=headers) as us:
            yield us
    finally:
        served.stop()


def use(us: httpx.Client) -> str:
    """Make an endpoint and publish a message that it cannot take; return the message's id."""
    url = f"http://127.0.0.1:{free_port()}/hooks"
    assert us.post("/app", json={"name": "Shop", "uid": "shop"}).status_code == 201
    endpoint = {"url": url, "uid": "main", "secret": SECRET}
    assert us.post("/app/shop/endpoint", json=endpoint).status_code == 201
    message = {"eventType": "order.paid", "payload": {"id": "1001", "amount": "149.99"}}
    made = us.post("/app/shop/msg", json=message)
    assert made.status_code == 202
    return str(made.json()["id"])


def assert_is_back(us: httpx.Client, message_id: str) -> None:
    """Everything is there: the message, its delivery that is open, the secret that opens."""
    assert us.get(f"/app/shop/msg/{message_id}").json()["payload"]["amount"] == "149.99"
    assert us.get("/app/shop/endpoint/main/secret").json() == {"key": SECRET}
    waiting = us.get("/app/shop/delivery", params={"endpoint_id": "main"}).json()["data"]
    assert [one["msgId"] for one in waiting] == [message_id]
    assert waiting[0]["state"] in ("waiting", "sending")
    assert httpx.get(us.base_url.join("/readyz")).status_code == 200


class BackedUp(NamedTuple):
    """A copy of the store of a gateway, the folder with its key, and a message in it."""

    copy: Path
    old: Path
    message_id: str


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> BackedUp:
    folder = tmp_path_factory.mktemp("backed_up")
    old, copy = folder / "old", folder / "copy.db"
    with gateway(old) as us:
        message_id = use(us)
        assert tillbell("backup", str(copy), "--data-dir", str(old)).returncode == 0
    return BackedUp(copy, old, message_id)


@pytest.mark.slow
def test_a_copy_of_sqlite_put_back_beside_its_key_is_the_gateway(
    backed_up: BackedUp, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir(0o700)
    shutil.copy(backed_up.copy, new / "tillbell.db")
    shutil.copy(backed_up.old / "master.key", new / "master.key")
    with gateway(new, TILLBELL_HOLD="true") as us:
        assert_is_back(us, backed_up.message_id)
        assert "held" in httpx.get(us.base_url.join("/readyz")).text
        assert us.get("/hold").json() == {"held": True}
        waiting = us.get("/delivery", params={"state": "waiting"}).json()["data"]
        assert [one["attempts"] for one in waiting] == [waiting[0]["attempts"]]
        environment = {"TILLBELL_ADMIN_KEY": KEY, "TILLBELL_PORT": str(us.base_url.port)}
        assert tillbell("release", **environment).returncode == 0
        assert us.get("/hold").json() == {"held": False}


@pytest.mark.slow
def test_a_copy_without_its_key_says_so_at_the_start(backed_up: BackedUp, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir(0o700)
    shutil.copy(backed_up.copy, new / "tillbell.db")
    other = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    refused = tillbell("serve", "--data-dir", str(new), TILLBELL_MASTER_KEY=other)
    assert refused.returncode == 2
    assert "sealed under master key" in refused.stderr


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of our own, whose databases belong to a role that owns nothing else."""
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL: install the dev dependencies")
    server = PostgresServer(found)
    server.execute("CREATE ROLE tillbell LOGIN")
    server.execute("CREATE DATABASE tillbell OWNER tillbell")
    yield server
    server.remove()


@pytest.mark.slow
def test_a_dump_of_postgresql_put_back_as_the_guide_says_is_the_gateway(
    server: PostgresServer, tmp_path: Path
) -> None:
    url = server.url("tillbell").replace("postgres@", "tillbell@")
    with gateway(tmp_path / "old", DATABASE_URL=url, **KEYS) as us:
        message_id = use(us)
    (script,) = [one for one in blocks() if "pg_dump" in one]
    script = re.sub(r"postgresql://\S+", url, script)
    found = programs()
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres"}
    subprocess.run(
        ["sh", "-ec", script],
        cwd=tmp_path,
        env=environment(PATH=f"{found}:/usr/bin:/bin", **where),
        check=True,
    )
    restored = server.url("restored").replace("postgres@", "tillbell@")
    with gateway(tmp_path / "new", DATABASE_URL=restored, **KEYS) as us:
        assert_is_back(us, message_id)


@pytest.mark.slow
def test_a_restored_database_sends_nothing_without_a_worker(
    server: PostgresServer, tmp_path: Path
) -> None:
    url = server.url("tillbell").replace("postgres@", "tillbell@")
    with gateway(tmp_path / "api", DATABASE_URL=url, TILLBELL_ROLE="api", **KEYS) as us:
        message_id = use(us)
        assert_is_back(us, message_id)
        attempts = us.get(f"/app/shop/attempt/msg/{message_id}").json()["data"]
    assert attempts == []
