"""The real command in a process of its own, and a gateway run by it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.patience import PATIENCE_S
from tillbell.cli import client, run

PROGRAM = str(Path(sys.executable).with_name("tillbell"))


def environment(**more: str) -> dict[str, str]:
    """Return our environment without settings of ours, and with more."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TILLBELL_")}
    for common in ("PORT", "DATABASE_URL"):
        kept.pop(common, None)
    return {**kept, "COLUMNS": "200", **more}


def tillbell(*arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in this process if it can be.

    `serve` and `demo` have a process of their own, because they set how a process logs and what
    signals do.
    """
    is_alone = arguments[:1] in (("serve",), ("demo",))
    return (own_process if is_alone else in_process)(*arguments, stdin=stdin, **more)


def in_process(*arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in this process: another one takes half a second to start."""
    bytes_out, err, variables = io.BytesIO(), io.StringIO(), environment(**more)
    out = io.TextIOWrapper(bytes_out, "utf-8", write_through=True)
    with pytest.MonkeyPatch.context() as here, redirect_stdout(out), redirect_stderr(err):
        for name in {*os.environ} - {*variables}:
            here.delenv(name)
        for name, value in variables.items():
            here.setenv(name, value)
        here.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8"))
        here.setattr(client, "_TIMEOUT_S", PATIENCE_S)
        code = run(arguments)
    return subprocess.CompletedProcess(
        arguments, code, bytes_out.getvalue().decode(), err.getvalue()
    )


def own_process(*arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process of its own."""
    return subprocess.run(
        [PROGRAM, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment(**more),
        check=False,
    )


class Served(NamedTuple):
    """A `tillbell serve` that has said that it is up."""

    process: subprocess.Popen[str]
    data_dir: Path
    port: str
    said: str

    def environment(self, key: str) -> dict[str, str]:
        """Return what a command needs to talk to it."""
        return {"TILLBELL_ADMIN_KEY": key, "TILLBELL_PORT": self.port}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Tell it to stop; return the exit code and what it logged."""
        self.process.send_signal(number)
        _, logged = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, logged


def serve(data_dir: Path, **more: str) -> Served:
    """Start a gateway on a free port."""
    process = subprocess.Popen(
        [PROGRAM, "serve", "--data-dir", str(data_dir), "--port", "0", "--dev"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(TILLBELL_LOG_FORMAT="json", **more),
    )
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if line.startswith("  -H"):  # the last line of the welcome
            break
    found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
    if found is None:
        _, logged = process.communicate(timeout=PATIENCE_S)
        raise AssertionError(f"it did not start: {logged}")
    return Served(process, data_dir, found[1], said)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway that the tests of a file share: none of them stops it."""
    gateway = serve(tmp_path_factory.mktemp("running") / "data")
    yield gateway
    gateway.stop()
