"""GoCardless: the vector of its library, events without amounts, what is passed on."""

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import ForwardNotice, NoteNotice, Notice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.gocardless import PROVIDER
from tillbell.providers.kit.base import Incoming, IntakeStatus, SourceSetup, Unreadable

SETUP = SourceSetup(("ED7D658C-D8EB-4941-948B-3973214F2D49",))
# The signed body of gocardless-pro-python's tests, and its signature.
BODY = (
    b'{"events":[{"id":"EV00BD05S5VM2T","created_at":"2018-07-05T09:13:51.404Z",'
    b'"resource_type":"subscriptions","action":"created","links":{"subscription":'
    b'"SB0003JJQ2MR06"},"details":{"origin":"api","cause":"subscription_created",'
    b'"description":"Subscription created via the API."},"metadata":{}},{"id":'
    b'"EV00BD05TB8K63","created_at":"2018-07-05T09:13:56.893Z","resource_type":"mandates",'
    b'"action":"created","links":{"mandate":"MD000AMA19XGEC"},"details":{"origin":"api",'
    b'"cause":"mandate_created","description":"Mandate created via the API."},"metadata":{}}]}'
)
RIGHT = "2693754819d3e32d7e8fcb13c729631f316c6de8dc1cf634d6527f1c07276e7e"


def posted(body: bytes, *signatures: str) -> Incoming:
    headers = tuple(("webhook-signature", text) for text in signatures)
    return Incoming("POST", "/", headers, body, 0)


def event(resource: str, action: str, **members: Any) -> dict[str, Any]:
    links = {"payment": "PM1", "refund": "RF1"}
    return {"id": "EV1", "resource_type": resource, "action": action, "links": links, **members}


def read(*events: dict[str, Any], config: dict[str, Any] | None = None) -> list[Notice]:
    body = json.dumps({"events": events}).encode()
    return list(PROVIDER.parse(posted(body), SourceSetup(config=config or {})).notices)


def of_payment(action: str, **members: Any) -> TransactionNotice:
    (notice,) = read(event("payments", action, **members))
    assert isinstance(notice, TransactionNotice)
    assert notice.amount is None, "none is told"
    return notice


def test_the_vector_of_the_library_matches() -> None:
    assert PROVIDER.verify(posted(BODY, RIGHT), SETUP).trust is Trust.SIGNED


@each(
    ("body", "signatures"),
    [
        (BODY, ()),
        (BODY, ("",)),
        (BODY, (RIGHT, RIGHT)),
        (BODY, (RIGHT[:-1] + "f",)),
        (BODY + b"\n", (RIGHT,)),
        (BODY.replace(b"EV00BD05S5VM2T", b"EV00BD05S5VM2U"), (RIGHT,)),
    ],
)
def test_anything_else_is_refused(body: bytes, signatures: tuple[str, ...]) -> None:
    verdict = PROVIDER.verify(posted(body, *signatures), SETUP)
    assert verdict.trust is None
    assert PROVIDER.answer(posted(body), SETUP, IntakeStatus.REFUSED).status == 498


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("created", TransactionStatus.PENDING),
        ("customer_approval_granted", TransactionStatus.PENDING),
        ("submitted", TransactionStatus.PENDING),
        ("resubmission_requested", TransactionStatus.PENDING),
        ("confirmed", TransactionStatus.APPROVED),
        ("paid_out", TransactionStatus.APPROVED),
        ("failed", TransactionStatus.FAILED),
        ("cancelled", TransactionStatus.CANCELLED),
        ("customer_approval_denied", TransactionStatus.DECLINED),
        ("teleported", None),
    ],
)
def test_an_action_of_a_payment_is_its_status(
    action: str, status: TransactionStatus | None
) -> None:
    notice = of_payment(action)
    assert (notice.kind, notice.status) == (TransactionKind.PAYMENT, status)
    assert (notice.psp_transaction_id, notice.references.psp) == ("PM1", ("PM1",))
    assert not notice.is_hint


@pytest.mark.parametrize(("retry", "ends"), [(True, True), (False, False), (None, False)])
def test_a_failure_that_is_retried_ends_one_attempt(retry: bool | None, *, ends: bool) -> None:
    notice = of_payment("failed", details={"will_attempt_retry": retry, "reason_code": "AM04"})
    assert notice.ends_attempt is ends
    assert notice.reason == "AM04"


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("charged_back", TransactionKind.CHARGEBACK),
        ("chargeback_cancelled", TransactionKind.CHARGEBACK_REVERSAL),
    ],
)
def test_each_movement_of_a_chargeback_has_the_id_of_its_event(
    action: str, kind: TransactionKind
) -> None:
    notice = of_payment(action)
    assert (notice.kind, notice.status) == (kind, TransactionStatus.APPROVED)
    assert (notice.psp_transaction_id, notice.movement_id) == ("PM1:chargeback", "EV1")


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("created", TransactionStatus.PENDING),
        ("paid", TransactionStatus.APPROVED),
        ("failed", TransactionStatus.FAILED),
        ("funds_returned", TransactionStatus.FAILED),
        ("odd", None),
    ],
)
def test_a_refund_is_a_hint_because_it_tells_no_amount(
    action: str, status: TransactionStatus | None
) -> None:
    (notice,) = read(event("refunds", action), config={"statuses": {action: "Cancelled"}})
    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.REFUND, status)
    assert (notice.psp_transaction_id, notice.references.psp) == ("RF1", ("PM1",))
    assert notice.is_hint


def test_a_refund_of_no_payment_is_only_kept() -> None:
    (notice,) = read(event("refunds", "paid", links={"refund": "RF1"}))
    assert isinstance(notice, NoteNotice)


@pytest.mark.parametrize(
    "word",
    [
        "payments.chargeback_settled",
        "payments.late_failure_settled",
        "payments.surcharge_fee_debited",
        "refunds.refund_settled",
    ],
)
def test_a_settlement_of_what_was_told_is_only_kept(word: str) -> None:
    (notice,) = read(event(*word.split(".")))
    assert isinstance(notice, NoteNotice)


def test_the_metadata_of_a_payment_names_the_order() -> None:
    metadata = {"order_id": "ORD-1", "cart": "C-1"}
    assert of_payment("confirmed", resource_metadata=metadata).references.ours == ("ORD-1",)
    payment = event("payments", "confirmed", resource_metadata=metadata)
    (notice,) = read(payment, config={"reference": "resource_metadata.cart"})
    assert isinstance(notice, TransactionNotice)
    assert notice.references.ours == ("C-1",)
    (refund,) = read(event("refunds", "paid", resource_metadata=metadata))
    assert isinstance(refund, TransactionNotice)
    assert refund.references.ours == ("ORD-1",), "as the shop wrote it into the refund"


def test_other_events_are_passed_on_one_by_one() -> None:
    notices = read(event("mandates", "active"), event("payouts", "paid"))
    forwarded = [notice for notice in notices if isinstance(notice, ForwardNotice)]
    assert [notice.event_type for notice in forwarded] == [
        "gocardless.mandates.active",
        "gocardless.payouts.paid",
    ]
    assert json.loads(forwarded[0].payload)["action"] == "active"


@pytest.mark.parametrize(
    ("events", "key"),
    [([event("payments", "created")], "EV1"), ([event("payments", "created")] * 2, "WB1")],
)
def test_an_event_or_its_webhook_counts_once(events: list[dict[str, Any]], key: str) -> None:
    body = json.dumps({"events": events, "meta": {"webhook_id": "WB1"}}).encode()
    assert PROVIDER.parse(posted(body), SETUP).dedupe_key == key


@pytest.mark.parametrize(
    "body", [b"{}", b'{"events":{}}', json.dumps({"events": [{}] * 251}).encode()]
)
def test_what_is_no_list_of_events_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted(body), SETUP)
