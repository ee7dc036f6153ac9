"""Opens pages as a browser does, on one connection, and measures how long the answers take."""

from __future__ import annotations

import gzip
import http.client
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bench import processes
from bench.figures import percentile
from bench.scene import GatewayFailed
from tillbell.providers.kit.base import Incoming

WARM = 3  # loads that are not counted
_OWN_FILE = re.compile(r'(?:href|src)="(/static/[^"#]+)')
# What is asked of a page, in turn; a path that is missing here is asked for as it is.
QUERIES: Mapping[str, Sequence[str]] = {
    "/": ("", "?app={app}"),
    "/messages": (
        "",
        "?app={app}",
        "?filter=type:order.paid",
        "?app={app}&filter=type:order.* since:24h",
        "?filter=event:order-7",
        "?app={app}&filter=-type:order.* since:7d",
        "?filter=data.customer.name:Nobody since:30d",
    ),
    "/messages/{msg}": ("?app={app}",),
    "/deliveries": (
        "",
        "?app={app}",
        "?filter=status:failed",
        "?app={app}&filter=endpoint:{endpoint} since:7d",
        "?filter=status:waiting attempts:>=1",
        "?app={app}&filter=code:503 type:order.paid",
    ),
    "/deliveries/{delivery}": ("?app={app}",),
    "/attempts": ("", "?app={app}&filter=result:refused", "?filter=duration:>=100ms since:24h"),
    "/transactions": (
        "",
        "?app={app}",
        "?filter=status:declined",
        "?app={app}&filter=status:approved amount:>=500",
        "?filter=user:customer-7",
        "?app={app}&filter=order:ORD-10",
    ),
    "/transactions/{trx}": ("?app={app}",),
    "/callbacks": (
        "",
        "?app={app}",
        "?filter=verdict:refused",
        "?app={app}&filter=status:unmatched since:7d",
        "?filter=provider:stripe status:applied",
    ),
    "/callbacks/{callback}": ("?app={app}",),
    "/sources": ("", "?app={app}"),
    "/sources/{source}": ("?app={app}",),
    "/endpoints": ("", "?app={app}"),
    "/endpoints/{endpoint}": ("?app={app}",),
    "/problems": ("", "?app={app}"),
    "/jobs": ("", "?app={app}"),
    "/exports/{kind}": ("?app={app}&format=csv",),
    "/events": ("", "?app={app}"),
    "/review": ("", "?app={app}"),
    "/search": ("?q={msg}", "?q=ORD-10", "?q=nothing-like-this", "?q=order-7", "?q={trx}"),
    "/event-types/{name:path}": ("", "?app={app}"),
    "/messages/{msg}/endpoints/{endpoint}": ("?app={app}",),
    "/messages/{msg}/endpoints/{endpoint}/resend": ("?app={app}",),
    "/jobs/{task}": ("?app={app}",),
    "/plots": ("", "?app={app}", "?app={app}&span=7d", "?span=30d"),
    "/plots/{name}": ("?app={app}", "?app={app}&span=7d"),
    "/filter/suggestions": ("?list=message&add=type:o", "?list=transaction&add=st"),
}


class PageCost(NamedTuple):
    """What loads of one page cost: milliseconds, and bytes of its HTML as sent."""

    path: str
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # of the gateway, for one load
    database_ms: float  # CPU of PostgreSQL
    bytes_: int
    slowest: str  # the query with the longest median
    slowest_ms: float


class PageReader:
    """A signed-in browser, as far as the gateway sees."""

    def __init__(self, port: int, session: str) -> None:
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {
            "Cookie": f"tillbell={session}",
            "Accept": "text/html",
            "Accept-Encoding": "gzip",
        }

    @staticmethod
    def send(port: int, request: Incoming) -> None:
        """Send a provider's request."""
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        link.request(request.method, request.target, request.body, dict(request.headers))
        link.getresponse().read()
        link.close()

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def open(self, path: str) -> bytes:
        """Return what is sent for a path; `GatewayFailed` if it is neither page nor way to one."""
        self._link.request("GET", path.replace(" ", "%20"), headers=self._headers)
        answer = self._link.getresponse()
        body = answer.read()
        if answer.status not in (200, 303):
            raise GatewayFailed(f"{path}: {answer.status} {dict(answer.getheaders())}")
        return body

    def first_load(self) -> dict[str, int]:
        """Return the bytes of Home and of each file that it needs, as they are sent."""
        html = self.open("/")
        sizes = {"HTML": len(html)}
        names = dict.fromkeys(_OWN_FILE.findall(_plain(html).decode()))
        return sizes | {name: len(self.open(name)) for name in names}

    def measure(
        self, path: str, urls: list[str], loads: int, pid: int, database: Callable[[], float]
    ) -> PageCost:
        """Open the URLs of a page in turn."""
        for url in urls * WARM:
            self.open(url)
        took: dict[str, list[float]] = {url: [] for url in urls}
        size = 0
        cpu, cpu_of_database = processes.cpu_s(pid), database()
        for number in range(loads):
            url = urls[number % len(urls)]
            began = time.perf_counter()
            size = max(size, len(self.open(url)))
            took[url].append((time.perf_counter() - began) * 1e3)
        cpu, cpu_of_database = processes.cpu_s(pid) - cpu, database() - cpu_of_database
        everything = [each for times in took.values() for each in times]
        medians = {url: percentile(times, 0.5) for url, times in took.items() if times}
        slowest = max(medians, key=medians.__getitem__)
        return PageCost(
            path,
            percentile(everything, 0.5),
            percentile(everything, 0.99),
            cpu / loads * 1e3,
            cpu_of_database / loads * 1e3,
            size,
            slowest,
            medians[slowest],
        )


def urls_of(path: str, names: Mapping[str, str]) -> list[str]:
    """Return what is opened of a page. `KeyError`: nothing is known for a name in its path."""
    plain = path.replace(":path}", "}").replace("/event-types/{name}", "/event-types/{type}")
    plain = plain.replace("/settings/webhooks/{endpoint}", "/settings/webhooks/{own}")
    return [(plain + query).format(**names) for query in QUERIES.get(path, ("?app={app}",))]


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
