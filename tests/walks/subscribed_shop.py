"""A shop with accounts at any provider, and subscribers of any profile.

Callbacks are the simulator's, signed as the provider signs them. Everything goes through the
gateway's port: its API, the sources' URLs, and a receiver that verifies what it gets.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import httpx

from tests.providers.test_every_provider import secret_of
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import Incoming
from tillbell.testing import Simulation, simulate
from tillbell.testing.exchange import ReceivedRequest
from tillbell.verify import verify


class ProviderAccount(NamedTuple):
    """A source, and what its provider knows of it."""

    provider: str
    secret: str
    settings: dict[str, Any]
    source: dict[str, Any]
    url: str

    def says(self, case: str, *overrides: str, secret: str | None = None) -> Incoming:
        """Return a case as a new event, as the provider would send it."""
        known = self.secret if secret is None else secret
        known_settings = {s.name for s in PROVIDERS[self.provider].settings}
        settings = {name: v for name, v in self.settings.items() if name in known_settings}
        wanted = Simulation(f"{self.provider}:{case}", known, settings, overrides)
        return simulate(wanted, self.url).request


class SubscribedShop(ShopClient):
    """A fresh application with an endpoint that receives every event type."""

    def account(self, provider: str, *secrets: str, **config: Any) -> ProviderAccount:
        """Create a source; with a secret that this provider can have if none is given."""
        given = secrets or secret_of(PROVIDERS[provider])
        body = {"name": provider, "provider": provider, "secrets": given, "config": config}
        source = self.made("source", body)
        secret = next(iter(given), "")
        return ProviderAccount(provider, secret, config, source, self.served.url + source["path"])

    def hear(self, *requests: Incoming) -> httpx.Response:
        """Let a provider send; return the last answer when all that follows is stored."""
        for request in requests:
            answer = sent(self.served, request)
        self.served.wait_for_callbacks()
        return answer

    def log(self, **query: Any) -> list[dict[str, Any]]:
        """Return the callback log, newest first."""
        found: list[dict[str, Any]] = self.get("callback", **query)["data"]
        return found

    def messages(self) -> list[dict[str, Any]]:
        """Return what was published, oldest first."""
        return list(reversed(self.get("msg", limit=250)["data"]))

    def told(self) -> list[Any]:
        """Return the payloads that came to the endpoint, verified, in the order of publishing."""
        return [body for message in self.messages() for body in self.received(message["id"])]

    def delivered(self) -> None:
        """Wait until all that the callbacks led to has been sent to whom it concerns."""
        for callback in self.log():
            found = self.get(f"callback/{callback['id']}")["deliveries"]
            per_message = Counter(delivery["messageId"] for delivery in found)
            for message_id, count in per_message.items():
                self.served.wait_for_attempts(message_id, count)


class Subscriber:
    """A second endpoint, in a profile of its own, which believes only what verifies."""

    def __init__(self, shop: SubscribedShop, profile: str, secret: str | None = None) -> None:
        self._shop, self.profile = shop, profile
        self.hook = f"/{shop.app_id}/{profile}"
        body = {"url": shop.served.receiver.url(self.hook), "profile": profile, "secret": secret}
        self.id = shop.made("endpoint", body)["id"]
        self.secret = str(shop.get(f"endpoint/{self.id}/secret")["key"])

    def arrivals(self) -> list[ReceivedRequest]:
        """Return what has come here, each verified."""
        found = self._shop.served.receiver.to(self.hook)
        for arrival in found:
            verify(arrival.body, arrival.headers, self.secret, profile=self.profile)
        return found


def sent(served: ServedGateway, request: Incoming) -> httpx.Response:
    """Send a provider's request to the gateway."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers]
    url = served.url + request.target
    with httpx.Client(verify=False) as client:  # plain HTTP: no certificates need be read
        return client.request(request.method, url, content=request.body, headers=headers)
