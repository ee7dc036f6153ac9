"""A pretend payment provider and the merchant's receiver, in one process with one clock.

It signs AllSecure callbacks (HMAC-SHA512, written out independently) for transactions that
exist, sends each once, and notes when it was answered and when `transaction.approved` for it
arrived. Run as `python -m bench.callback_load '<CallbackPlan as JSON>'`: prints the receiver's
port, then for each command on standard input one line of results.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop

from bench.receiving import OK, Inbound, serve

DATE = "Sun, 01 Mar 2026 10:00:00 GMT"
KIND = "application/json; charset=utf-8"
DRAIN_S = 60.0


@dataclass
class _CallbackRun:
    """One load: who was sent when, and what came of it."""

    sent: dict[str, int] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    arrived: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    again: int = 0


class _Merchant(Inbound):
    """Takes deliveries: the uid of the transaction is in each."""

    run = _CallbackRun()

    def answer(self, head: bytes, body: bytes) -> None:
        del head
        message = json.loads(body)
        self.transport.write(OK)
        if message["type"] == "transaction.approved":
            uid = message["data"]["uid"]
            self.run.again += uid in self.run.arrived
            self.run.arrived.setdefault(uid, time.monotonic_ns())


def request(path: str, secret: str, uid: str) -> bytes:
    """Write one signed callback that approves the transaction with this uid."""
    body = json.dumps(
        {
            "result": "OK",
            "uuid": f"psp-{uid}",
            "merchantTransactionId": uid,
            "transactionType": "DEBIT",
            "amount": "49.90",
            "currency": "EUR",
        }
    ).encode()
    target = f"{path}?requestEvent=callback"
    signed = "\n".join(("POST", hashlib.sha512(body).hexdigest(), KIND, DATE, target))
    mac = hmac.digest(secret.encode(), signed.encode(), "sha512")
    head = (
        f"POST {target} HTTP/1.1\r\nHost: bench\r\nContent-Type: {KIND}\r\nDate: {DATE}\r\n"
        f"X-Signature: {base64.b64encode(mac).decode()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Provider(asyncio.Protocol):
    """One connection: sends the next callback when the last was answered."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[bool] | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if self.answered is not None and b"\r\n\r\n" in self._rest and self._rest.endswith(b"OK"):
            self._end(self._rest.startswith(b"HTTP/1.1 200"))
        elif self.answered is not None and not self._rest.startswith(b"HTTP/1.1 200"):
            self._end(False)

    def _end(self, is_good: bool) -> None:
        answered, self.answered, self._rest = self.answered, None, b""
        assert answered is not None
        answered.set_result(is_good)

    async def post(self, content: bytes) -> bool:
        """Send one; tell whether it was answered 200 `OK`."""
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(content)
        return await self.answered


async def load(plan: dict[str, Any]) -> dict[str, Any]:
    """Send a callback for each uid, as fast as `connections` allow or at `rate` a second."""
    run = _Merchant.run = _CallbackRun()
    uids = iter(plan["uids"])
    loop = asyncio.get_running_loop()
    began = time.monotonic_ns()

    async def send(connection: _Provider, uid: str, due: int) -> None:
        content = request(plan["path"], plan["secret"], uid)
        run.sent.setdefault(uid, due)
        if await connection.post(content):
            run.answered[uid] = time.monotonic_ns()
        else:
            run.refused += 1

    async def work() -> None:
        _, connection = await loop.create_connection(_Provider, "127.0.0.1", plan["port"])
        for uid in uids:
            due = time.monotonic_ns()
            if plan.get("rate"):
                due = began + len(run.sent) * 1_000_000_000 // plan["rate"]
                run.sent[uid] = due
                await asyncio.sleep(max(0.0, (due - time.monotonic_ns()) / 1e9))
            await send(connection, uid, due)
        connection.transport.close()

    await asyncio.gather(*(work() for _ in range(plan["connections"])))
    until = loop.time() + DRAIN_S
    while len(run.arrived) < len(run.sent) and loop.time() < until:
        await asyncio.sleep(0.01)
    return _results(run, began)


def _results(run: _CallbackRun, began: int) -> dict[str, Any]:
    ended = max(run.arrived.values(), default=began)
    return {
        "sent": len(run.sent),
        "arrived": len(run.arrived),
        "refused": run.refused,
        "again": run.again,
        "seconds": (ended - began) / 1e9,
        "answer_ns": [
            run.answered[uid] - at for uid, at in run.sent.items() if uid in run.answered
        ],
        "whole_ns": [run.arrived[uid] - at for uid, at in run.sent.items() if uid in run.arrived],
    }


async def _main() -> None:
    tasks: set[asyncio.Task[None]] = set()

    async def answer(command: dict[str, Any]) -> None:
        print(json.dumps(await load(command)), flush=True)

    def obey(command: dict[str, Any]) -> dict[str, Any]:
        task = asyncio.get_running_loop().create_task(answer(command))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return {"begun": len(command["uids"])}

    await serve(_Merchant, obey)


if __name__ == "__main__":
    del sys.argv[1:]
    uvloop.run(_main())
