"""A network of its own for the database, with one line to each process, that can be cut.

A line is cut in one direction or both by addressing what goes that way to a machine that is not
there: it is swallowed, without a word to anybody, as by a firewall that drops. Needs root, and
leaves nothing behind: all of it goes with the process that holds the network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from enum import Enum
from typing import Self

from bench import processes

_NOBODY = "02:00:00:00:00:99"
NEEDED = ("ip", "unshare", "nsenter")


class CutDirection(Enum):
    """Which direction of a line."""

    TO_SERVER = "to the server"
    FROM_SERVER = "from the server"


BOTH = (CutDirection.TO_SERVER, CutDirection.FROM_SERVER)


def is_possible() -> bool:
    """Tell whether networks can be made here."""
    return os.geteuid() == 0 and all(shutil.which(tool) for tool in NEEDED)


class Network:
    """The network that the database lives in, and its lines."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._tag = f"tb{os.getpid()}n"

    def __enter__(self) -> Self:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.write(b"\n")
        self._holder.stdin.flush()
        self._holder.stdout.readline()  # cat runs: so it has its network by now
        self._inside("ip", "link", "set", "lo", "up")
        for number in range(self._lines):
            self._lay(number)
        return self

    def __exit__(self, *_: object) -> None:
        for line in range(self._lines):  # the kernel would do it some time after the process's end
            _run("ip", "link", "delete", self._outer(line))
        for stream in (self._holder.stdin, self._holder.stdout):
            assert stream is not None
            stream.close()
        processes.end(self._holder)

    @property
    def wrapper(self) -> list[str]:
        """Return how a command is run in the network."""
        return ["nsenter", "--target", str(self._holder.pid), "--net"]

    def address(self, line: int) -> str:
        """Return the database's address at the end of a line."""
        return f"10.77.{line}.2"

    def cut(self, *lines: int, ways: tuple[CutDirection, ...] = BOTH) -> None:
        """Swallow what goes over the lines."""
        for line in lines:
            if CutDirection.TO_SERVER in ways:
                _run(*_neighbour("replace", f"10.77.{line}.2", self._outer(line)))
            if CutDirection.FROM_SERVER in ways:
                self._inside(*_neighbour("replace", f"10.77.{line}.1", self._inner(line)))

    def heal(self, *lines: int) -> None:
        """Let everything pass again."""
        for line in lines:
            outer, inner = self._outer(line), self._inner(line)
            _run("ip", "neigh", "flush", "dev", outer, "nud", "permanent")
            self._inside("ip", "neigh", "flush", "dev", inner, "nud", "permanent")

    def _lay(self, line: int) -> None:
        outer, inner = self._outer(line), self._inner(line)
        peer = ("peer", "name", inner, "netns", str(self._holder.pid))
        _run("ip", "link", "add", outer, "type", "veth", *peer)
        _run("ip", "address", "add", f"10.77.{line}.1/24", "dev", outer)
        _run("ip", "link", "set", outer, "up")
        self._inside("ip", "address", "add", f"10.77.{line}.2/24", "dev", inner)
        self._inside("ip", "link", "set", inner, "up")

    def _outer(self, line: int) -> str:
        return f"{self._tag}{line}"

    def _inner(self, line: int) -> str:
        return f"{self._tag}{line}i"

    def _inside(self, *command: str) -> None:
        _run(*self.wrapper, *command)


def _neighbour(action: str, address: str, device: str) -> list[str]:
    options = ["lladdr", _NOBODY, "nud", "permanent"]
    return ["ip", "neigh", action, address, *options, "dev", device]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
