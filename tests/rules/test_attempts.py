"""Attempts: captures that fail after they were reported."""

from __future__ import annotations

from tests.cases import each

from tillbell.model.transactions import (
    Direction,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.rules.payments.attempts import (
    AttemptReport,
    has_failed_capture,
    is_failed_capture,
    with_report,
    without_capture,
)

PAYMENT = Transaction(
    id="trx_1",
    app_id="app_1",
    direction=Direction.PAY_IN,
    kind=TransactionKind.PAYMENT,
    status=TransactionStatus.PENDING,
    amount=10_000,
    currency="EUR",
    created_at=0,
    updated_at=0,
)


def captured(capture_id: str | None, minor: int) -> AttemptReport:
    return AttemptReport(
        TransactionStatus.APPROVED, 1, "pay", captured=minor, capture_id=capture_id
    )


def failed(capture_id: str) -> AttemptReport:
    return AttemptReport(TransactionStatus.FAILED, 2, "pay", capture_id=capture_id)


def test_a_failed_capture_no_longer_counts_and_the_others_do() -> None:
    both = with_report(with_report(PAYMENT, captured("a", 4_000)), captured("b", 6_000))
    after = without_capture(both, failed("a"), 0)

    assert after is not None
    assert after.captured == 6_000
    assert after.attempts[0].status is TransactionStatus.APPROVED
    assert is_failed_capture(after, failed("a"))
    assert not is_failed_capture(after, failed("b"))


def test_without_captures_of_its_own_the_amount_is_taken_from_the_total() -> None:
    after = without_capture(with_report(PAYMENT, captured(None, 10_000)), failed("a"), 10_000)

    assert after is not None
    assert after.captured == 0
    assert after.attempts[0].status is TransactionStatus.PENDING
    assert has_failed_capture(after)


@each("minor", [0, 4_000, 10_000])
def test_a_capture_that_is_not_known_takes_nothing_from_another(minor: int) -> None:
    payment = with_report(PAYMENT, captured("b", 10_000))
    assert without_capture(payment, failed("a"), minor) is None
    assert not has_failed_capture(payment)


def test_an_attempt_is_known_by_its_captures_too() -> None:
    payment = with_report(PAYMENT, captured("a", 4_000))
    assert payment.attempts[0].ids == ("pay", "a")
