"""The compose file, read without an engine: it is one, services are shut in, settings are known."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import compose_spec
import psycopg
import pytest
from bench.postgres_server import PostgresServer, programs

from tests.deploy.reading import DEPLOY, SECRETS, image_environment, load_yaml, settings_from

PRESET = re.compile(r"\$\{\w+:-([^}]*)\}")  # what stands where the operator has set nothing
FILE = load_yaml(PRESET.sub(r"\1", (DEPLOY / "compose.yaml").read_text()))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name: one for name, one in SERVICES.items() if name != "postgres"}


def seconds(text: str) -> int:
    """Read a time as compose writes it."""
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """Return what its program is given."""
    given = {name: text or "" for name, text in service["environment"].items()}
    return {**image_environment(), **given}


def test_it_is_a_compose_file() -> None:
    read = compose_spec.PyCompose.from_json(json.dumps(FILE))
    read.validate()
    assert set(read.service_names()) == {"api", "worker", "postgres"}


@pytest.mark.parametrize("wrong", [{"read-only": True}, {"networks": ["nowhere"]}])
def test_what_compose_would_refuse_is_found(wrong: dict[str, Any]) -> None:
    services = {**SERVICES, "postgres": {**SERVICES["postgres"], **wrong}}
    with pytest.raises(ValueError, match=r"read-only|nowhere"):
        compose_spec.PyCompose.from_json(json.dumps({**FILE, "services": services})).validate()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_shut_in(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert service.get("privileged", False) is False
    assert service.get("user", "10001").split(":")[0] not in ("0", "root")


@pytest.mark.parametrize("name", OURS)
def test_what_a_service_is_given_are_settings(name: str, tmp_path: Path) -> None:
    settings = settings_from(environment_of(OURS[name]), tmp_path)
    assert settings.role == name
    assert settings.database_url == SECRETS["database_url"]
    assert settings.master_key is not None
    assert seconds(OURS[name]["stop_grace_period"]) >= settings.drain_timeout_s + 10


@pytest.mark.parametrize("name", OURS)
def test_the_small_place_for_files_is_not_taken_for_a_full_disk(name: str, tmp_path: Path) -> None:
    settings = settings_from(environment_of(OURS[name]), tmp_path)
    places = [place.split(":")[0] for place in OURS[name]["tmpfs"]]
    assert str(settings.data_dir) in places
    assert settings.disk_reserve_mb == 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_the_secrets_that_it_reads_and_no_others(name: str) -> None:
    read = {
        Path(text).name
        for variable, text in SERVICES[name]["environment"].items()
        if variable.endswith("_FILE")
    }
    if name == "postgres":
        read.add("database_password")  # by role.sh
    assert set(SERVICES[name]["secrets"]) == read
    assert read <= set(FILE["secrets"])


def test_no_secret_is_written_down() -> None:
    for service in SERVICES.values():
        assert not [name for name in service["environment"] if re.search("KEY$|PASSWORD$", name)]


def test_the_database_is_reached_by_us_only() -> None:
    assert FILE["networks"]["store"]["internal"] is True
    assert SERVICES["postgres"]["networks"] == ["store"]
    assert "ports" not in SERVICES["postgres"]
    assert SERVICES["api"]["ports"] == ["127.0.0.1:8420:8420"]


def test_secrets_are_made_once_and_fit(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets"
    script.write_text((DEPLOY / "make-secrets").read_text())
    for _ in range(2):
        subprocess.run(["sh", script], check=True)
        made = {path.name: path.read_text().strip() for path in (tmp_path / "secrets").iterdir()}
        first = made
    assert made == first
    assert set(made) == set(FILE["secrets"])
    assert made["database_password"] in made["database_url"]
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    environment = {name.upper(): made[name] for name in ("database_url", "master_key", "admin_key")}
    ours = {f"TILLBELL_{name}": text for name, text in environment.items()}
    settings = settings_from({**ours, "TILLBELL_DATA_DIR": str(tmp_path)}, tmp_path)
    assert settings.database_url.endswith("@postgres/tillbell")


def test_the_role_owns_its_database_and_nothing_else(tmp_path: Path) -> None:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL: install the dev dependencies")
    password = tmp_path / "password"
    password.write_text("it's a 'canary'\n")
    server = PostgresServer(found)
    try:
        environment = {
            "PATH": f"{found}:/usr/bin:/bin",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "DATABASE_PASSWORD_FILE": str(password),
        }
        script = str(DEPLOY / "postgres" / "role.sh")
        subprocess.run(["sh", script], env=environment, check=True, capture_output=True)
        query = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolpassword LIKE 'SCRAM-SHA-256$%' "
        assert server.execute(query + "FROM pg_authid WHERE rolname = 'tillbell'") == [
            (False, False, False, True)
        ]
        url = server.url("tillbell").replace("postgres@", "tillbell@")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE mine (id int)")
    finally:
        server.remove()
