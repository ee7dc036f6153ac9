"""The units, read by systemd's own checks and by the program's settings; and what they rely on."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import PROGRAM, environment
from tests.deploy.reading import DEPLOY, run, settings_from
from tests.patience import PATIENCE_S

UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
NAMES = [path.name for path in SERVICES]
PORT = "8431"
EXPOSURE = 1.5  # of 10, as systemd counts it; the network is what is left
SPECIFIERS = {"%S": "/var/lib", "%d": "/run/credentials", "%i": PORT}


def entries(path: Path) -> list[tuple[str, str]]:
    """Return what a unit says, each name as often as it is there."""
    lines = path.read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and line[0] not in "#["]
    return [(name, text) for name, _, text in pairs]


def told(path: Path, name: str) -> list[str]:
    """Return each word that a unit says under a name, with its specifiers filled in."""
    text = " ".join(text for found, text in entries(path) if found == name)
    for specifier, meant in SPECIFIERS.items():
        text = text.replace(specifier, meant)
    return shlex.split(text)


def environment_of(path: Path) -> dict[str, str]:
    """Return what a unit gives its program."""
    pairs = [word.partition("=") for word in told(path, "Environment")]
    return {name: text for name, _, text in pairs}


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units as an operator has them, with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze: install systemd")
    made = []
    for path in UNITS:
        made.append(tmp_path / path.name.replace("@.", f"@{PORT}."))
        made[-1].write_text(path.read_text().replace("/opt/tillbell/bin/tillbell", PROGRAM))
    return made


def test_systemd_finds_nothing_wrong(installed: list[Path]) -> None:
    found = run("systemd-analyze", "verify", "--man=no", *installed)
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)


def test_a_word_that_systemd_does_not_know_is_found(installed: list[Path]) -> None:
    (service,) = [path for path in installed if path.name == "tillbell.service"]
    service.write_text(service.read_text().replace("ProtectSystem", "ProtectSytem"))
    assert "ProtectSytem" in run("systemd-analyze", "verify", "--man=no", service).stderr


def test_a_service_is_exposed_as_little_as_can_be(installed: list[Path]) -> None:
    for service in [path for path in installed if path.suffix == ".service"]:
        judged = run("systemd-analyze", "security", "--offline=true", "--no-pager", service)
        found = re.search(r"Overall exposure level for \S+ ([\d.]+)", judged.stdout)
        assert found is not None, judged.stderr
        assert float(found[1]) <= EXPOSURE, judged.stdout


@pytest.mark.parametrize("path", SERVICES, ids=NAMES)
def test_what_a_unit_sets_are_settings(path: Path, tmp_path: Path) -> None:
    settings = settings_from(environment_of(path), tmp_path)
    (folder,) = told(path, "StateDirectory")
    assert settings.data_dir == Path("/var/lib") / folder
    assert int(*told(path, "TimeoutStopSec")) >= settings.drain_timeout_s + 10
    if "@" in path.name:
        assert settings.role == path.name.removeprefix("tillbell-").partition("@")[0]
        assert settings.port == int(PORT)
        assert settings.disk_reserve_mb == 0


@pytest.mark.parametrize("path", SERVICES, ids=NAMES)
def test_a_unit_has_the_credentials_that_it_reads_and_no_others(path: Path) -> None:
    read = {
        Path(text).name for name, text in environment_of(path).items() if name.endswith("_FILE")
    }
    assert {word.partition(":")[0] for word in told(path, "LoadCredential")} == read


def test_all_are_shut_in_alike() -> None:
    hardened = [
        path.read_text()
        .partition("# The process runs as a user of its own")[2]
        .partition("[Install]")[0]
        for path in SERVICES
    ]
    assert len(set(hardened)) == 1
    assert "DynamicUser=yes" in hardened[0]


@pytest.mark.slow
def test_who_connects_while_it_restarts_waits_and_is_answered(tmp_path: Path) -> None:
    """What `tillbell.socket` is for: the port belongs to systemd, and is handed on."""
    with socket.create_server(("127.0.0.1", 0)) as port:
        address = port.getsockname()[:2]
        first = start(tmp_path, port)
        assert httpx.get(f"http://{address[0]}:{address[1]}/livez").status_code == 200
        first.terminate()
        assert first.wait(PATIENCE_S) == 0
        with socket.create_connection(address) as early:
            early.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            second = start(tmp_path, port)
            early.settimeout(PATIENCE_S)
            assert early.recv(65_536).startswith(b"HTTP/1.1 200")
        second.terminate()
        assert second.wait(PATIENCE_S) == 0


def start(folder: Path, port: socket.socket) -> subprocess.Popen[bytes]:
    """Start it on a port that listens already, and wait until it says that it serves."""
    unit = environment_of(DEPLOY / "systemd" / "tillbell.service")
    here: Mapping[str, str] = {
        **unit,
        "TILLBELL_DATA_DIR": str(folder / "data"),
        "TILLBELL_LISTEN_FD": str(port.fileno()),
        "NOTIFY_SOCKET": str(folder / "notify"),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        (folder / "notify").unlink(missing_ok=True)
        ready.bind(here["NOTIFY_SOCKET"])
        ready.settimeout(PATIENCE_S)
        process = subprocess.Popen(
            [PROGRAM, "serve"],
            env=environment(**here),
            pass_fds=[port.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr,
        )
        assert ready.recv(4_096) == b"READY=1"
    return process
