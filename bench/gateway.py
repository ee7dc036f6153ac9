"""Tillbell as a user starts it, and the few API calls that a measurement needs."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from bench import processes

ADMIN_KEY = "bench-admin-key-0123456789abcdef"
READY_S = 30.0
_POLL_S = 0.01


class Endpoint(NamedTuple):
    """An endpoint of the gateway: its id and the text of its signing secret."""

    id: str
    key: str


class Answer(NamedTuple):
    """One answer of the API."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body; an error status is a failed measurement."""
        if self.status >= 300:
            raise RuntimeError(f"{self.status}: {self.body[:500]!r}")
        return json.loads(self.body) if self.body else None


class GatewayProcess:
    """One `tillbell serve` on a data directory of its own; can be started again after a kill."""

    def __init__(
        self,
        data_dir: Path,
        *,
        environment: dict[str, str] | None = None,
        wrapper: Sequence[str] = (),
        program: Path | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.admin_key = ADMIN_KEY
        self.port = free_port()
        self.log = data_dir.with_name(data_dir.name + ".log")
        self._wrapper = list(wrapper)
        self._program = program or Path(sys.executable).with_name("tillbell")
        self.environment = {"TILLBELL_ADMIN_KEY": ADMIN_KEY, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def launch(self) -> None:
        """Start the process and do not wait."""
        options = ["--data-dir", str(self.data_dir), "--port", str(self.port), "--dev"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._wrapper, str(self._program), "serve", *options],
                env={**_inherited(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self) -> float:
        """Start it; return the seconds until it said that it is ready."""
        began = time.monotonic()
        self.launch()
        self.wait_ready(began + READY_S)
        return time.monotonic() - began

    def wait_ready(self, deadline: float) -> None:
        """Wait until `/readyz` answers 200; a process that ended is an error."""
        while not self.is_ready():
            if self.process is not None and self.process.poll() is not None:
                code = self.process.returncode
                raise RuntimeError(f"the gateway ended with {code}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the gateway is not ready:\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def is_ready(self) -> bool:
        """Tell whether the gateway says that it takes work."""
        try:
            return self.call("GET", "/readyz", timeout_s=5).status == 200
        except OSError:
            return False

    def log_tail(self) -> str:
        """Return the end of what it printed."""
        return self.log.read_text(errors="replace")[-4000:]

    def call(self, method: str, path: str, body: Any = None, *, timeout_s: float = 60.0) -> Answer:
        """Make one API call; `body` is bytes or will be JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout_s)) as link:
            link.request(method, path, data, headers)
            answer = link.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def application(self, name: str = "bench") -> str:
        """Make an application; return its id."""
        created = self.call("POST", "/api/v1/app", {"name": name}).json()
        return str(created["id"])

    def endpoint(self, app: str, url: str, **fields: Any) -> Endpoint:
        """Make an endpoint; return its id and key."""
        base = f"/api/v1/app/{app}/endpoint"
        created = self.call("POST", base, {"url": url, **fields}).json()
        key = self.call("GET", f"{base}/{created['id']}/secret").json()["key"]
        return Endpoint(created["id"], key)

    def stats(self, app: str, endpoint: str) -> dict[str, int]:
        """Return how many deliveries of the endpoint are in which state."""
        stats = self.call("GET", f"/api/v1/app/{app}/endpoint/{endpoint}/stats").json()
        return {name: value for name, value in stats.items() if isinstance(value, int)}

    def kill(self) -> None:
        """End it and all its children at once, with no chance to tidy up."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it as an operator would; return its exit code."""
        assert self.process is not None
        return processes.end(self.process)


def _inherited() -> dict[str, str]:
    """Return our environment without what would change how Python starts or runs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def free_port() -> int:
    """Return a port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
