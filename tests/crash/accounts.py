"""The product's account: messages, deliveries and attempts as its API lists them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench.gateway import GatewayProcess

PAGE = 250
FULL_PAGE = 20  # with content: each payload is looked for on the page that it stood on
SUCCEEDED, PENDING, FAILED, SENDING = 0, 1, 2, 3  # Svix' message statuses
TERMINAL = frozenset({SUCCEEDED, FAILED})


class Tried(NamedTuple):
    """One attempt as the API shows it; `status_code` 0: the receiver's answer was not seen."""

    id: str
    status_code: int
    interrupted: bool
    started: str = ""  # RFC 3339


@dataclass
class ApiRecords:
    """Everything the API says about one application."""

    messages: dict[str, str] = field(default_factory=dict)  # event id → message id
    stored: dict[str, bytes] = field(default_factory=dict)  # message id → the page that shows it
    statuses: dict[tuple[str, str], int] = field(default_factory=dict)  # (message, endpoint)
    attempts: dict[tuple[str, str], list[Tried]] = field(default_factory=lambda: defaultdict(list))

    def read(self, gateway: GatewayProcess, app: str, endpoints: list[str]) -> ApiRecords:
        """Read it all, page by page."""
        base = f"/api/v1/app/{app}"
        for item, page in _items(gateway, f"{base}/msg?with_content=true", FULL_PAGE):
            self.stored[item["id"]] = page
            if item.get("eventId"):
                self.messages[item["eventId"]] = item["id"]
        for endpoint in endpoints:
            for item, _ in _items(gateway, f"{base}/endpoint/{endpoint}/msg?with_content=false"):
                self.statuses[item["id"], endpoint] = item["status"]
            for item, _ in _items(
                gateway, f"{base}/attempt/endpoint/{endpoint}?with_content=false"
            ):
                self.attempts[item["msgId"], endpoint].append(_tried(item))
        return self

    @property
    def interrupted(self) -> int:
        """How many attempts the product says a crash interrupted."""
        return sum(tried.interrupted for all_ in self.attempts.values() for tried in all_)


def _tried(item: dict[str, Any]) -> Tried:
    return Tried(
        item["id"],
        item["responseStatusCode"],
        item.get("result") == "interrupted",
        item["timestamp"],
    )


def _items(
    gateway: GatewayProcess, path: str, limit: int = PAGE
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield each item of a list with the raw page it stood on."""
    iterator = ""
    while True:
        answer = gateway.call("GET", f"{path}&limit={limit}{iterator}")
        page = answer.json()
        for item in page["data"]:
            yield item, answer.body
        if page["done"]:
            return
        iterator = f"&iterator={page['iterator']}"
