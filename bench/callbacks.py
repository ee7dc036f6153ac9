"""What is measured of callbacks: from a signed request to the merchant's endpoint.

provider → verified → committed → transition → message → first delivery.
"""

from __future__ import annotations

import http.client
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Self

from bench import processes
from bench.figures import Measures, percentile
from bench.gateway import ADMIN_KEY, GatewayProcess
from bench.processes import Child
from bench.scene import CaseRun, Effort, GatewayFailed

SECRET = "bench-shared-secret"
RATE = 300  # callbacks a second of the latency part
COPIES = 200
CONNECTIONS = 64
MAKERS = 8
DRAIN_S = 60.0
_POLL_S = 0.05


class CallbackScene:
    """A gateway with one source, a provider that calls it, and the merchant's endpoint.

    Use as a context manager. Ends every process it started.
    """

    def __init__(self, place: CaseRun) -> None:
        self._place = place
        self._made = itertools.count()  # numbers of transactions

    def __enter__(self) -> Self:
        place = self._place
        place.folder.mkdir(parents=True, exist_ok=True)
        self.child = Child("bench.callback_load", "")
        self.gateway = GatewayProcess(
            place.folder / "data", environment=place.environment, program=place.program
        )
        try:
            port = self.child.heard()["port"]
            self.gateway.start()
            self.app = self.gateway.application()
            endpoint = self.gateway.endpoint(self.app, f"http://127.0.0.1:{port}/ok/0")
            self._endpoint_id = endpoint.id
            source = self.gateway.call(
                "POST",
                f"/api/v1/app/{self.app}/source",
                {"name": "bench", "provider": "allsecure", "secrets": [SECRET]},
            ).json()
        except BaseException:
            self.__exit__()
            raise
        self._plan = {"port": self.gateway.port, "path": source["path"], "secret": SECRET}
        return self

    def __exit__(self, *_: object) -> None:
        if self.gateway.process is not None:
            self.gateway.stop()
        self.child.end()

    def transactions(self, count: int) -> list[str]:
        """Make pay-ins; return their uids. Waits until their messages are delivered."""
        uids = [f"ORD-{next(self._made)}" for _ in range(count)]
        _make_transactions(self.gateway, self.app, uids)
        self._await_recorded()
        return uids

    def load(self, **plan: Any) -> dict[str, Any]:
        """Send a callback for each uid of the plan; all must be delivered."""
        self.child.ask(**self._plan, **plan)
        load = self.child.heard()
        if load["arrived"] != load["sent"] or load["refused"] or load["again"]:
            counts = {name: load[name] for name in ("sent", "arrived", "refused", "again")}
            raise GatewayFailed(f"callbacks were lost, refused or told twice: {counts}")
        return load

    def sustained(self, uids: list[str]) -> Measures:
        """Send a callback for each uid, as fast as the gateway takes them."""
        database = self._place.database
        cpu_s = processes.cpu_s(self.gateway.pid)
        database_s = database.cpu_s() if database else 0.0
        load = self.load(connections=CONNECTIONS, uids=uids)
        self._await_recorded()
        measures = {
            "per_s": load["arrived"] / load["seconds"],
            "cpu_us": (processes.cpu_s(self.gateway.pid) - cpu_s) / len(uids) * 1e6,
        }
        if database:
            measures["database_us"] = (database.cpu_s() - database_s) / len(uids) * 1e6
        return measures

    def effects(self, uid: str) -> int:
        """Return how often money was moved for a transaction."""
        path = f"/api/v1/app/{self.app}/transaction/{uid}"
        return len(self.gateway.call("GET", path).json()["effects"])

    def _await_recorded(self) -> None:
        """Wait until no delivery is open."""
        deadline = time.monotonic() + DRAIN_S
        while True:
            stats = self.gateway.stats(self.app, self._endpoint_id)
            if not stats["pending"] + stats["sending"]:
                return
            if time.monotonic() > deadline:
                raise GatewayFailed(f"deliveries are still open after {DRAIN_S:.0f} s: {stats}")
            time.sleep(_POLL_S)


def callbacks(place: CaseRun) -> Measures:
    """Measure verified callbacks a second, their latency, and that copies count once."""
    with CallbackScene(place) as scene:
        return _measured(place.effort, scene)


def _measured(effort: Effort, scene: CallbackScene) -> Measures:
    many, steady = int(effort.seconds * 400), int(effort.seconds * RATE)
    uids = scene.transactions(many + steady + 1)
    fast = scene.sustained(uids[:many])
    slow = scene.load(connections=16, rate=RATE, uids=uids[many : many + steady])
    copies = scene.load(connections=50, uids=[uids[-1]] * COPIES)
    effects = scene.effects(uids[-1])
    if effects != 1 or copies["again"] or copies["refused"]:
        raise GatewayFailed(
            f"{COPIES} copies of one callback had {effects} effects: {copies['again']}"
        )
    warm = int(effort.warm_s * RATE)
    return {
        **fast,
        "p50_ms": percentile(slow["whole_ns"][warm:], 0.5) / 1e6,
        "p99_ms": percentile(slow["whole_ns"][warm:], 0.99) / 1e6,
        "answer_p99_ms": percentile(slow["answer_ns"][warm:], 0.99) / 1e6,
        "effects": float(effects),
    }


def _make_transactions(gateway: GatewayProcess, app: str, uids: list[str]) -> None:
    """Make pay-ins, a few at a time."""

    def make(part: list[str]) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, 60)) as link:
            for uid in part:
                body = {"uid": uid, "direction": "pay_in", "amount": "49.90", "currency": "EUR"}
                headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
                link.request("POST", f"/api/v1/app/{app}/transaction", json.dumps(body), headers)
                answer = link.getresponse()
                if answer.status != 201:
                    raise GatewayFailed(f"a transaction was not made: {answer.read()[:300]!r}")
                answer.read()

    with ThreadPoolExecutor(MAKERS) as threads:
        list(threads.map(make, [uids[n::MAKERS] for n in range(MAKERS)]))
