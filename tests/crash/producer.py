"""The producer's account: publishes events at a steady rate and repeats each until acknowledged.

An event counts as acknowledged only on a 2xx, or on the 409 that answers a repeat whose
first answer got lost. Every event has an id of its own and bytes that a careless
parser would not reproduce (spaces, `1.10`, escapes).
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from typing import NamedTuple

from bench.gateway import GatewayProcess

THREADS = 4
_PAUSE_S = 0.02  # after a failure: the gateway may be restarting
_TIMEOUT_S = 10.0


class Acknowledged(NamedTuple):
    """An event whose publication was confirmed."""

    event_id: str
    payload: bytes
    message_id: str  # "" when the confirmation was a 409
    at: float  # wall clock, after the answer was read


class Answered(NamedTuple):
    """One answer to a publication, by the machine's monotonic clock."""

    asked_ns: int
    answered_ns: int
    status: int  # 0: none came
    message_id: str  # of what was accepted now

    @property
    def took_s(self) -> float:
        """How long it took."""
        return (self.answered_ns - self.asked_ns) / 1e9


class Producer:
    """A few threads that publish together so many events a second until stopped."""

    def __init__(self, gateway: GatewayProcess, app: str) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.answers: Counter[int] = Counter()  # 0: no answer
        self.answered: list[Answered] = []
        self._path = f"/api/v1/app/{app}/msg"
        self._gateway = gateway
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, rate: float = 200.0) -> None:
        """Begin, or go on."""
        self._interval_s = THREADS / rate
        self._stop.clear()
        self._threads = [threading.Thread(target=self._run) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Publish no new events; return when the last ones are acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        link = None
        due = time.monotonic()
        while not self._stop.is_set():
            event_id = f"evt-{next(self._numbers):07}"
            payload = payload_of(event_id)
            while not (link := self._publish(link, event_id, payload)):
                time.sleep(_PAUSE_S)
            due = max(due + self._interval_s, time.monotonic() - 1)
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _publish(
        self, link: http.client.HTTPConnection | None, event_id: str, payload: bytes
    ) -> http.client.HTTPConnection | None:
        """Try once; return the connection if the event is acknowledged, else None."""
        link = link or http.client.HTTPConnection("127.0.0.1", self._gateway.port, _TIMEOUT_S)
        asked_ns = time.monotonic_ns()
        try:
            link.request("POST", self._path, request_of(event_id, payload), self._headers())
            answer = link.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self._note(asked_ns, 0)
            link.close()
            return None
        is_new = answer.status in {200, 201, 202}
        message_id = json.loads(body)["id"] if is_new else ""
        self._note(asked_ns, answer.status, message_id)
        if not is_new and answer.status != 409:
            return None
        self.acknowledged.append(Acknowledged(event_id, payload, message_id, time.time()))
        return link

    def _note(self, asked_ns: int, status: int, message_id: str = "") -> None:
        self.answers[status] += 1
        self.answered.append(Answered(asked_ns, time.monotonic_ns(), status, message_id))

    def _headers(self) -> dict[str, str]:
        key = f"Bearer {self._gateway.admin_key}"
        return {"Authorization": key, "Content-Type": "application/json"}


def payload_of(event_id: str) -> bytes:
    """Return the event's payload: valid JSON in an unusual spelling."""
    return (
        b'{"type": "order.paid","data":{ "id":"%s","amount":1.10, "tax" : 1e-2,'
        b' "note":"\\u00e9\\/\xc5\xbe", "items":[%s]}}'
    ) % (event_id.encode(), b", ".join(b'{"sku": "%d"}' % n for n in range(20)))


def request_of(event_id: str, payload: bytes) -> bytes:
    """Wrap a payload as the API wants it, without touching its bytes."""
    return b'{"eventType":"order.paid","eventId":"%s","payload":%s}' % (event_id.encode(), payload)
