"""One source of an application, and what a test asks of it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.web import pretend
from tests.web.served_gateway import ServedGateway
from tillbell.providers.kit.base import Incoming

SECRET = "pretend-secret-1"


class CallbackSender:
    """One source of a fresh application, and what is asked of it."""

    def __init__(
        self, served: ServedGateway, app_id: str, provider: str = "pretend", **fields: Any
    ) -> None:
        self.served = served
        self.app_id = app_id
        secrets = [] if provider in ("hint", "echo") else [SECRET]
        body = {"name": "till", "provider": provider, "secrets": secrets, **fields}
        answer = served.http.post(f"/app/{app_id}/source", json=body)
        assert answer.status_code == 201, answer.text
        self.source = answer.json()
        self.url = served.url + self.source["path"]

    def send(self, content: bytes = b"{}", method: str = "POST", **headers: str) -> httpx.Response:
        """Send a callback; return its answer when it is processed."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault(pretend.SIGNATURE, pretend.signature(SECRET, content))
        coded = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
        # Plain HTTP: no certificates need be read, which would take most of the time.
        answer = httpx.request(method, self.url, content=content, headers=coded, verify=False)
        self.served.wait_for_callbacks()
        return answer

    def log(self, **query: str) -> list[dict[str, Any]]:
        answer = self.served.http.get(f"/app/{self.app_id}/callback", params=query)
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def kept(self, callback: dict[str, Any]) -> Incoming:
        """Return the request as it is stored, opened."""

        async def read() -> Incoming:
            stored = await self.served.gateway.database.callback(self.app_id, callback["id"])
            assert stored is not None
            found = await self.served.gateway.reprocessor.request(stored)
            assert isinstance(found, Incoming)
            return found

        return self.served.do(read())
