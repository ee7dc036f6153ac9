"""The platforms' own samples, and the rules that their documents state beside them."""

from __future__ import annotations

import pytest

from tests.cases import each
from tests.profiles.exchange import exchange, payload, render, rendered, sample
from tillbell.profiles import profile

STATUSES = {
    "transaction.pending": "Pending",
    "transaction.processing": "Processing",
    "transaction.on_hold": "On Hold",
    "transaction.approved": "Approved",
    "transaction.declined": "Declined",
    "transaction.failed": "Failed",
    "transaction.cancelled": "Cancelled",
    "transaction.rejected": "Rejected",
}


# ── zenofy ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event_type", "source", "expected"),
    [
        ("order.paid", "paid_order", "zenofy_paid"),
        ("order.refunded", "paid_order", "zenofy_refunded"),
        ("order.cancelled", "cancelled_order", "zenofy_cancelled"),
    ],
)
def test_zenofy_sample(event_type: str, source: str, expected: str) -> None:
    assert render("zenofy", event_type, sample(source)) == sample(expected)


@pytest.mark.parametrize(
    "event_type", ["order.partially_refunded", "order.created", "transaction.approved", "my.type"]
)
def test_zenofy_sends_only_what_it_has_a_word_for(event_type: str) -> None:
    assert profile("zenofy").parts(event_type, None) == ()


def test_zenofy_keys_are_there_even_when_nothing_is_known() -> None:
    body = rendered("zenofy", "order.paid", b"{}")
    assert set(body) == set(rendered("zenofy", "order.paid", sample("paid_order")))
    assert body["customer"] == {"name": None, "email": None, "phoneNumber": None}
    assert body["items"] == []
    item = rendered("zenofy", "order.paid", payload(items=[{}]))["items"][0]
    assert item == {
        "productId": None,
        "productName": None,
        "quantity": None,
        "unitPrice": None,
        "totalPrice": None,
        "currency": None,
        "isBumpProduct": False,
    }


def test_a_line_without_a_total_costs_its_price_times_its_quantity() -> None:
    lines = [
        ({"unitPrice": "29.99", "quantity": 3}, 89.97),
        ({"unitPrice": "29.99", "quantity": 3, "totalPrice": "80.00"}, 80.0),
        ({"unitPrice": "19.90", "quantity": 0.25}, 4.975),
        ({"unitPrice": "29.99"}, None),
        ({"quantity": 3}, None),
        ({"unitPrice": "9" * 30, "quantity": 10**15}, None),
        ({"unitPrice": "29.99", "quantity": "three"}, None),
    ]
    order = payload(currency="EUR", items=[line for line, _ in lines])
    paid = rendered("zenofy", "order.paid", order)
    assert [item["totalPrice"] for item in paid["items"]] == [total for _, total in lines]
    bought = rendered("shoppex", "order.paid", order, part=1)["data"]["products"]
    assert [product["total"] for product in bought] == [total for _, total in lines]


@each(
    ("amount", "currency", "written"),
    [
        ("49", "EUR", b"49.00"),
        ("49.5", "MZN", b"49.50"),
        ("5000", "JPY", b"5000"),
        ("1.5", "KWD", b"1.500"),
        ("0.1", "BTC", b"0.10000000"),
        ("123456789012345678.99", "EUR", b"123456789012345678.99"),
        (7, "EUR", b"7.00"),
        ("many", "EUR", b"null"),
        (None, "EUR", b"null"),
    ],
)
def test_amounts_have_the_digits_of_their_currency(
    amount: object, currency: str, written: bytes
) -> None:
    body = render("zenofy", "order.paid", payload(amount=amount, currency=currency))
    assert b'"totalAmount":' + written + b"," in body


@each(
    ("given", "written"),
    [
        ("2026-05-01T10:30:00+02:00", "2026-05-01T10:30:00+02:00"),
        ("2026-05-01T10:30:00.250000-03:30", "2026-05-01T10:30:00-03:30"),
        ("2026-05-01T08:30:00Z", "2026-05-01T08:30:00+00:00"),
        ("2026-05-01T08:30:00", "2026-05-01T08:30:00+00:00"),
        (1777624200, "2026-05-01T08:30:00+00:00"),
        ("yesterday", None),
        ([], None),
    ],
)
def test_zenofy_times_have_an_offset(given: object, written: str | None) -> None:
    assert rendered("zenofy", "order.paid", payload(createdAt=given))["createdAt"] == written


def test_zenofy_secret_is_the_header_or_no_header() -> None:
    _, secured = exchange("zenofy", "order.paid", b"{}", "new secret", "old secret")
    assert secured["X-Webhook-Secret"] == "new secret"
    assert len(secured["webhook-signature"].split()) == 2
    _, open_ = exchange("zenofy", "order.paid", b"{}")
    assert set(open_) == {"webhook-id", "webhook-timestamp"}


# ── mozarto ──────────────────────────────────────────────────────────────────────────────────────


def test_mozarto_sample() -> None:
    body = render("mozarto", "transaction.approved", sample("approved_transaction"))
    assert body == sample("mozarto_approved")


@each(("event_type", "status"), STATUSES.items())
def test_mozarto_status_is_title_case_and_message_never_empty(event_type: str, status: str) -> None:
    body = rendered("mozarto", event_type, payload(id=5, message=""))
    assert body["transaction_status"] == status
    assert body["message"]
    assert body["transaction_id"] == "5"


def test_mozarto_required_members_are_empty_and_optional_ones_absent() -> None:
    body = rendered("mozarto", "transaction.failed", b"{}")
    assert body == {
        "transaction_id": "",
        "user_id": "",
        "status": "failed",
        "transaction_status": "Failed",
        "message": "Payment failed",
        "amount": "",
        "merchantReference": "",
    }


@each("name", ["mozarto", "mozarto-legacy"])
@each("event_type", ["transaction.conflict", "transaction.reversed", "order.paid", "my.type"])
def test_mozarto_sends_only_its_eight_statuses(name: str, event_type: str) -> None:
    assert profile(name).parts(event_type, None) == ()


def test_mozarto_password_is_bare_and_optional() -> None:
    _, secured = exchange("mozarto", "transaction.approved", b"{}", "pass word", "old")
    assert secured["Authorization"] == "pass word"
    _, open_ = exchange("mozarto", "transaction.approved", b"{}")
    assert set(open_) == {"webhook-id", "webhook-timestamp"}


def test_mozarto_legacy_sample() -> None:
    body = render("mozarto-legacy", "transaction.approved", sample("crypto_transaction"))
    assert body == sample("mozarto_legacy_confirmed")


@each("event_type", STATUSES)
def test_mozarto_legacy_confirms_what_is_approved_and_nothing_else(event_type: str) -> None:
    body = rendered("mozarto-legacy", event_type, b"{}")
    approved = event_type == "transaction.approved"
    assert body["confirmed"] is approved
    assert (body["status"] == "Confirmed") is approved


def test_mozarto_legacy_token_is_a_bearer_token() -> None:
    _, secured = exchange("mozarto-legacy", "transaction.approved", b"{}", "token-1")
    assert secured["Authorization"] == "Bearer token-1"
    assert "leave out the word Bearer" in (profile("mozarto-legacy").check_secret("Bearer x") or "")


# ── shoppex ──────────────────────────────────────────────────────────────────────────────────────


def test_shoppex_sample() -> None:
    document = payload(
        id="abc123def456",
        amount="29.99",
        currency="USD",
        gateway="STRIPE",
        customer={"email": "ada@example.com"},
        createdAt="2024-01-15T10:30:00Z",
        paidAt="2024-01-15T11:30:50+01:00",
    )
    assert render("shoppex", "order.paid", document) == sample("shoppex_paid")


def test_shoppex_product_part_has_whole_products() -> None:
    body = render("shoppex", "order.paid", sample("paid_order"), part=1)
    whole = rendered("shoppex", "order.paid", sample("paid_order"), part=1)
    assert whole["event"] == "order:paid:product"
    product = whole["data"]["products"][0]
    assert product["title"] == "Starter course"
    assert product["description"] == "Šest lekcija — لغات"
    assert product["image_url"] == "https://shop.example/a.png"
    assert product["created_at"] == 1767225600
    assert b'"weight":1.50' in body
    assert b'"unit_price":149.99' in body
    assert b'{"big": 12345678901234567890123, "rate": 1.10}' in body


def test_shoppex_base_part_has_no_products() -> None:
    assert "products" not in rendered("shoppex", "order.paid", sample("paid_order"))["data"]


BASE, PRODUCT = "order:paid", "order:paid:product"


@each(
    ("selectors", "parts"),
    [
        (None, (BASE, PRODUCT)),
        (("*",), (BASE, PRODUCT)),
        (("order.*",), (BASE, PRODUCT)),
        (("order:*",), (BASE, PRODUCT)),
        (("invoice.*",), (BASE, PRODUCT)),
        (("order:paid",), (BASE,)),
        (("order.paid",), (BASE,)),
        (("order_paid",), (BASE,)),
        (("invoice.paid",), (BASE,)),
        (("order:paid:product",), (PRODUCT,)),
        (("order.paid.product",), (PRODUCT,)),
        (("order:paid:product", "order:paid"), (BASE, PRODUCT)),
        (("order:cancelled", "order:paid:product"), (PRODUCT,)),
        (("subscription.*", "order.paid"), (BASE,)),
        (("ORDER:PAID:PRODUCT", "subscription.*"), (PRODUCT,)),
        (("something that the filter understood",), (BASE,)),
    ],
)
def test_shoppex_parts_follow_the_selectors(
    selectors: tuple[str, ...] | None, parts: tuple[str, ...]
) -> None:
    assert profile("shoppex").parts("order.paid", selectors) == parts


@each(
    ("event_type", "parts"),
    [
        ("order.cancelled", ("order:cancelled", "order:cancelled:product")),
        ("order.partially_refunded", ("order:partially_refunded",)),
        ("subscription.created", ("subscription:created",)),
        ("subscription.trial.started", ("subscription:trial:started",)),
        ("product.stock", ("product:stock",)),
        ("loyalty.points_added", ("loyalty.points_added",)),
        ("order.picked", ("order.picked",)),
        ("transaction.approved", ()),
        ("shipment.delivered", ()),
        ("endpoint.failing", ()),
    ],
)
def test_shoppex_spelling_and_what_it_does_not_have(
    event_type: str, parts: tuple[str, ...]
) -> None:
    assert profile("shoppex").parts(event_type, None) == parts


def test_shoppex_name_used_for_an_own_type_is_no_order() -> None:
    body = render("shoppex", "order:paid", b'{"cup": 1}')
    assert b'"event":"order:paid","data":{"cup": 1},' in body


def test_shoppex_parts_are_two_deliveries_to_a_receiver_that_deduplicates() -> None:
    base, base_headers = exchange("shoppex", "order.paid", b"{}", "secret text")
    whole, whole_headers = exchange("shoppex", "order.paid", b"{}", "secret text", part=1)
    assert (base_headers["webhook-id"], whole_headers["webhook-id"]) == ("msg_1", "msg_1_product")
    assert b'"id":"msg_1"' in base
    assert b'"id":"msg_1_product"' in whole


@pytest.mark.parametrize(
    ("reason", "written"),
    [
        ("expired", "expired"),
        ("Expired by timer", "expired"),
        ("customer", "cancelled"),
        (None, "cancelled"),
    ],
)
def test_shoppex_tells_cancelled_from_expired(reason: str | None, written: str) -> None:
    body = rendered("shoppex", "order.cancelled", payload(cancelReason=reason))
    assert body["data"]["cancel_reason"] == written


@pytest.mark.parametrize(
    ("event_type", "status"),
    [
        ("order.paid", "COMPLETED"),
        ("order.cancelled", "VOIDED"),
        ("order.refunded", "REFUNDED"),
        ("order.disputed", "CUSTOMER_DISPUTE_ONGOING"),
        ("order.updated", "COMPLETED"),
    ],
)
def test_shoppex_status_is_of_the_moment(event_type: str, status: str) -> None:
    body = rendered("shoppex", event_type, payload(status="paid"))
    assert body["data"]["status"] == status


def test_shoppex_carries_own_types_with_the_payload_untouched() -> None:
    body = render("shoppex", "loyalty.points_added", b'{ "points" : 1.50 }')
    assert b'"event":"loyalty.points_added","data":{ "points" : 1.50 },' in body


def test_shoppex_times_are_unix_seconds_throughout() -> None:
    document = payload(id="sub_1", createdAt="2026-05-01T00:00:00Z", trialEnd=None, plan="Box")
    data = rendered("shoppex", "subscription.created", document)["data"]
    assert data["created_at"] == 1777593600
    assert data["trial_end"] is None
    assert (data["uniqid"], data["type"], data["plan"]) == ("sub_1", "SUBSCRIPTION", "Box")


def test_shoppex_signature_header_is_made_with_the_new_secret() -> None:
    _, both = exchange("shoppex", "order.paid", b"{}", "new secret", "old secret")
    _, new = exchange("shoppex", "order.paid", b"{}", "new secret")
    assert both["X-Shoppex-Signature"] == new["X-Shoppex-Signature"]
    assert len(both["webhook-signature"].split()) == 2


@pytest.mark.parametrize("secret", ["short", "whsk_" + "A" * 43 + "=", "tab\there tab"])
def test_shoppex_refuses_secrets_it_cannot_use(secret: str) -> None:
    assert profile("shoppex").check_secret(secret)
