"""Paddle: the published vector, its short tolerance, what an adjustment is."""

import json
from typing import Any

import pytest

from tillbell.model.callbacks import NoteNotice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SourceSetup
from tillbell.providers.paddle import PROVIDER

AT_S = 1_696_195_954
SETUP = SourceSetup(("pdl_ntf_01hbpjmytsa32fhr36nqgc3kgb_WvRO0eL4Bj9rgYYIBZY6wZhG4EHy9jzh",))
RIGHT = "d96299976a6eb066f484d7fde011ac56fc32b38fc9940bc419d6e537fdc6ef02"


def posted(header: str, age_s: int = 0) -> Incoming:
    received_at = (AT_S + age_s) * 1_000_000
    return Incoming("POST", "/", (("paddle-signature", header),), b"hello-world", received_at)


@pytest.mark.parametrize("header", [f"ts={AT_S};h1={RIGHT}", f"ts={AT_S};h1={'0' * 64};h1={RIGHT}"])
def test_the_published_vector_matches(header: str) -> None:
    assert PROVIDER.verify(posted(header), SETUP).trust is Trust.SIGNED


@pytest.mark.parametrize(
    ("config", "age_s", "is_good"),
    [
        ({}, 5, True),
        ({}, 6, False),
        ({}, -6, False),
        ({"toleranceSeconds": 600}, 600, True),
        ({"toleranceSeconds": 600}, 601, False),
    ],
)
def test_how_old_it_may_be_is_a_setting(config: dict[str, int], age_s: int, is_good: bool) -> None:
    verdict = PROVIDER.verify(
        posted(f"ts={AT_S};h1={RIGHT}", age_s), SourceSetup(SETUP.secrets, config)
    )
    assert (verdict.trust is Trust.SIGNED) is is_good


def told(event: str, **found: Any) -> TransactionNotice:
    body = json.dumps({"event_id": "evt_1", "event_type": event, "data": found}).encode()
    (notice,) = PROVIDER.parse(Incoming("POST", "/", (), body, 0), SETUP).notices
    assert isinstance(notice, TransactionNotice)
    return notice


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("refund", TransactionKind.REFUND),
        ("chargeback", TransactionKind.CHARGEBACK),
        ("chargeback_reverse", TransactionKind.CHARGEBACK_REVERSAL),
    ],
)
def test_an_adjustment_belongs_to_its_transaction(action: str, kind: TransactionKind) -> None:
    notice = told(
        "adjustment.created", id="adj_1", transaction_id="txn_1", action=action, status="approved"
    )
    assert (notice.kind, notice.status) == (kind, TransactionStatus.APPROVED)
    assert (notice.references.psp, notice.psp_transaction_id) == (("txn_1",), "adj_1")


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("chargeback", "reversed", TransactionStatus.APPROVED),
        ("refund", "reversed", None),
        ("refund", "rejected", TransactionStatus.DECLINED),
        ("refund", "pending_approval", TransactionStatus.PENDING),
    ],
)
def test_what_a_decision_means(
    action: str, status: str, expected: TransactionStatus | None
) -> None:
    notice = told(
        "adjustment.updated", id="adj_1", transaction_id="txn_1", action=action, status=status
    )
    assert notice.status is expected
    assert notice.movement_id == (None if action == "refund" else "adj_1")


@pytest.mark.parametrize(
    ("config", "custom", "ours"),
    [
        ({}, {"order_id": "A", "customer": "B"}, ("A",)),
        ({}, {"order": "C", "customer": "B"}, ("C",)),
        ({}, {"customer": "B"}, ()),
        ({"reference": "custom_data.mine"}, {"mine": "D", "order": "C"}, ("D",)),
        ({}, None, ()),
    ],
)
def test_one_field_is_the_merchants_reference(
    config: dict[str, str], custom: dict[str, str] | None, ours: tuple[str, ...]
) -> None:
    data = {"id": "txn_1", "custom_data": custom}
    fields = {"event_id": "e", "event_type": "transaction.paid", "data": data}
    incoming = Incoming("POST", "/", (), json.dumps(fields).encode(), 0)
    (notice,) = PROVIDER.parse(incoming, SETUP._replace(config=config)).notices
    assert isinstance(notice, TransactionNotice)
    assert notice.references.ours == ours


def test_a_decision_in_no_table_means_nothing() -> None:
    notice = told(
        "adjustment.updated", id="adj_1", transaction_id="txn_1", action="refund", status="odd"
    )
    assert notice.status is None


def test_an_event_of_no_payment_is_only_kept() -> None:
    body = b'{"event_id":"e","event_type":"customer.created","data":{}}'
    (notice,) = PROVIDER.parse(Incoming("POST", "/", (), body, 0), SETUP).notices
    assert isinstance(notice, NoteNotice)
