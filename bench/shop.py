"""`python -m bench shop`: the shop's records of one application.

How many rows a second are imported and exported, and in how much memory; how many records a second
are put over HTTP, one and many in a request; how long a page of the list takes with all of them,
with and without filters. `--rows` says how many orders there are. What is measured several times is
shown as the median, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import postgres
from bench.gateway import GatewayProcess

PUT_CONNECTIONS = 32
PAGES = 200
BULK_CONNECTIONS = 2
BULK_ROWS = 500
RUNS = 3
_STATES = "paid", "pending", "cancelled", "refunded"
_HEADER = "uid,number,status,amount,currency,createdAt,customer.id,customer.email,line.productId"


class ShopLoad:
    """Asks a gateway about one application."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self._headers = {"Authorization": f"Bearer {gateway.admin_key}"}
        self.app_id = self.ask("POST", "/app", {"name": "bench"})["id"]

    def connection(self) -> http.client.HTTPConnection:
        """Return a new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=600)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Make a call of the API that must succeed."""
        content = None if body is None else json.dumps(body)
        return self.send(self.connection(), method, path, content, "application/json")

    def send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        content: Any,
        media_type: str,
    ) -> Any:
        """Send a request; return the JSON of the answer."""
        headers = {**self._headers, "Content-Type": media_type}
        encoded = content.encode() if isinstance(content, str) else content
        connection.request(method, f"/api/v1{path}", encoded, headers, encode_chunked=True)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{answer.status}: {text[:500]!r}")
        return json.loads(text) if text else None

    # ── what is measured ─────────────────────────────────────────────────────────────────────────

    def import_orders(self, rows: int) -> float:
        """Import that many new orders; return rows a second."""
        began = time.perf_counter()
        path = f"/app/{self.app_id}/import/orders?onError=skip"
        connection = self.connection()
        connection.putrequest("POST", f"/api/v1{path}")
        for name, value in {**self._headers, "Content-Type": "text/csv"}.items():
            connection.putheader(name, value)
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(_file(rows), encode_chunked=True)
        task = json.loads(connection.getresponse().read())
        while task["status"] == "running":
            time.sleep(0.2)
            task = self.ask("GET", f"/background-task/{task['id']}")
        if task["data"]["created"] != rows:
            raise RuntimeError(str(task)[:500])
        return rows / (time.perf_counter() - began)

    def export_orders(self, rows: int, format_: str) -> float:
        """Export all orders; return rows a second."""
        began = time.perf_counter()
        connection = self.connection()
        path = f"/api/v1/app/{self.app_id}/export/orders?format={format_}"
        connection.request("GET", path, headers=self._headers)
        answer, lines = connection.getresponse(), 0
        while piece := answer.read(256 * 1024):
            lines += piece.count(b"\n")
        if lines < rows:
            raise RuntimeError(f"{lines} lines of {rows} orders")
        return rows / (time.perf_counter() - began)

    def put_orders(self, seconds: float, run: int) -> float:
        """Put new orders over many connections; return orders a second."""
        counts: list[int] = []
        ends = time.perf_counter() + seconds

        def put(number: int) -> None:
            connection, count = self.connection(), 0
            while time.perf_counter() < ends:
                path = f"/app/{self.app_id}/order/put-{run}-{number}-{count}"
                body = json.dumps({"amount": "10.00", "currency": "EUR", "number": str(count)})
                self.send(connection, "PUT", path, body, "application/json")
                count += 1
            counts.append(count)

        threads = [threading.Thread(target=put, args=(n,)) for n in range(PUT_CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / seconds

    def put_many(self, seconds: float, run: int) -> float:
        """Put new orders, many in a request; return orders a second."""
        counts: list[int] = []
        ends = time.perf_counter() + seconds

        def put(number: int) -> None:
            connection, count = self.connection(), 0
            while time.perf_counter() < ends:
                uids = [f"bulk-{run}-{number}-{count + n}" for n in range(BULK_ROWS)]
                rows = [{"uid": uid, "amount": "10.00", "currency": "EUR"} for uid in uids]
                body, path = json.dumps({"data": rows}), f"/app/{self.app_id}/order"
                self.send(connection, "PUT", path, body, "application/json")
                count += BULK_ROWS
            counts.append(count)

        threads = [threading.Thread(target=put, args=(n,)) for n in range(BULK_CONNECTIONS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - began)

    def list_pages(self, query: str) -> float:
        """Read pages of the list one after the other; return the 99th percentile in ms."""
        took: list[float] = []
        connection, iterator = self.connection(), ""
        for _ in range(PAGES):
            began = time.perf_counter()
            path = f"/app/{self.app_id}/order?limit=50{query}{iterator}"
            page = self.send(connection, "GET", path, None, "application/json")
            took.append((time.perf_counter() - began) * 1000)
            iterator = f"&iterator={page['iterator']}" if page["iterator"] else ""
        return sorted(took)[int(len(took) * 0.99) - 1]

    def middle_of_list(self, rows: int) -> str:
        """Return the time of change of an order in the middle of the list, as a query."""
        order = self.ask("GET", f"/app/{self.app_id}/order/o-{rows // 2}")
        return f"&updatedSince={order['updatedAt']}"


def _file(rows: int) -> Iterator[bytes]:
    yield f"{_HEADER}\r\n".encode()
    for start in range(0, rows, 1_000):
        yield "".join(
            f"o-{n},ORD-{n},{_STATES[n % 4]},149.99,EUR,2026-05-01T08:30:00Z,c-{n % 997},"
            f"c{n % 997}@shop.example,p-{n % 31}\r\n"
            for n in range(start, min(rows, start + 1_000))
        ).encode()


def _peak_mb(gateway: GatewayProcess) -> int:
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    return f"{middle:9,.1f} [{ordered[0]:,.1f} – {ordered[-1]:,.1f}]"


def _measure(gateway: GatewayProcess, rows: int) -> None:
    gateway.start()
    try:
        load = ShopLoad(gateway)
        load.import_orders(2_000)  # what is loaded once
        other = ShopLoad(gateway)
        idle = _peak_mb(gateway)
        print(f"import    {other.import_orders(rows):9,.0f} rows/s", flush=True)
        print(f"          {_peak_mb(gateway):9,} MB at most, {idle:,} before", flush=True)
        for format_ in ("csv", "ndjson"):
            rates = [other.export_orders(rows, format_) for _ in range(RUNS)]
            print(f"export    {_spread(rates)} rows/s as {format_}", flush=True)
        print(f"          {_peak_mb(gateway):9,} MB at most", flush=True)
        queries = {
            "": "all, the latest first",
            other.middle_of_list(rows): "from the middle on",
            "&status=paid": "status=paid",
            f"&q=ORD-{rows // 3}": "q=<number>",
        }
        for query, words in queries.items():
            times = [other.list_pages(query) for _ in range(RUNS)]
            print(f"list      {_spread(times)} ms (p99 of a page): {words}", flush=True)
        rates = [other.put_many(5.0, run) for run in range(RUNS)]
        print(f"put many  {_spread(rates)} orders/s, {BULK_ROWS} in a request", flush=True)
        rates = [other.put_orders(5.0, run) for run in range(RUNS)]
        print(f"put       {_spread(rates)} orders/s, {PUT_CONNECTIONS} connections", flush=True)
    finally:
        gateway.stop()


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench shop", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="orders (100,000)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tillbell-shop-") as folder:
        if options.postgres:
            with postgres.databases() as server, server.empty() as database:
                environment = {"TILLBELL_DATABASE_URL": database.url}
                gateway = GatewayProcess(Path(folder) / "data", environment=environment)
                _measure(gateway, options.rows)
        else:
            _measure(GatewayProcess(Path(folder) / "data"), options.rows)
    return 0
