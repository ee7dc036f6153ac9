"""A shop that uses the API: its transactions belong to a provider of the tests' own."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from tests.money.payment_harness import APPROVED, FAILED, news
from tests.money.psp import PSP, body_of
from tests.web.served_gateway import ServedGateway
from tillbell.model.callbacks import Notice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.verify import verify

BEGIN = {"direction": "pay_in", "amount": "100.00", "currency": "EUR"}
PAY_OUT = {**BEGIN, "direction": "pay_out"}


def problem(answer: httpx.Response) -> tuple[str, str]:
    """Return where the one thing is that is wrong, and what is said of it."""
    assert answer.status_code == 422, answer.text
    (found,) = answer.json()["detail"]
    return ".".join(map(str, found["loc"])), found["msg"]


class ShopClient:
    """A fresh application with a source, and an endpoint that receives every event type."""

    def __init__(self, served: ServedGateway) -> None:
        self.served = served
        self.http = served.http
        providers = served.gateway.source_cache.providers
        served.gateway.source_cache.providers = {**providers, "psp": PSP}
        self.app_id = str(served.http.post("/app", json={"name": "shop"}).json()["id"])
        self.path = f"/app/{self.app_id}"
        body = {"name": "psp", "provider": "psp", "uid": "psp"}
        self.source = self.made("source", body)
        self.hook = f"/{self.app_id}"
        self.endpoint = self.made("endpoint", {"url": served.receiver.url(self.hook)})
        shown = served.http.get(f"{self.path}/endpoint/{self.endpoint['id']}/secret")
        self.secret = str(shown.json()["key"])
        self.heard = 0

    # ── asking ───────────────────────────────────────────────────────────────────────────────────

    def post(self, path: str, body: Any, http: httpx.Client | None = None) -> httpx.Response:
        return (http or self.http).post(f"{self.path}/{path}", json=body)

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(f"{self.path}/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def made(self, path: str, body: Any) -> dict[str, Any]:
        answer = self.post(path, body)
        assert answer.status_code == 201, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def begin(self, **fields: Any) -> dict[str, Any]:
        """Create a transaction of 100.00 EUR."""
        return self.made("transaction", {**BEGIN, **fields})

    def act(
        self, id_: str, action: str, http: httpx.Client | None = None, **fields: Any
    ) -> httpx.Response:
        """Do something to a transaction, because."""
        return self.post(f"transaction/{id_}/{action}", {"reason": "because", **fields}, http)

    def shown(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"transaction/{id_}")
        return found

    def moved(self, id_: str) -> list[tuple[str, str]]:
        return [(one["kind"], one["amount"]) for one in self.shown(id_)["effects"]]

    def audited(self, target: str) -> list[tuple[str, str]]:
        """Return what was done and why, oldest first."""
        found = self.get("audit", target=target, order="ascending")["data"]
        return [(one["action"], one["reason"]) for one in found]

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────

    def tell(self, *notices: Notice, trust: Trust = Trust.SIGNED) -> None:
        """Let the provider send a callback; return when all that follows is stored."""
        self.heard += 1
        body = body_of(notices, trust, f"event {self.heard}")
        answer = httpx.post(self.served.url + self.source["path"], content=body, verify=False)
        assert answer.status_code == 200
        self.served.wait_for_callbacks()

    def received(self, message_id: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until a message has come so often; return it as the endpoint verified it."""
        self.served.wait_for_attempts(message_id, count)
        found = []
        for arrival in self.served.receiver.to(self.hook):
            if arrival.header("webhook-id") == message_id:
                verify(arrival.body, arrival.headers, self.secret)
                found.append(msgspec.json.decode(arrival.body))
        assert len(found) == count
        return found

    def contradicted(
        self, first: TransactionStatus = FAILED, then: TransactionStatus = APPROVED
    ) -> dict[str, Any]:
        """Let a transaction "u" end, then hear the contrary; return the conflict."""
        self.begin(uid="u")
        self.tell(news("u", first))
        self.tell(news("u", then, amount="100.00"))
        (found,) = self.get("conflict", open="true")["data"]
        assert isinstance(found, dict)
        return found
