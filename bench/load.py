"""The load generator: one process that publishes messages as fast as asked.

Closed loop (`rate` 0): each connection sends its next message when the last one was
answered, which finds the highest throughput. Open loop: message *i* is due at
`start + i / rate` whatever the gateway does, and its latency counts from then, so a
stall is charged to every message it delayed (no coordinated omission).

About 10 µs of CPU per request. Run as `python -m bench.load '<LoadPlan as JSON>'`;
prints one JSON line when done and leaves two arrays of monotonic nanoseconds by
sequence number, `due.bin` and `accepted.bin` (0: not accepted), in `out`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from array import array
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httptools
import uvloop

from bench.message import BODY_BYTES, around_sequence
from bench.ticker import NANOS, Ticker

RETRY_PAUSE_S = 0.01  # after a refusal: a producer that is told to wait does wait
GRACE_S = 30.0  # for the answers that are out when sending ends
MIN_TICK_NS = 200_000


@dataclass(frozen=True)
class LoadPlan:
    """What to send, where, how fast and how long."""

    port: int
    path: str
    key: str
    out: str
    connections: int = 128
    seconds: float = 5.0
    messages: int = 1_000_000  # never more than these
    rate: int = 0  # a second; 0: closed loop
    lanes: list[str] = field(default_factory=list)  # message i goes to channel lanes[i % len]
    first: int = 0  # number of the first message; the arrays begin with it
    varied: bool = False  # headers that differ in every request, as those of a traced client

    def dumped(self) -> str:
        """Write the plan as the program's argument."""
        return json.dumps(asdict(self))


def _templates(plan: LoadPlan) -> list[tuple[bytes, bytes, bytes]]:
    """Return the fixed headers, and the bytes before and after the number, for each lane."""
    return [_template(plan, lane) for lane in plan.lanes or [""]]


def _template(plan: LoadPlan, lane: str) -> tuple[bytes, bytes, bytes]:
    channels = b',"channels":["%s"]' % lane.encode() if lane else b""
    opening = b'{"eventType":"order.paid"' + channels + b',"payload":'
    head = (
        f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n"
        f"Authorization: Bearer {plan.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(opening) + BODY_BYTES + 1}\r\n"
    ).encode()
    return head, *around_sequence(b"\r\n" + opening, b"}")


def _varied_headers(sequence: int) -> bytes:
    """Return headers that no other request has: a trace and its time."""
    trace = (sequence + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128)
    sent_at = b"%d" % time.time_ns()
    return b"traceparent: 00-%032x-%016x-01\r\nX-Sent-At: %b\r\n" % (
        trace,
        (sequence + 1) * 0x9E3779B97F4A7C15 % (1 << 64),
        sent_at,
    )


class _LoadConnection(asyncio.Protocol):
    """One kept-alive connection with at most one request out."""

    def __init__(self, run: _LoadRun) -> None:
        self.run = run
        self.sequence = -1
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.run.answered(self, self.parser.get_status_code())

    def connection_lost(self, _exc: Exception | None) -> None:
        self.run.lost(self)

    def send(self, sequence: int) -> None:
        self.sequence = sequence
        self.transport.write(self.run.request(sequence))


class _LoadRun:
    """One load, from the first message to the last answer."""

    def __init__(self, plan: LoadPlan) -> None:
        self.plan = plan
        self.templates = _templates(plan)
        self.due = array("q", bytes(8 * plan.messages))
        self.accepted = array("q", bytes(8 * plan.messages))
        self.refused: Counter[int] = Counter()
        self.broken = 0
        self.next = plan.first
        self.out = 0
        self.ending = False
        self.idle: deque[_LoadConnection] = deque()
        self.backlog: deque[int] = deque()  # due, but every connection is busy
        self.ended = asyncio.Event()
        self.cpu_s = 0.0

    def request(self, sequence: int) -> bytes:
        head, before, after = self.templates[sequence % len(self.templates)]
        varied = _varied_headers(sequence) if self.plan.varied else b""
        return b"%s%s%s%010d%s" % (head, varied, before, sequence, after)

    def answered(self, connection: _LoadConnection, status: int) -> None:
        if status // 100 == 2:
            self.accepted[connection.sequence] = time.monotonic_ns()
            self.out -= 1
            self._go_on(connection)
            return
        self.refused[status] += 1
        again = (connection, connection.sequence)
        asyncio.get_running_loop().call_later(RETRY_PAUSE_S, self._retry, *again)

    def _retry(self, connection: _LoadConnection, sequence: int) -> None:
        if not connection.transport.is_closing():
            connection.send(sequence)

    def lost(self, connection: _LoadConnection) -> None:
        """Count a connection that ended; what it carried stays unacknowledged."""
        if not self.ending or self.out:
            self.broken += 1
            self.out -= connection.sequence >= 0
            self._check_end()

    def _go_on(self, connection: _LoadConnection) -> None:
        if self.plan.rate:
            if self.backlog:
                self._post(connection, self.backlog.popleft())
            else:
                self.idle.append(connection)
        elif not self.ending and self.next < self.plan.messages:
            self.due[self.next] = time.monotonic_ns()
            self._post(connection, self._take())
        self._check_end()

    def _take(self) -> int:
        self.next += 1
        return self.next - 1

    def _post(self, connection: _LoadConnection, sequence: int) -> None:
        self.out += 1
        connection.send(sequence)

    def _check_end(self) -> None:
        all_sent = self.ending or self.next >= self.plan.messages
        if all_sent and not self.out and not self.backlog:
            self.ended.set()

    def release_due(self, started: int) -> None:
        """Send every message whose instant has come (open loop)."""
        rate, now = self.plan.rate, time.monotonic_ns()
        first = self.plan.first
        until = min(first + (now - started) * rate // NANOS + 1, self.plan.messages)
        while self.next < until and not self.ending:
            sequence = self._take()
            self.due[sequence] = started + (sequence - first) * NANOS // rate
            if self.idle:
                self._post(self.idle.popleft(), sequence)
            else:
                self.backlog.append(sequence)

    def stop(self) -> None:
        self.ending = True
        self._check_end()


async def _connect(run: _LoadRun) -> list[_LoadConnection]:
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(run.plan.connections):
        _, protocol = await loop.create_connection(
            lambda: _LoadConnection(run), "127.0.0.1", run.plan.port
        )
        made.append(protocol)
    return made


async def _drive(run: _LoadRun) -> None:
    """Send for the planned time, then wait for the answers that are out."""
    connections = await _connect(run)
    began_cpu_s = time.process_time()
    ticker = None
    if run.plan.rate:
        run.idle.extend(connections)
        started = time.monotonic_ns()
        tick_ns = max(NANOS // run.plan.rate, MIN_TICK_NS)
        ticker = Ticker(tick_ns, lambda: run.release_due(started))
    else:
        for connection in connections:
            run._go_on(connection)
    asyncio.get_running_loop().call_later(run.plan.seconds, run.stop)
    with contextlib.suppress(TimeoutError):  # what is unanswered shows as sent, not accepted
        await asyncio.wait_for(run.ended.wait(), run.plan.seconds + GRACE_S)
    if ticker:
        ticker.stop()
    run.cpu_s = time.process_time() - began_cpu_s
    run.ending, run.out = True, 0
    for connection in connections:
        connection.transport.close()


def main() -> None:
    """Run the plan given as the only argument."""
    plan = LoadPlan(**json.loads(sys.argv[1]))
    holder: list[_LoadRun] = []

    async def whole() -> None:
        holder.append(_LoadRun(plan))
        await _drive(holder[0])

    uvloop.run(whole())
    run = holder[0]
    for name, values in (("due", run.due), ("accepted", run.accepted)):
        with (Path(plan.out) / f"{name}.bin").open("wb") as file:
            values[plan.first : run.next].tofile(file)
    accepted = sum(1 for at in run.accepted[plan.first : run.next] if at)
    summary = {"sent": run.next - plan.first, "accepted": accepted, "broken": run.broken}
    print(json.dumps({**summary, "refused": dict(run.refused), "cpu_s": run.cpu_s}))


if __name__ == "__main__":
    main()
