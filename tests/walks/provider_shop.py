"""A shop with one source of a real provider, and an endpoint that verifies what it receives.

The provider is simulated to the last byte, and speaks over HTTP to the URL that the source gave.
"""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient
from tillbell.providers.kit.base import Incoming
from tillbell.testing import Simulation, simulate
from tillbell.testing.exchange import ReceiverExchange
from tillbell.verify import verify

SECRET = "secret-of-the-merchant-01"
_TLS = httpx.create_ssl_context()  # not used, and slow to make anew for every request


class ProviderShop(ShopClient):
    """A fresh application at one provider."""

    def __init__(self, served: ServedGateway, provider: str, **source: Any) -> None:
        super().__init__(served)
        self.provider = provider
        body = {"name": provider, "provider": provider, "secrets": [SECRET], **source}
        self.source = self.made("source", body)

    # ── the provider ─────────────────────────────────────────────────────────────────────────────

    def callback(self, case: str, *overrides: str, secret: str = SECRET) -> Incoming:
        """Return the request that the provider would send."""
        wanted = Simulation(f"{self.provider}:{case}", secret, {}, overrides, is_fresh=False)
        return simulate(wanted, self.served.url + self.source["path"]).request

    def carry(self, request: Incoming, *, follow: bool = False) -> httpx.Response:
        """Bring a request to the gateway; a browser follows where it is sent on."""
        return httpx.request(
            request.method,
            self.served.url + request.target,
            content=request.body,
            headers=list(request.headers),
            follow_redirects=follow,
            verify=_TLS,
        )

    def send(self, case: str, *overrides: str) -> httpx.Response:
        """Let the provider send a callback; return the answer when all that follows is stored."""
        answer = self.carry(self.callback(case, *overrides))
        self.served.wait_for_callbacks()
        return answer

    def knows(self, id_: str, **state: str) -> list[str]:
        """Let the provider's look-up `/state/{id}` say this; return who asked, as they come."""
        asked: list[str] = []

        async def answer(exchange: ReceiverExchange) -> None:
            asked.append(exchange.request.method)
            await exchange.answer(200, msgspec.json.encode(state))

        self.served.receiver.on(f"/state/{id_}", answer)
        return asked

    def look(self) -> None:
        """Let the gateway ask those providers that it is to ask now."""
        self.served.do(self.served.gateway.status_checker.check_due())

    # ── the merchant ─────────────────────────────────────────────────────────────────────────────

    def hears(self) -> list[dict[str, Any]]:
        """Return all that came to the endpoint, verified, when every message is delivered."""
        messages = self.get("msg", limit=250)
        assert messages["done"]
        for message in messages["data"]:
            count = len(self.get("delivery", msg_id=message["id"])["data"])
            self.served.wait_for_attempts(message["id"], count)
        arrivals = self.served.receiver.to(self.hook)
        bodies = [verify(one.body, one.headers, self.secret).json() for one in arrivals]
        return sorted(bodies, key=lambda body: (body["timestamp"], body["data"]["sequence"]))

    def told(self) -> list[str]:
        """Return of what types the messages were that came, in their order."""
        return [body["type"] for body in self.hears()]

    def outcomes(self) -> list[str | None]:
        """Return what became of each callback, oldest first."""
        log = self.get("callback", order="ascending", limit=250)["data"]
        return [one["outcome"] for one in log]
