"""`serve` with HTTP processes: everything answers as without them, and nothing is left behind."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Served, serve
from tests.patience import PATIENCE_S

KEY = "tb_http_key_0123456789abcdefghij"
SECRET = "a-secret-of-the-provider"
AUTH = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    gateway = serve(tmp_path / "data", TILLBELL_HTTP_PROCESSES="2", TILLBELL_ADMIN_KEY=KEY)
    yield gateway
    if gateway.process.poll() is None:
        gateway.stop()


def children(served: Served) -> list[int]:
    """Return the HTTP processes that run."""
    pid = served.process.pid
    names = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(name) for name in names]


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_all_is_answered_as_by_one_process(served: Served) -> None:
    base = f"http://127.0.0.1:{served.port}/api/v1/app"
    with httpx.Client(headers=AUTH) as client:
        app = client.post(base, json={"name": "Shop", "uid": "shop"}).json()["id"]
        path = f"{base}/{app}/source"
        draft = {"name": "PSP", "provider": "allsecure", "secrets": [SECRET]}
        source = client.post(path, json=draft).json()
        allowed = {**draft, "name": "PSP 2", "config": {"allowedNetworks": ["203.0.113.0/24"]}}
        elsewhere = client.post(path, json=allowed)
        assert elsewhere.status_code == 201, elsewhere.text
    with closing(socket.create_connection(("127.0.0.1", int(served.port)), PATIENCE_S)) as raw:
        usual = message("shop", {"n": 1})
        assert status(raw, usual) == 202
        assert status(raw, usual[:200], usual[200:]) == 202, "in two pieces"
        assert status(raw, callback(source["path"], "T-1")) == 200
        assert status(raw, callback(elsewhere.json()["path"], "T-2")) == 403, "by its address"
        assert status(raw, callback(source["path"], "T-3", secret="wrong")) == 401
        assert status(raw, message("shop", {"n": 2})) == 202, "a connection that was handed over"
        assert status(raw, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n") == 200
    for odd, expected in [
        (message("shop", {"n": 3}, key="tb_wrong_key_0123456789"), 401),
        (message("nobody", {"n": 3}), 404),
        (b"GET /api/v1/app HTTP/1.1\r\nHost: a\r\n\r\n", 401),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"POST /api/v1/app/shop/msg HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ]:
        with closing(socket.create_connection(("127.0.0.1", int(served.port)))) as raw:
            assert status(raw, odd) == expected
    with httpx.Client(headers=AUTH) as client:
        listed = client.get(f"{base}/{app}/msg").json()["data"]
        assert [item["payload"]["n"] for item in listed if "n" in item["payload"]] == [2, 1, 1]
    assert served.stop()[0] == 0


def test_one_that_dies_is_replaced_and_none_outlives_the_gateway(served: Served) -> None:
    base = f"http://127.0.0.1:{served.port}/api/v1/app"
    httpx.post(base, json={"name": "Shop", "uid": "shop"}, headers=AUTH).raise_for_status()
    before = children(served)
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(set(children(served)) - set(before)) == 1)
    for _ in range(10):
        body = {"eventType": "order.paid", "payload": {}}
        assert httpx.post(f"{base}/shop/msg", json=body, headers=AUTH).status_code == 202
    running = children(served)
    served.stop(signal.SIGKILL)
    wait_for(lambda: all(map(has_ended, running)))
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(served.port)))


def message(app: str, payload: object, key: str = KEY) -> bytes:
    body = json.dumps({"eventType": "order.paid", "payload": payload}).encode()
    return (
        f"POST /api/v1/app/{app}/msg HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def callback(path: str, uid: str, secret: str = SECRET) -> bytes:
    content = {"result": "OK", "uuid": uid, "merchantTransactionId": uid, "amount": "1.00"}
    body = json.dumps({**content, "transactionType": "DEBIT", "currency": "EUR"}).encode()
    kind, date = "application/json; charset=utf-8", "Sun, 01 Mar 2026 10:00:00 GMT"
    signed = "\n".join(("POST", hashlib.sha512(body).hexdigest(), kind, date, path))
    proof = base64.b64encode(hmac.digest(secret.encode(), signed.encode(), "sha512")).decode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nDate: {date}\r\n"
        f"X-Signature: {proof}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def status(raw: socket.socket, *pieces: bytes) -> int:
    """Send a request piece by piece, read its answer, return the status."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.settimeout(PATIENCE_S)
    for piece in pieces:
        raw.sendall(piece)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += raw.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    while length is not None and len(body) < int(length[1]):
        body += raw.recv(65_536)
    return int(head.split()[1])
