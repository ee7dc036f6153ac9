"""What is measured of callbacks: from a signed request to the merchant's endpoint.

provider → verified → committed → transition → message → first delivery.
"""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from bench import processes
from bench.figures import Measures, percentile
from bench.gateway import ADMIN_KEY, GatewayProcess
from bench.processes import Child
from bench.scene import CaseRun, Effort, GatewayFailed

SECRET = "bench-shared-secret"
RATE = 300  # callbacks a second of the latency part
COPIES = 200
MAKERS = 8


def callbacks(place: CaseRun) -> Measures:
    """Measure verified callbacks a second, their latency, and that copies count once."""
    place.folder.mkdir(parents=True, exist_ok=True)
    gateway = GatewayProcess(place.folder / "data", environment=place.environment)
    child = Child("bench.callback_load", "")
    try:
        port = child.heard()["port"]
        gateway.start()
        return _measured(place.effort, gateway, child, port)
    finally:
        gateway.stop()
        child.end()


def _measured(effort: Effort, gateway: GatewayProcess, child: Child, port: int) -> Measures:
    app = gateway.application()
    gateway.endpoint(app, f"http://127.0.0.1:{port}/ok/0")
    source = gateway.call(
        "POST",
        f"/api/v1/app/{app}/source",
        {"name": "bench", "provider": "allsecure", "secrets": [SECRET]},
    ).json()
    many, steady = int(effort.seconds * 400), int(effort.seconds * RATE)
    uids = _transactions(gateway, app, many + steady + 1)
    plan = {"port": gateway.port, "path": source["path"], "secret": SECRET}
    cpu_before = processes.cpu_s(gateway.pid)
    fast = _loaded(child, {**plan, "connections": 64, "uids": uids[:many]})
    cpu_s = processes.cpu_s(gateway.pid) - cpu_before
    slow = {**plan, "connections": 16, "rate": RATE, "uids": uids[many : many + steady]}
    steady_found = _loaded(child, slow)
    copies = _loaded(child, {**plan, "connections": 50, "uids": [uids[-1]] * COPIES})
    effects = _effects(gateway, app, uids[-1])
    if effects != 1 or copies["again"] or copies["refused"]:
        raise GatewayFailed(
            f"{COPIES} copies of one callback had {effects} effects: {copies['again']}"
        )
    warm = int(effort.warm_s * RATE)
    return {
        "per_s": fast["arrived"] / fast["seconds"],
        "cpu_us": cpu_s / many * 1e6,
        "p50_ms": percentile(steady_found["whole_ns"][warm:], 0.5) / 1e6,
        "p99_ms": percentile(steady_found["whole_ns"][warm:], 0.99) / 1e6,
        "answer_p99_ms": percentile(steady_found["answer_ns"][warm:], 0.99) / 1e6,
        "effects": float(effects),
    }


def _loaded(child: Child, plan: dict[str, Any]) -> dict[str, Any]:
    child.ask(**plan)
    found = child.heard()
    if found["arrived"] != found["sent"] or found["refused"] or found["again"]:
        counts = {name: found[name] for name in ("sent", "arrived", "refused", "again")}
        raise GatewayFailed(f"callbacks were lost, refused or told twice: {counts}")
    return found


def _transactions(gateway: GatewayProcess, app: str, count: int) -> list[str]:
    """Make pay-ins, a few at a time; return their uids."""
    uids = [f"ORD-{number}" for number in range(count)]

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
    return uids


def _effects(gateway: GatewayProcess, app: str, uid: str) -> int:
    found = gateway.call("GET", f"/api/v1/app/{app}/transaction/{uid}").json()
    return len(found["effects"])
