"""Shoppex and Zenofy: what they say of an order, and the same said again in each dialect."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import ForwardNotice, NoteNotice, OrderNotice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.profiles import PROFILES
from tillbell.profiles.base import MessageContext
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import (
    Incoming,
    ParsedNotices,
    Provider,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kit.requests import json_body

SHOPPEX, ZENOFY, MOZARTO = (PROVIDERS[name] for name in ("shoppex", "zenofy", "mozarto"))
SETUP = SourceSetup(("shoppex-demo-secret",))
AT = 1_777_624_938

ZENOFY_ORDER = {
    "event": "order_paid",
    "orderId": "673f92b2",
    "status": "PAID",
    "totalAmount": Decimal("149.99"),
    "currency": "MZN",
    "paymentGateway": "EMIS_GPO",
    "paymentReference": "PC673F92_1A",
    "createdAt": "2026-05-01T10:30:00+02:00",
    "paidAt": "2026-05-01T10:42:18+02:00",
    "affiliateId": None,
    "customer": {"name": "Ana Čolić", "email": "ana@example.com", "phoneNumber": None},
    "items": [
        {
            "productId": "507f1f77",
            "productName": "Starter course",
            "quantity": 1,
            "unitPrice": Decimal("149.90"),
            "totalPrice": Decimal("149.90"),
            "currency": "MZN",
            "isBumpProduct": True,
        }
    ],
}
SHOPPEX_ORDER = {
    "uniqid": "abc123",
    "type": "PRODUCT",
    "status": "COMPLETED",
    "gateway": "STRIPE",
    "total": Decimal("29.90"),
    "currency": "USD",
    "customer_email": "ada@example.com",
    "number": "ORD-1001",
    "created_at": AT - 60,
    "products": [{"uniqid": "prd_1", "title": "Course", "quantity": 2, "unit_price": 14.95}],
}


def posted(provider: Provider, fields: dict[str, Any]) -> ParsedNotices:
    incoming = provider.sign(SimulationCase(fields), SETUP, "https://hooks.example/x")
    assert provider.verify(incoming, SETUP).trust is provider.best_trust
    return provider.parse(incoming, SETUP)


def event(name: str, **changed: Any) -> ParsedNotices:
    data = {**SHOPPEX_ORDER, **changed}
    return posted(SHOPPEX, {"event": name, "data": data, "created_at": AT})


def split(parsed: ParsedNotices) -> tuple[OrderNotice, TransactionNotice]:
    order, transaction = parsed.notices
    assert isinstance(order, OrderNotice)
    assert isinstance(transaction, TransactionNotice)
    assert transaction.is_optional
    return order, transaction


def said_again(profile: str, type_: str, data: dict[str, Any], part: int = 0) -> Any:
    """Return what an endpoint of that profile is sent of a message with this data."""
    dialect = PROFILES[profile]
    payload = json.dumps({"type": type_, "timestamp": "2026-05-01T00:00:00Z", "data": data})
    message = MessageContext("msg_1", type_, AT * 1_000_000, payload.encode())
    body = dialect.render(dialect.parts(type_, None)[part], message)
    return json.loads(body, parse_float=Decimal)


# ── Shoppex ──────────────────────────────────────────────────────────────────────────────────────


def test_the_signature_is_the_hex_of_hmac_sha512() -> None:
    body = b'{"event":"order:paid","data":{"uniqid":"ord_1"},"created_at":1772359200}'
    right = (
        "aec5d184e781ece4344608331964940cd06ef88e1f5422d8f01828a70b598cd9"
        "4832d4aac6e6fee764270da3aee73c4434a6eb956239b65581c56725a6c8c190"
    )
    for written, trust in ((right, Trust.SIGNED), (right[:-1] + "1", None), (right[:-2], None)):
        incoming = Incoming("POST", "/", (("x-shoppex-signature", written),), body, 0)
        assert SHOPPEX.verify(incoming, SETUP).trust is trust
        assert SHOPPEX.verify(incoming, SourceSetup(("other", *SETUP.secrets))).trust is trust
        assert SHOPPEX.verify(incoming, SourceSetup(("",))).trust is None


@pytest.mark.parametrize(
    ("name", "type_", "status"),
    [
        ("order:paid", "order.paid", TransactionStatus.APPROVED),
        ("order:paid:product", "order.paid", TransactionStatus.APPROVED),
        ("order:cancelled", "order.cancelled", TransactionStatus.CANCELLED),
        ("order:cancelled:product", "order.cancelled", TransactionStatus.CANCELLED),
    ],
)
def test_an_order_is_told_with_its_payment(
    name: str, type_: str, status: TransactionStatus
) -> None:
    order, transaction = split(event(name, cancel_reason="expired"))

    assert (order.event_type, order.moves_money) == (type_, True)
    assert (order.data["id"], order.data["amount"]) == ("abc123", "29.90")
    assert transaction.status is status
    assert transaction.references.ours == ("abc123",)
    assert transaction.reason == ("expired" if status is TransactionStatus.CANCELLED else None)
    assert transaction.amount is not None
    assert (transaction.amount.value, transaction.amount.currency) == ("29.90", "USD")


def test_an_order_is_paid_once_with_products_or_without_and_whatever_the_delivery_is() -> None:
    keys = {
        event("order:paid").dedupe_key,
        event("order:paid:product").dedupe_key,
        event("order:paid", gateway="PAYPAL").dedupe_key,
    }

    assert len(keys) == 1
    assert event("order:cancelled").dedupe_key not in keys
    assert event("order:paid", uniqid="def").dedupe_key not in keys


def test_other_events_are_told_apart_by_what_is_signed_only() -> None:
    body = json_body({"event": "order:created", "data": SHOPPEX_ORDER, "created_at": AT})
    keys = {
        SHOPPEX.parse(Incoming("POST", target, headers, body, 0), SETUP).dedupe_key
        for target, headers in (("/", ()), ("/?a=1", (("x-shoppex-delivery", "another"),)))
    }

    assert len(keys) == 1


@pytest.mark.parametrize("word", ["SHIPPED", None])
def test_an_updated_order_of_an_unknown_state_moves_nothing_and_is_seen(word: str | None) -> None:
    unmapped, note = event("order:updated", status=word).notices

    assert isinstance(unmapped, TransactionNotice)
    assert unmapped.status is None
    assert isinstance(note, NoteNotice)


@pytest.mark.parametrize("total", ["abc", "1e3", True, [1], "1,50"])
def test_an_amount_that_cannot_be_read_is_no_amount(total: Any) -> None:
    with pytest.raises(Unreadable):
        event("order:paid", total=total)


@pytest.mark.parametrize("name", ["created", "cancelled", "trial:started", "created:product"])
def test_a_subscription_is_passed_on_as_ours(name: str) -> None:
    fields = {
        "uniqid": "sub_1",
        "status": "ACTIVE",
        "total": Decimal("29.90"),
        "currency": "USD",
        "customer_email": "ada@example.com",
        "current_period_end": AT,
    }
    parsed = posted(SHOPPEX, {"event": f"subscription:{name}", "data": fields, "created_at": AT})
    (notice,) = parsed.notices

    assert isinstance(notice, ForwardNotice)
    assert notice.event_type == "subscription." + name.removesuffix(":product").replace(":", ".")
    data = json.loads(notice.payload)["data"]
    assert (data["id"], data["status"], data["amount"]) == ("sub_1", "active", "29.90")
    assert data["currentPeriodEnd"] == "2026-05-01T08:42:18.000000Z"
    body = said_again("shoppex", notice.event_type, data)
    assert {name: body["data"][name] for name in fields} == fields


@pytest.mark.parametrize(
    "name", ["query:created", "subscription:eaten", "x", "transaction:approved"]
)
def test_what_the_catalogue_has_no_type_for_is_only_kept(name: str) -> None:
    (notice,) = event(name).notices

    assert isinstance(notice, NoteNotice)


# ── Zenofy ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "word", "status", "kind"),
    [
        ("order_paid", "PAID", TransactionStatus.APPROVED, TransactionKind.PAYMENT),
        ("order_refunded", "REFUNDED", TransactionStatus.APPROVED, TransactionKind.REFUND),
        ("order_cancelled", "CANCELLED", TransactionStatus.CANCELLED, TransactionKind.PAYMENT),
    ],
)
def test_an_event_is_an_order_and_its_payment_or_refund(
    name: str, word: str, status: TransactionStatus, kind: TransactionKind
) -> None:
    parsed = posted(ZENOFY, {**ZENOFY_ORDER, "event": name, "status": word})
    order, transaction = split(parsed)

    assert order.event_type == name.replace("_", ".")
    assert (transaction.status, transaction.kind) == (status, kind)
    assert parsed.dedupe_key == f"673f92b2|{name}"


@pytest.mark.parametrize(("name", "word"), [("order_paid", "REFUNDED"), ("order_lost", "LOST")])
def test_a_contradiction_or_an_unknown_event_tells_of_no_order(name: str, word: str) -> None:
    transaction, note = posted(ZENOFY, {**ZENOFY_ORDER, "event": name, "status": word}).notices

    assert isinstance(transaction, TransactionNotice)
    assert transaction.status is None
    assert isinstance(note, NoteNotice)


@each(
    ("headers", "secrets", "trust"),
    [
        ((("x-webhook-secret", "s3cret"),), ("s3cret",), Trust.SECRET),
        ((("x-webhook-secret", "s3cret"),), ("new", "s3cret"), Trust.SECRET),
        ((("x-webhook-secret", "s3cre"),), ("s3cret",), None),
        ((("x-webhook-secret", ""),), ("",), None),
        ((("x-webhook-secret", "s3cret"), ("x-webhook-secret", "s3cret")), ("s3cret",), None),
        ((), ("s3cret",), None),
        ((), (), Trust.NONE),
    ],
)
def test_the_secret_is_compared_as_it_stands(
    headers: tuple[tuple[str, str], ...], secrets: tuple[str, ...], trust: Trust | None
) -> None:
    incoming = Incoming("POST", "/", headers, b"{}", 0)

    assert ZENOFY.verify(incoming, SourceSetup(secrets)).trust is trust


# ── the same in another dialect ──────────────────────────────────────────────────────────────────


def test_an_order_of_zenofy_comes_out_as_it_went_in() -> None:
    order, _ = split(posted(ZENOFY, ZENOFY_ORDER))

    assert said_again("zenofy", order.event_type, order.data) == ZENOFY_ORDER


def test_an_order_of_zenofy_is_an_order_of_shoppex() -> None:
    order, _ = split(posted(ZENOFY, ZENOFY_ORDER))
    body = said_again("shoppex", order.event_type, order.data, part=1)

    assert body["event"] == "order:paid:product"
    data = body["data"]
    assert (data["uniqid"], data["status"], data["total"]) == (
        "673f92b2",
        "COMPLETED",
        Decimal("149.99"),
    )
    assert (data["customer_email"], data["paid_at"]) == ("ana@example.com", AT)
    assert [product["unit_price"] for product in data["products"]] == [Decimal("149.90")]


def test_an_order_of_shoppex_comes_out_as_it_went_in() -> None:
    order, _ = split(event("order:paid:product"))
    data = said_again("shoppex", order.event_type, order.data, part=1)["data"]

    for name in SHOPPEX_ORDER.keys() - {"products"}:
        assert data[name] == SHOPPEX_ORDER[name]
    (product,) = data["products"]
    assert (product["uniqid"], product["title"], product["quantity"]) == ("prd_1", "Course", 2)


def test_an_order_of_shoppex_is_an_order_of_zenofy() -> None:
    order, _ = split(event("order:paid:product"))
    body = said_again("zenofy", order.event_type, order.data)

    assert (body["event"], body["orderId"], body["status"]) == ("order_paid", "abc123", "PAID")
    assert (body["totalAmount"], body["currency"]) == (Decimal("29.90"), "USD")
    assert body["paidAt"] == "2026-05-01T08:42:18+00:00"  # the event's own time
    assert body["customer"]["email"] == "ada@example.com"
    assert body["items"][0]["unitPrice"] == Decimal("14.95")


@pytest.mark.parametrize("profile", ["mozarto", "mozarto-legacy"])
def test_what_our_profiles_send_the_adapter_understands(profile: str) -> None:
    for status in TransactionStatus:
        type_ = "transaction." + str(status).lower().replace(" ", "_")
        data = {"id": "trx_1", "status": str(status), "amount": "100.00", "currency": "EUR"}
        body = said_again(profile, type_, data)
        setup = SourceSetup(SETUP.secrets, {"legacy": True})
        incoming = MOZARTO.sign(SimulationCase(body), setup, "https://hooks.example/x")
        (notice,) = MOZARTO.parse(incoming, setup).notices

        assert isinstance(notice, TransactionNotice)
        assert notice.status is status
