"""The receiver: one process that takes deliveries and remembers each.

For every message and endpoint it keeps the instant its first copy was answered;
it counts further copies, bodies that differ from what was sent, and signatures that
do not fit. About 10 µs of CPU per request.

Run as `python -m bench.receiver '<ReceiverPlan as JSON>'`. Prints its port, then obeys
one JSON command a line (`keys`, `count`, `save`); it ends when its input does, so it
never outlives the orchestrator. Targets are `/ok/<endpoint>` and `/hang/<endpoint>`.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import sys
import time
from array import array
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench.message import sequence_of

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_LENGTH = b"\r\ncontent-length:"


@dataclass(frozen=True)
class ReceiverPlan:
    """How much to remember and how to behave."""

    messages: int = 1_000_000
    endpoints: int = 1
    verify_every: int = 16  # check the signature of one request in so many; 0: of none
    hang_s: float = 30.0

    def dumped(self) -> str:
        """Write the plan as the program's argument."""
        return json.dumps(asdict(self))


class Ledger:
    """What arrived."""

    def __init__(self, plan: ReceiverPlan) -> None:
        self.plan = plan
        self.arrived = array("q", bytes(8 * plan.messages * plan.endpoints))
        self.keys: list[bytes] = []
        self.requests = self.distinct = self.again = 0
        self.altered = self.forged = self.verified = 0

    def record(self, endpoint: int, head: bytes, body: bytes) -> None:
        """Enter one request whose answer has just been written."""
        self.requests += 1
        sequence = sequence_of(body)
        if not 0 <= sequence < self.plan.messages or endpoint >= self.plan.endpoints:
            self.altered += 1
            return
        place = sequence * self.plan.endpoints + endpoint
        if self.arrived[place]:
            self.again += 1
        else:
            self.arrived[place] = time.monotonic_ns()
            self.distinct += 1
        every = self.plan.verify_every
        if every and self.requests % every == 0:
            self._verify(self.keys[endpoint], head, body)

    def _verify(self, key: bytes, head: bytes, body: bytes) -> None:
        """Check one signature by the Standard Webhooks rule, written out independently."""
        self.verified += 1
        values = _headers(head)
        signed = b"%s.%s.%s" % (values[b"webhook-id"], values[b"webhook-timestamp"], body)
        expected = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
        if expected not in values[b"webhook-signature"].split(b" "):
            self.forged += 1

    def counts(self) -> dict[str, int]:
        """Return all counters."""
        names = ("requests", "distinct", "again", "altered", "forged", "verified")
        return {name: getattr(self, name) for name in names}


def _headers(head: bytes) -> dict[bytes, bytes]:
    pairs = (line.split(b":", 1) for line in head.split(b"\r\n")[1:])
    return {name.lower(): value.strip() for name, value in pairs}


class _Connection(asyncio.Protocol):
    """One connection of the gateway; requests come one after the other."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.rest = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        data = self.rest + data if self.rest else data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:end]
            total = end + 4 + _body_length(head)
            if len(data) < total:
                break
            self._answer(head, data[end + 4 : total])
            data = data[total:]
        self.rest = data

    def _answer(self, head: bytes, body: bytes) -> None:
        behaviour, endpoint = _target(head)
        if behaviour == b"hang":
            hang_s = self.ledger.plan.hang_s
            asyncio.get_running_loop().call_later(hang_s, self.transport.write, _OK)
        else:
            self.transport.write(_OK)
        self.ledger.record(endpoint, head, body)


def _body_length(head: bytes) -> int:
    folded = head.lower()
    start = folded.find(_LENGTH)
    if start < 0:
        return 0
    end = folded.find(b"\r", start + 2)
    return int(folded[start + len(_LENGTH) : end if end > 0 else None])


def _target(head: bytes) -> tuple[bytes, int]:
    """Split `POST /ok/3 HTTP/1.1` into behaviour and endpoint."""
    path = head[6 : head.find(b" ", 6)]
    behaviour, _, endpoint = path.partition(b"/")
    return behaviour, int(endpoint)


def _obey(ledger: Ledger, command: dict[str, Any]) -> dict[str, int]:
    if "keys" in command:
        texts = (key.removeprefix("whsec_") for key in command["keys"])
        ledger.keys = [base64.b64decode(text) for text in texts]
    if "save" in command:
        with Path(command["save"]).open("wb") as file:
            ledger.arrived.tofile(file)
    return ledger.counts()


async def _serve(plan: ReceiverPlan) -> None:
    loop = asyncio.get_running_loop()
    ledger = Ledger(plan)
    server = await loop.create_server(lambda: _Connection(ledger), "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    ended = asyncio.Event()
    pending = bytearray()

    def read_commands() -> None:
        data = os.read(0, 65536)
        if not data:
            ended.set()
        pending.extend(data)
        while (end := pending.find(b"\n")) >= 0:
            command = json.loads(pending[:end])
            del pending[: end + 1]
            print(json.dumps(_obey(ledger, command)), flush=True)

    loop.add_reader(0, read_commands)
    await ended.wait()
    server.close()


def main() -> None:
    """Serve until standard input ends."""
    uvloop.run(_serve(ReceiverPlan(**json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
