"""Look-ups in the shapes in which each provider answers: reserved, then captured, then refunded."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.money.lives import Account, Event, account
from tests.money.payment_harness import PaymentHarness
from tests.money.test_lives_whole import mo
from tests.scale import seed
from tillbell.testing.exchange import ReceiverExchange

pytestmark = pytest.mark.sqlite_first

Answer = Mapping[str, Any]
MIXED = 2  # payments whose webhooks come in another order each
CHECKS_S = (301, 3_601, 86_401)  # after which an open payment is asked about


class Shape(NamedTuple):
    """What a provider answers about one payment in turn, and what is left of it after each."""

    answers: tuple[Answer, ...]
    balances: tuple[int, ...]
    authorized: int = 1  # how often the shop is told so
    is_conflict: bool = False
    body: Any = None  # what is posted to ask
    status: str = "Approved"
    config: Mapping[str, Any] = {}


def checkout(status: str, authorized: int, captured: int, refunded: int) -> Answer:
    balances = {
        "total_authorized": authorized,
        "total_voided": 0,
        "total_captured": captured,
        "total_refunded": refunded,
    }
    return {"id": "P1", "status": status, "amount": 10_000, "currency": "EUR", "balances": balances}


def braintree(*edges: Mapping[str, Any]) -> Answer:
    return {"data": {"search": {"transactions": {"edges": [{"node": edge} for edge in edges]}}}}


def anet(status: str, settled: float) -> Answer:
    told = {"transId": "P1", "transactionStatus": status, "authAmount": 100.0}
    return {"transaction": {**told, "settleAmount": settled}, "messages": {"resultCode": "Ok"}}


def square(status: str, **more: Any) -> Answer:
    money = {"amount": 10_000, "currency": "EUR"}
    return {"payment": {"id": "P1", "status": status, "amount_money": money, **more}}


def direct(status: str, acquired: int | None = 0, **more: int) -> Answer:
    """Answer as Direct does: what was asked for, and what of it is captured."""
    output: dict[str, Any] = {"amountOfMoney": {"amount": 10_000, "currencyCode": "EUR"}, **more}
    if acquired is not None:
        output["acquiredAmount"] = {"amount": acquired, "currencyCode": "EUR"}
    return {"id": "P1", "status": status, "paymentOutput": output}


def nuvei(kind: str, status: str, **more: Any) -> Answer:
    told = {"transactionType": kind, "transactionStatus": status, "status": "SUCCESS"}
    return {**told, "amount": "100.00", "currency": "EUR", **more}


def nuvei_details(kind: str, status: str, amount: str) -> Answer:
    told = {"transactionType": kind, "transactionStatus": status}
    return {**told, "processedAmount": amount, "processedCurrency": "EUR"}


NUVEI_DETAILS = {
    "status": "/transactionDetails/transactionType /transactionDetails/transactionStatus",
    "amount": "/transactionDetails/processedAmount",
    "currency": "/transactionDetails/processedCurrency",
}


def mercado(status: str, refunded: int = 0) -> Answer:
    money = {"transaction_amount": 100, "transaction_amount_refunded": refunded}
    return {"id": 1, "status": status, "live_mode": True, "currency_id": "EUR", **money}


def debited(status: str) -> Answer:
    money = {"amount": 10_000, "amount_refunded": 0, "currency": "EUR"}
    return {"payments": {"id": "P1", "status": status, **money}}


def razor(status: str, refunded: int = 0) -> Answer:
    money = {"amount": 10_000, "amount_refunded": refunded, "currency": "EUR"}
    return {"id": "P1", "status": status, **money}


def payu(status: str) -> Answer:
    return {"orders": [{"status": status, "totalAmount": "10000", "currencyCode": "EUR"}]}


def mollie(status: str, **more: str) -> Answer:
    sums = {name: {"value": value, "currency": "EUR"} for name, value in more.items()}
    money = {"value": "100.00", "currency": "EUR"}
    return {"id": "P1", "mode": "live", "status": status, "amount": money, **sums}


ASKED = {"getTransactionDetailsRequest": {"merchantAuthentication": {"name": "n"}, "transId": "P1"}}
QUERY = "query ($id: String) { search { transactions(input: {orderId: {is: $id}}) { edges } } }"
SHAPES: Mapping[str, tuple[Shape, ...]] = {
    "checkoutcom": (
        Shape(
            (
                checkout("Authorized", 10_000, 0, 0),
                checkout("Authorized", 10_000, 0, 0),
                checkout("Partially Refunded", 10_000, 10_000, 3_000),
            ),
            (0, 0, 7_000),
        ),
        Shape(  # a part is no more than that part
            (checkout("Partially Captured", 10_000, 4_000, 0),),
            (4_000,),
            authorized=0,
            config={"partialCapture": "credit"},
        ),
        Shape(  # an older account tells no balances
            ({"status": "Captured", "amount": 10_000, "currency": "EUR"},),
            (0,),
            authorized=0,
            is_conflict=True,
            status="Pending",
        ),
        Shape(({"status": "Declined"},), (0,), authorized=0, status="Pending"),
    ),
    "braintree": (
        Shape(
            (
                braintree(),
                braintree(
                    {"status": "SETTLED", "amount": {"value": "100.00", "currencyCode": "EUR"}}
                ),
            ),
            (0, 10_000),
            authorized=0,
            body={"query": QUERY, "variables": {"id": "ORDER"}},
        ),
    ),
    "authorizenet": (
        Shape(
            (anet("authorizedPendingCapture", 0.0), anet("settledSuccessfully", 100.0)),
            (0, 10_000),
            body=ASKED,
        ),
        Shape(
            (anet("capturedPendingSettlement", 40.0),),
            (0,),
            authorized=0,
            is_conflict=True,
            status="Pending",
            body=ASKED,
        ),
    ),
    "square": (
        Shape(
            (
                square("APPROVED"),
                square("COMPLETED", refunded_money={"amount": 2_500, "currency": "EUR"}),
            ),
            (0, 7_500),
        ),
    ),
    "worldline": (
        Shape(
            (direct("PENDING_CAPTURE"), direct("CAPTURE_REQUESTED"), direct("CAPTURED", 10_000)),
            (0, 0, 10_000),
        ),
        Shape(  # of 100.00 that were asked for
            (direct("CAPTURED", 4_000),),
            (4_000,),
            authorized=0,
            config={"partialCapture": "credit"},
        ),
        Shape((direct("PAID", None, amountPaid=10_000),), (10_000,), authorized=0),  # Connect
        Shape((direct("CAPTURED", None),), (0,), authorized=0, is_conflict=True, status="Pending"),
        Shape((direct("REJECTED"),), (0,), authorized=0, status="Pending"),
    ),
    "nuvei": (
        Shape((nuvei("Auth", "APPROVED"), nuvei("Settle", "APPROVED")), (0, 10_000)),
        Shape((nuvei("Sale", "PENDING"), nuvei("Sale", "APPROVED")), (0, 10_000), authorized=0),
        Shape(
            (nuvei("Sale", "APPROVED", partialApproval={"processedAmount": "40.00"}),),
            (4_000,),
            authorized=0,
            config={"partialCapture": "credit"},
        ),
        Shape((nuvei("Sale", "DECLINED"),), (0,), authorized=0, status="Pending"),
        Shape(  # getTransactionDetails has it all in a member of its own
            ({"transactionDetails": nuvei_details("Sale", "APPROVED", "100.00")},),
            (10_000,),
            authorized=0,
            config={"lookup": NUVEI_DETAILS},
        ),
    ),
    "mercadopago": (
        Shape(
            (mercado("authorized"), mercado("approved", 10)),
            (0, 9_000),
            authorized=0,
        ),
        Shape((mercado("refunded", 100),), (0,), authorized=0),
        Shape((mercado("cancelled"),), (0,), authorized=0, status="Pending"),  # a slip expired
        Shape((mercado("charged_back"),), (0,), authorized=0, status="Pending"),
    ),
    "gocardless": (
        Shape((debited("submitted"), debited("failed"), debited("confirmed")), (0, 0, 10_000), 0),
    ),
    "razorpay": (
        Shape((razor("authorized"), razor("captured", 1_000)), (0, 9_000)),
        Shape((razor("refunded", 10_000),), (0,), authorized=0),
        Shape((razor("failed"),), (0,), authorized=0, status="Pending"),
    ),
    "payu": (Shape((payu("WAITING_FOR_CONFIRMATION"), payu("COMPLETED")), (0, 10_000)),),
    "btcpay": (
        Shape(
            (
                {"status": "Processing", "amount": "100.00", "currency": "EUR"},
                {"status": "Settled", "amount": "100.00", "currency": "EUR"},
            ),
            (0, 10_000),
            authorized=0,
        ),
    ),
    "mollie": (
        Shape((mollie("authorized"), mollie("paid", amountRefunded="1.00")), (0, 9_900)),
        Shape(  # of 100.00 that were authorised, 60.00 are captured
            (mollie("paid", amountCaptured="60.00", amountRefunded="0.00"),),
            (6_000,),
            authorized=0,
            config={"partialCapture": "credit"},
        ),
    ),
}


class Service:
    """What a provider answers when it is asked about one payment, and what it was asked."""

    def __init__(self, payments: PaymentHarness, name: str) -> None:
        self._payments = payments
        self.answer: Answer = {}
        self.bodies: list[bytes] = []
        self.url = payments.harness.receiver.url(f"/{name}")
        payments.harness.receiver.on(f"/{name}", self._tell)

    async def _tell(self, exchange: ReceiverExchange) -> None:
        self.bodies.append(exchange.request.body)
        await exchange.answer(200, msgspec.json.encode(self.answer))


@pytest.mark.parametrize("provider", SHAPES)
async def test_a_look_up_is_read_as_its_provider_answers(
    payments: PaymentHarness, provider: str
) -> None:
    told: Counter[str] = Counter()
    for number, shape in enumerate(SHAPES[provider]):
        uid = f"{provider}-{number}"
        service = Service(payments, uid)
        template = msgspec.json.encode(shape.body).replace(b"P1", b"{pspTransactionId}")
        body = msgspec.json.decode(template.replace(b"ORDER", b"{orderId}"))
        asks = {} if body is None else {"lookupBody": body}
        shop = await account(payments, provider, lookupUrl=service.url, **asks, **shape.config)
        await payments.create(
            uid, source_id=shop.source.id, psp_transaction_id="P1", order_id="ORDER"
        )
        for answer, balance, wait in zip(shape.answers, shape.balances, CHECKS_S, strict=False):
            service.answer = answer
            await payments.pass_time(wait)
            await payments.gateway.status_checker.check_due()
            assert await payments.balance(uid) == balance, (uid, answer)
        assert str(await payments.status(uid)) == shape.status, uid
        assert bool(await payments.conflicts(uid)) is shape.is_conflict, uid
        after = await payments.told()
        assert (after - told)["transaction.authorized"] == shape.authorized, uid
        told = after
        asked = [msgspec.json.decode(sent) for sent in service.bodies if sent]
        assert asked == [shape.body] * len(shape.answers) * (shape.body is not None)


async def test_what_a_body_lacks_is_not_asked(payments: PaymentHarness) -> None:
    service = Service(payments, "lacking")
    asks = {"lookupUrl": service.url, "lookupBody": {"transId": "{pspTransactionId}"}}
    shop = await account(payments, "authorizenet", **asks)
    await payments.create("77", source_id=shop.source.id)
    await payments.pass_time(CHECKS_S[0])
    await payments.gateway.status_checker.check_due()
    assert service.bodies == []


async def test_what_a_hint_says_is_reserved_is_told_once(payments: PaymentHarness) -> None:
    service = Service(payments, "hinted")
    shop = await account(payments, "mollie", lookupUrl=service.url)
    await payments.create("77", psp_transaction_id="tr_77")
    service.answer = mollie("authorized")
    for _ in range(2):
        await shop.send(Event({"id": "tr_77"}))
        await payments.gateway.status_checker.check_due()
    payment = await payments.read("77")
    assert (payment.authorized, payment.substate) == (10_000, "authorized")
    assert (await payments.told())["transaction.authorized"] == 1


# ── classic webhooks, and signed events beside them ──────────────────────────────────────────────


class MollieState:
    """A payment at Mollie: what it answers, and the events that it sends of each change."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.captured = self.refunded = self.lost = 0
        self.answer = mollie("authorized")
        self.events = [mo(n, 0, "payment.authorized", "tr_", "100.00")]

    def change(self, minute: int, what: str, own_id: str, cents: int) -> None:
        """Let something happen to the payment."""
        self.captured += cents if what == "capture.succeeded" else 0
        self.refunded += cents if what == "refund.refunded" else 0
        self.lost += {"chargeback.received": cents, "chargeback.reversed": -cents}.get(what, 0)
        self.answer = mollie(
            "paid",
            amountCaptured=euros(self.captured),
            amountRefunded=euros(self.refunded),
            amountChargedBack=euros(self.lost),
        )
        self.events.append(mo(self.n, minute, what, own_id, euros(cents)))

    @property
    def balance(self) -> int:
        return self.captured - self.refunded - self.lost


CHANGES = (
    ("capture.succeeded", "cpt_a", 4_000),
    ("capture.succeeded", "cpt_b", 6_000),
    ("refund.refunded", "re_a", 1_000),
    ("refund.refunded", "re_b", 1_000),
    ("chargeback.received", "chb_a", 5_000),
    ("chargeback.reversed", "chb_a", 5_000),
    ("chargeback.received", "chb_b", 5_000),
)


def euros(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


async def send(shop: Account, *events: Event) -> None:
    """Let a provider send events, each of which is looked up if it is a hint."""
    for event in events:
        await shop.send(event)
        await shop.payments.gateway.status_checker.check_due()


@pytest.mark.parametrize("with_events", [False, True], ids=["classic", "both"])
async def test_classic_webhooks_and_events_of_one_payment_count_once(
    payments: PaymentHarness, *, with_events: bool
) -> None:
    chance = random.Random(seed())
    for n in range(1_000, 1_000 + MIXED):
        service = Service(payments, f"payment-{n}")
        shop = await account(payments, "mollie", lookupUrl=service.url, partialCapture="credit")
        await payments.create(f"{n}", psp_transaction_id=f"tr_{n}")
        state, waiting, order = MollieState(n), [], []
        for minute, change in enumerate((None, *CHANGES)):
            if change is not None:
                state.change(minute, *change)
            service.answer = state.answer
            waiting += [Event({"id": f"tr_{n}"}), *(state.events[-1:] * with_events)]
            chance.shuffle(waiting)
            lag = chance.randint(0, len(waiting) - 1)
            sent, waiting = waiting[lag:], waiting[:lag]
            order += [event.fields.get("type", "hint") for event in sent]
            await send(shop, *(event for event in sent for _ in range(2)))
        await send(shop, *waiting, *waiting, Event({"id": f"tr_{n}"}))
        asked = [conflict.why for conflict in await payments.conflicts(f"{n}")]
        assert (await payments.balance(f"{n}"), asked) == (state.balance, []), order
