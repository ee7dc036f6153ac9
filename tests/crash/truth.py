"""The receiver's account: a process that writes one line for every request it gets.

A line is `[at_ns, endpoint, message id, sha256 of the body, signed, answer, sender, stamp]`:
by the machine's monotonic clock; the stamp is the signature's, in seconds since 1970. `/ok/<n>`
answers 200. `/flaky/<n>` fails in turn: 500, a connection reset without an answer, a slow 200, a
quick 200; the command `heal` makes it ok. The log is a file of our own, never fsynced: this
process is not the one that dies.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from bench.receiving import OK, Inbound

from bench import receiving

_ERROR = b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"
SLOW_S = 2.0


class ReceiverLine(NamedTuple):
    """One request as the receiver saw it; `answer` 0 is a reset."""

    at_ns: int
    endpoint: int
    message_id: str
    sha256: str
    signed: bool
    answer: int
    sender: str = ""  # its User-Agent
    stamped_s: int = 0


class _Log:
    def __init__(self, path: str) -> None:
        self.file = Path(path).open("w")  # noqa: SIM115 - open as long as the process
        self.keys: list[bytes] = []
        self.healthy = False
        self.turn = 0

    def write(self, endpoint: int, head: bytes, body: bytes, answer: int) -> None:
        values = receiving.headers(head)
        signed = receiving.is_signed(self.keys[endpoint], values, body)
        digest = hashlib.sha256(body).hexdigest()
        line = ReceiverLine(
            time.monotonic_ns(),
            endpoint,
            values[b"webhook-id"].decode(),
            digest,
            signed,
            answer,
            values[b"user-agent"].decode(),
            int(values[b"webhook-timestamp"]),
        )
        self.file.write(json.dumps(line) + "\n")

    def next_fault(self) -> int:
        self.turn += 1
        return self.turn % 4

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        if "keys" in command:
            self.keys = receiving.keys(command["keys"])
        self.healthy = self.healthy or "heal" in command
        self.file.flush()
        return {"turn": self.turn}


class _Connection(Inbound):
    def __init__(self, log: _Log) -> None:
        super().__init__()
        self.log = log

    def answer(self, head: bytes, body: bytes) -> None:
        behaviour, endpoint = receiving.target(head)
        fault = self.log.next_fault() if behaviour == b"flaky" and not self.log.healthy else 3
        if fault == 0:
            self.transport.write(_ERROR)
        elif fault == 1:
            self.transport.abort()
        elif fault == 2:
            self.write_later(SLOW_S, OK)
        else:
            self.transport.write(OK)
        self.log.write(endpoint, head, body, (500, 0, 200, 200)[fault])


def read(path: Path) -> list[ReceiverLine]:
    """Read the whole account."""
    return [ReceiverLine(*json.loads(line)) for line in path.read_text().splitlines()]


def main() -> None:
    """Serve until standard input ends; the argument is the log's path."""
    log = _Log(sys.argv[1])
    uvloop.run(receiving.serve(lambda: _Connection(log), log.obey))


if __name__ == "__main__":
    main()
