"""The receiver: one process that takes deliveries and remembers each.

For every message and endpoint it keeps the instant its first copy was answered;
it counts further copies, bodies that differ from what was sent, and signatures that
do not fit.

Run as `python -m bench.receiver '<ReceiverPlan as JSON>'`. Prints its port, then obeys
one JSON command a line (`keys`, `save`; each answers with the counters); it ends when
its input does, so it never outlives the orchestrator. Targets are `/ok/<endpoint>`
and `/hang/<endpoint>`.
"""

from __future__ import annotations

import json
import sys
import time
from array import array
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench import receiving
from bench.message import sequence_of
from bench.receiving import OK, Inbound


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
            self.verified += 1
            signed = receiving.is_signed(self.keys[endpoint], receiving.headers(head), body)
            self.forged += not signed

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do what one command says; answer with all counters."""
        if "keys" in command:
            self.keys = receiving.keys(command["keys"])
        if "save" in command:
            with Path(command["save"]).open("wb") as file:
                self.arrived.tofile(file)
        names = ("requests", "distinct", "again", "altered", "forged", "verified")
        return {name: getattr(self, name) for name in names}


class _ReceiverConnection(Inbound):
    """One connection of the gateway."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def answer(self, head: bytes, body: bytes) -> None:
        behaviour, endpoint = receiving.target(head)
        if behaviour == b"hang":
            self.write_later(self.ledger.plan.hang_s, OK)
        else:
            self.transport.write(OK)
        self.ledger.record(endpoint, head, body)


def main() -> None:
    """Serve until standard input ends."""
    ledger = Ledger(ReceiverPlan(**json.loads(sys.argv[1])))
    uvloop.run(receiving.serve(lambda: _ReceiverConnection(ledger), ledger.obey))


if __name__ == "__main__":
    main()
