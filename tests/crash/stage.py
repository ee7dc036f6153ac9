"""What the batteries share: the product with its receivers, and looking into its file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

import apsw
from bench.gateway import GatewayProcess
from bench.processes import Child

from tests.crash import truth
from tests.crash.accounts import ApiRecords
from tests.crash.truth import ReceiverLine

SCHEDULE = "1,2,4,8,15,30"  # seconds: retries happen within a run, and some run out
QUIET_S = 300.0  # in which one delivery at least must end
_POLL_S = 0.25


class Stage:
    """A product with an application, four good endpoints and a flaky one."""

    def __init__(
        self,
        folder: Path,
        *,
        data_dir: Path | None = None,
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder = folder
        self.truth_log = folder / "truth.jsonl"
        self.gateway = GatewayProcess(
            data_dir or folder / "data",
            environment={"TILLBELL_RETRY_SCHEDULE": SCHEDULE, **environment},
            wrapper=wrapper,
        )
        self.endpoints: list[str] = []

    def __enter__(self) -> Self:
        self.receiver = Child("tests.crash.truth", str(self.truth_log))
        self.port = self.receiver.heard()["port"]
        return self

    def __exit__(self, *_: object) -> None:
        process = self.gateway.process
        if process is not None and process.poll() is None:
            self.gateway.kill()
        self.receiver.end()

    def furnish(self, behaviours: Sequence[str] = ("ok", "ok", "ok", "ok", "flaky")) -> str:
        """Make the application and its endpoints; return the application's id."""
        self.app = self.gateway.application("crash")
        made = [
            self.gateway.endpoint(self.app, f"http://127.0.0.1:{self.port}/{behaviour}/{number}")
            for number, behaviour in enumerate(behaviours)
        ]
        self.endpoints = [endpoint.id for endpoint in made]
        self.receiver.ask(keys=[endpoint.key for endpoint in made])
        return self.app

    def quiesce(self) -> float:
        """Heal the receivers, wait until nothing is pending; return the seconds it took."""
        self.receiver.ask(heal=True)
        began = moved = time.monotonic()
        least = self.pending()
        while least > 0:
            if time.monotonic() - moved > QUIET_S:
                raise RuntimeError(f"{least} deliveries are still open\n{self.gateway.log_tail()}")
            time.sleep(_POLL_S)
            if (open_ := self.pending()) < least:
                least, moved = open_, time.monotonic()
        return time.monotonic() - began

    def pending(self) -> int:
        """Count the deliveries that have not ended."""
        stats = [self.gateway.stats(self.app, endpoint) for endpoint in self.endpoints]
        return sum(one["pending"] + one["sending"] for one in stats)

    def lines(self) -> list[ReceiverLine]:
        """Return the receiver's account so far."""
        self.receiver.ask()
        return truth.read(self.truth_log)

    def account(self) -> ApiRecords:
        """Return the product's account."""
        return ApiRecords().read(self.gateway, self.app, self.endpoints)


def copy_store(data_dir: Path, target: Path) -> Path:
    """Copy the files of a process that is dead; opening the originals would repair them."""
    shutil.copytree(data_dir, target)
    return target


def integrity(data_dir: Path) -> str:
    """Let SQLite check the database in a folder; "ok" or what is wrong."""
    path = next(data_dir.glob("*.db"), None)
    if path is None:
        return "ok"  # killed before the first write
    connection = apsw.Connection(str(path))
    try:
        rows = list(connection.execute("PRAGMA integrity_check"))
    except apsw.Error as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return "\n".join(str(row[0]) for row in rows)
