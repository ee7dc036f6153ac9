"""Whole lives of payments, sent to a listening gateway as the providers send them.

Each life is played in a currency of two, no or three decimals, in any order, every request twice.
Afterwards the API is asked, and its sums are compared with the provider's balance.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from tests.money.lives import SECRETS, Event, Life
from tests.money.test_lives_adyen import KEY, item
from tests.money.test_lives_gateways import CHECKOUT, MONRI, PAYU, RAZORPAY, monri
from tests.money.test_lives_stripe import LIVES as STRIPE
from tests.money.test_lives_trustpayments import LIVES as TRUST
from tests.money.test_lives_worldpay_access import LIVES as ACCESS
from tests.patience import PATIENCE_S
from tests.scale import IS_WHOLE, seed
from tests.web.served_gateway import ServedGateway
from tillbell.clock import SystemClock
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SimulationCase, SourceSetup
from tillbell.testing.exchange import ReceiverExchange

pytestmark = pytest.mark.sqlite_first

DECIMALS = {"EUR": 2, "JPY": 0, "KWD": 3}  # a life is played in one of them, in a soak in each
SECRET_OF = {
    **SECRETS,
    "adyen": KEY,
    "payu": "0123456789abcdef0123456789abcdef",
    "stripe": "whsec_c2VjcmV0LW9mLXRoZS1zaG9w",
}


def adyen(n: int, *of: Any, **members: Any) -> Event:
    return Event(item(f"{n}", *of, **members))


ADYEN = (
    Life(
        "refused, authorised and adjusted, captured in parts, charged back twice",
        lambda n: [
            adyen(n, "AUTHORISATION", "NO", success="false", reason="Refused"),
            adyen(n, "AUTHORISATION", "PAY"),
            adyen(n, "AUTHORISATION_ADJUSTMENT", "ADJ", 10_000, "PAY"),
            adyen(n, "CAPTURE", "CAP1", 4_000, "PAY"),
            adyen(n, "CAPTURE", "CAP2", 6_000, "PAY"),
            adyen(n, "REFUND", "REF1", 1_000, "PAY"),
            adyen(n, "REFUND", "REF2", 1_000, "PAY", success="false"),
            adyen(n, "NOTIFICATION_OF_CHARGEBACK", "DSP", 7_000, "PAY"),
            adyen(n, "CHARGEBACK", "DSP", 7_000, "PAY"),
            adyen(n, "CHARGEBACK_REVERSED", "DSP", 7_000, "PAY"),
            adyen(n, "SECOND_CHARGEBACK", "DSP", 7_000, "PAY"),
        ],
        2_000,
    ),
    Life(
        "charged back, returned in part, before or after its end is told",
        lambda n: [
            adyen(n, "AUTHORISATION", "PAY"),
            adyen(n, "CAPTURE", "CAP1", 10_000, "PAY"),
            adyen(n, "CHARGEBACK", "DSP", 10_000, "PAY"),
            adyen(n, "CHARGEBACK_REVERSED", "DSP", 4_000, "PAY"),
            adyen(n, "PREARBITRATION_WON", "DSP", 4_000, "PAY"),
        ],
        4_000,
    ),
)

MONRI_VOID = Life(
    "a part captured, the rest voided",
    lambda n: [
        monri(n, "authorize", 1),
        monri(n, "capture", 2, 6_000),
        monri(n, "void", 3, 4_000),
    ],
    6_000,
    config={"partialCapture": "credit"},
)

LIVES: list[tuple[str, Life]] = [
    (provider, life)
    for provider, lives in (
        ("adyen", ADYEN),
        ("checkoutcom", CHECKOUT),
        ("monri", (MONRI_VOID, *MONRI)),
        ("payu", PAYU),
        ("razorpay", RAZORPAY),
        ("stripe", STRIPE),
        ("trustpayments", TRUST),
        ("worldpay-access", ACCESS),
    )
    for life in (lives if IS_WHOLE else lives[:2])
]


class Shop(NamedTuple):
    """An application with one source of a provider."""

    served: ServedGateway
    path: str
    url: str
    provider: str
    setup: SourceSetup
    http: httpx.Client

    def send(self, event: Event, query: Mapping[str, str] = MappingProxyType({})) -> None:
        """Let the provider post a request."""
        at = SystemClock().now()
        case = SimulationCase(event.fields, query=query, headers=event.headers, at=at)
        signed = PROVIDERS[self.provider].sign(case, self.setup, self.url)
        answer = self.http.request(
            signed.method,
            self.served.url + signed.target,
            content=event.body or signed.body,
            headers=[(name, value) for name, value in signed.headers if name != "host"],
        )
        assert answer.status_code in (200, 204), (event, answer.text)

    def create(self, uid: str, amount: str, currency: str, **fields: Any) -> None:
        body = {"uid": uid, "direction": "pay_in", "amount": amount, "currency": currency, **fields}
        answer = self.served.http.post(f"{self.path}/transaction", json=body)
        assert answer.status_code == 201, answer.text

    def books(self, uid: str) -> tuple[str, Decimal, int]:
        """Return the status of a payment, what is left of it, and how many questions are open."""
        self.served.wait_for_callbacks()
        shown = self.served.http.get(f"{self.path}/transaction/{uid}").json()
        signs = {"credited": 1, "reinstated": 1, "refunded": -1, "chargedBack": -1, "reversed": -1}
        left = sum(sign * Decimal(shown[f"{name}Amount"]) for name, sign in signs.items())
        asked = self.served.http.get(f"{self.path}/conflict", params={"open": "true"}).json()
        own = [c for c in asked["data"] if c["transactionId"] == shown["id"]]
        return shown["status"], Decimal(left), len(own)


def shop_at(
    served: ServedGateway, http: httpx.Client, provider: str, config: Mapping[str, Any]
) -> Shop:
    """Make an application with a source of a provider."""
    path = f"/app/{served.http.post('/app', json={'name': 'shop'}).json()['id']}"
    secret = SECRET_OF.get(provider, "secret-of-the-merchant-01")
    body = {"name": "till", "provider": provider, "secrets": [secret], "config": dict(config)}
    answer = served.http.post(f"{path}/source", json=body)
    assert answer.status_code == 201, answer.text
    url = served.url + answer.json()["path"]
    return Shop(served, path, url, provider, SourceSetup((secret,), dict(config)), http)


def in_currency(value: Any, currency: str) -> Any:
    """Return an event with another currency. Its minor units stay as they are."""
    if isinstance(value, Mapping):
        return {name: in_currency(member, currency) for name, member in value.items()}
    if isinstance(value, list):
        return [in_currency(member, currency) for member in value]
    return {"EUR": currency, "eur": currency.lower()}.get(value, value) if value else value


def played(shop: Shop, life: Life, uid: int, currency: str) -> tuple[str, Decimal, int]:
    """Play a life in a currency, in any order; return the books."""
    shop.create(f"{uid}", f"{Decimal(life.amount).scaleb(-DECIMALS[currency]):f}", currency)
    events = list(life.events(uid))
    rest = events[life.first :]
    random.Random(seed() + uid).shuffle(rest)
    for event in (*events[: life.first], *rest):
        for _ in range(2):
            shop.send(event._replace(fields=in_currency(event.fields, currency)))
    return shop.books(f"{uid}")


def test_the_api_says_what_the_provider_has_left(served: ServedGateway) -> None:
    every = list(DECIMALS)
    plays = [
        (provider, life, currency)
        for place, (provider, life) in enumerate(LIVES)
        for currency in (every if IS_WHOLE else [every[place % len(every)]])
    ]
    wrong = []
    with httpx.Client(timeout=PATIENCE_S) as http:
        for uid, (provider, life, currency) in enumerate(plays):
            books = played(shop_at(served, http, provider, life.config), life, uid, currency)
            balance = Decimal(life.balance).scaleb(-DECIMALS[currency])
            if books != (life.status, balance, 0):
                wrong.append((provider, life.name, currency, books))
    assert wrong == []


# ── what is only asked for ───────────────────────────────────────────────────────────────────────


class Service:
    """What a payment service answers when it is asked about its payments."""

    def __init__(self, served: ServedGateway) -> None:
        self.payments: dict[str, dict[str, Any]] = {}
        self.served = served
        self.url = served.receiver.url("/v1/payments/").removesuffix("/") + "/{pspTransactionId}"

    def put(self, own_id: str, **members: Any) -> None:
        """Change a payment."""
        known = {"transaction_amount_refunded": 0, "currency_id": "CLP", "live_mode": True}
        self.payments[own_id] = {**known, **self.payments.get(own_id, {}), **members}
        self.served.receiver.on(f"/v1/payments/{own_id}", self._tell)

    async def _tell(self, exchange: ReceiverExchange) -> None:
        own_id = exchange.request.path.rpartition("/")[2]
        await exchange.answer(200, msgspec.json.encode(self.payments[own_id]))


def test_mercado_pago_is_asked_about_every_try(served: ServedGateway) -> None:
    service = Service(served)
    with httpx.Client(timeout=PATIENCE_S) as http:
        shop = shop_at(served, http, "mercadopago", {"lookupUrl": service.url})
        shop.create("77", "4990", "CLP")
        steps: list[tuple[str, dict[str, Any], tuple[str, int, int]]] = [
            ("1", {"status": "rejected", "transaction_amount": 4990}, ("Pending", 0, 0)),
            ("2", {"status": "pending", "transaction_amount": 4990}, ("Pending", 0, 0)),
            ("3", {"status": "approved", "live_mode": False}, ("Pending", 0, 0)),
            ("2", {"status": "approved"}, ("Approved", 4990, 0)),
            ("1", {}, ("Approved", 4990, 0)),
            ("2", {"transaction_amount_refunded": 990}, ("Approved", 4000, 0)),
            ("2", {"status": "refunded", "transaction_amount_refunded": 4990}, ("Approved", 0, 0)),
        ]
        for own_id, changed, books in steps:
            service.put(own_id, **changed)
            about = {"action": "payment.updated", "type": "payment", "data": {"id": own_id}}
            for told in (about, {**about, "data": {"id": "1"}}):  # the first try is told last
                shop.send(Event(told), query={"order": "77"})
            served.wait_for_callbacks()
            served.do(served.gateway.status_checker.check_due())
            status, left, asked = shop.books("77")
            assert (status, int(left), asked) == books, (own_id, changed)
