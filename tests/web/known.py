"""Things that exist in a served gateway, so that requests about them get past the 404."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from tests.web import pretend
from tests.web.callback_sender import CallbackSender
from tests.web.served_gateway import ServedGateway
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SourceSetup
from tillbell.providers.kit.cases import samples

STRIPE_SECRET = "whsec_C2FVsBQIhrscChlQIMVb5sSYspob7oD0"


class Known:
    """Ids of things that exist, by the names that paths have for them."""

    def __init__(self, served: ServedGateway) -> None:
        self.served = served
        self.session = requests.Session()
        app = self.post("/app", {"name": "shop", "uid": "known"})["id"]
        url = {"url": served.receiver.url()}
        endpoint = self.post(f"/app/{app}/endpoint", url)["id"]
        message = self.post(f"/app/{app}/msg", {"eventType": "order.paid", "payload": {}})["id"]
        attempt = served.wait_for_attempts(message)[0]
        self.post("/event-type", {"name": "known.type", "description": ""})
        self.ids = {
            "app_id": app,
            "endpoint_id": endpoint,
            "msg_id": message,
            "attempt_id": attempt.id,
            "delivery_id": attempt.delivery_id,
            "event_type_name": "known.type",
            "key_id": self.post("/key", {"name": "k", "scopes": ["read"]})["id"],
            "sink_id": "sink",
            "consumer_id": "me",
        }
        self.ids |= self.inbound(app)
        begun = {"direction": "pay_out", "amount": "1.00", "currency": "EUR"}
        self.ids["transaction_id"] = self.post(f"/app/{app}/transaction", begun)["id"]
        money = {"amount": "1.00", "currency": "EUR"}
        for kind, body in (
            ("order", money),
            ("subscription", money),
            ("shipment", {"carrier": "dhl", "trackingNumber": "T-1"}),
            ("product", {}),
            ("customer", {}),
        ):
            answer = self.served.http.put(f"/app/{app}/{kind}/known", json=body)
            assert answer.is_success, answer.text
            self.ids |= {f"{kind}_id": answer.json()["id"], f"{kind}_uid": "known"}
        self.ids |= self.inbox(app)
        alert = {"email": "ada@shop.example", "kinds": ["endpoint"]}
        self.ids["alert_id"] = self.post("/alert", alert)["id"]
        self.paid_id = self.paid(app)
        self.operational_id = self.post("/operational-webhook/endpoint", url)["id"]

    def inbound(self, app: str) -> dict[str, str]:
        """Make a source and a callback."""
        pretend.use(self.served)
        sender = CallbackSender(self.served, app)
        sender.send(b'{"id":"known"}')
        (callback,) = sender.log()
        return {"source_id": sender.source["id"], "callback_id": callback["id"], "name": "pretend"}

    def paid(self, app: str) -> str:
        """Let a provider tell of a payment; return its id."""
        account = {"name": "known", "provider": "stripe", "secrets": [STRIPE_SECRET]}
        source = self.post(f"/app/{app}/source", account)
        wanted = {"direction": "pay_in", "amount": "49.90", "currency": "EUR"}
        wanted |= {"sourceId": source["id"], "pspTransactionId": "pi_3Nf001"}
        payment = self.post(f"/app/{app}/transaction", wanted)
        case = samples("stripe")["approved"].case._replace(at=self.served.gateway.clock.now())
        signed = PROVIDERS["stripe"].sign(case, SourceSetup((STRIPE_SECRET,)), source["url"])
        headers = dict(signed.headers)
        answer = self.session.post(self.served.url + signed.target, signed.body, headers=headers)
        assert answer.ok, answer.text
        self.served.wait_for_callbacks()
        return str(payment["id"])

    def inbox(self, app: str) -> dict[str, str]:
        """Make an inbox and send it a request."""
        inbox = self.post("/inbox", {"name": "known", "appId": app})
        self.session.post(self.served.url + urlsplit(inbox["url"]).path, data=b"{}")
        (request,) = self.served.http.get(f"/inbox/{inbox['id']}/request").json()["data"]
        return {"inbox_id": inbox["id"], "request_id": request["id"]}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.served.http.post(path, json=body)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def ids_for(self, path: str) -> dict[str, str]:
        """Return the ids for the parameters of a path."""
        if "operational" in path:
            return {**self.ids, "endpoint_id": self.operational_id}
        if path.endswith("/expect-refund"):
            return {**self.ids, "transaction_id": self.paid_id}
        return self.ids
