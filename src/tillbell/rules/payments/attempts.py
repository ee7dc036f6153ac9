"""Attempts: what notices say about one attempt to pay, and the sums of all attempts of a payment.

A payer may try several times. Each attempt has an id of its own at the provider. An attempt that
is refused or expires ends alone; the sums of the payment are those of all its attempts.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import DAY, Micros
from tillbell.model.construct import with_quick_replace
from tillbell.model.transactions import (
    NEGATIVE,
    PaymentAttempt,
    Transaction,
    TransactionStatus,
)

ATTEMPT_GRACE = DAY  # in which the payer may try again
ATTEMPTS_MAX = 50  # that are kept of one payment
ATTEMPTS_ENDED = "attempts_ended"  # the reason of an end that came because no attempt was open
REST_CANCELLED = "rest_cancelled"  # the reason of a payment that was cancelled after a part
_NO_ID = ""  # the attempt of a provider that names none


@with_quick_replace
class AttemptReport(NamedTuple):
    """What a notice says about an attempt. Amounts are in minor units; None: it names none.

    `other_ids` are further ids of the provider that the notice names. `captured` is all that the
    attempt has captured; with a `capture_id` it is that capture alone.
    """

    status: TransactionStatus
    at: Micros
    psp_transaction_id: str | None = None
    other_ids: tuple[str, ...] = ()
    source_id: str | None = None
    authorized: int | None = None
    captured: int | None = None
    capture_id: str | None = None
    reason: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids by which the attempt may be known."""
        own = () if self.psp_transaction_id is None else (self.psp_transaction_id,)
        return (*own, *self.other_ids)


def attempts_of(payment: Transaction) -> tuple[PaymentAttempt, ...]:
    """Return the attempts of a payment. One that is stored without any has the one it names."""
    if payment.attempts or (payment.psp_transaction_id is None and not payment.captured):
        return payment.attempts
    return (
        PaymentAttempt(
            psp_transaction_id=payment.psp_transaction_id or _NO_ID,
            status=payment.status,
            at=payment.updated_at,
            source_id=payment.source_id,
            captured=payment.captured,
        ),
    )


def is_other_attempt(payment: Transaction, report: AttemptReport) -> bool:
    """Tell whether a report is about another attempt than the one that the payment holds."""
    held = payment.psp_transaction_id
    if held is None:
        return any(_is_other(attempt, report) for attempt in payment.attempts)
    return report.psp_transaction_id is not None and held not in report.ids


def has_open_attempt(payment: Transaction) -> bool:
    """Tell whether an attempt may still succeed."""
    return any(attempt.status not in NEGATIVE for attempt in attempts_of(payment))


def attempt_of(payment: Transaction, report: AttemptReport) -> PaymentAttempt | None:
    """Return the attempt that a report is about; None if it is new."""
    attempts = attempts_of(payment)
    place = _place(attempts, report)
    return None if place is None else attempts[place]


def is_failed_capture(payment: Transaction, report: AttemptReport) -> bool:
    """Tell whether a report is about a capture that has failed."""
    attempt = attempt_of(payment, report)
    captures = {} if attempt is None else attempt.captures
    return report.capture_id is not None and captures.get(report.capture_id) == 0


def is_told_again(payment: Transaction, report: AttemptReport, name: str) -> bool:
    """Tell whether a capture of this name is counted, in another callback than the report's."""
    attempt = attempt_of(payment, report)
    if attempt is None or report.capture_id in attempt.captures:
        return False
    return any(f"{capture_id} ".startswith(f"{name} ") for capture_id in attempt.captures)


def has_failed_capture(payment: Transaction) -> bool:
    """Tell whether a capture of a payment has failed after it was reported."""
    return any(0 in attempt.captures.values() for attempt in payment.attempts)


def without_capture(payment: Transaction, report: AttemptReport, minor: int) -> Transaction | None:
    """Return a payment without a capture that has failed; None if no such capture is known.

    `minor` is its amount, for a capture that was reported only in the attempt's total.
    """
    attempts = list(attempts_of(payment))
    place = _place(attempts, report)
    if place is None or report.capture_id is None:
        return None
    attempt = attempts[place]
    amount = attempt.captures.get(report.capture_id)
    if amount is None and minor <= attempt.captured - sum(attempt.captures.values()):
        amount = minor
    if not amount:
        return None
    captured = attempt.captured - amount
    attempts[place] = attempt._replace(
        captured=captured,
        captures={**attempt.captures, report.capture_id: 0},
        status=attempt.status if captured else TransactionStatus.PENDING,
        at=report.at,
        reason=report.reason or attempt.reason,
    )
    return payment._replace(
        attempts=tuple(attempts), captured=sum(attempt.captured for attempt in attempts)
    )


def with_report(payment: Transaction, report: AttemptReport) -> Transaction:
    """Return a payment with what is reported about an attempt, and with its sums."""
    attempts = list(attempts_of(payment))
    place = _place(attempts, report)
    if place is None:
        new = PaymentAttempt(report.psp_transaction_id or _NO_ID, report.status, report.at)
        attempts.append(new)
        place = len(attempts) - 1
    attempts[place] = _reported(attempts[place], report)
    kept_attempts = _newest(attempts)
    return payment._replace(
        attempts=kept_attempts,
        authorized=sum(attempt.authorized for attempt in kept_attempts),
        captured=sum(attempt.captured for attempt in kept_attempts),
    )


def with_captured(payment: Transaction, attempt: PaymentAttempt, minor: int) -> Transaction:
    """Return a payment of which an attempt has captured so much, in minor units."""
    attempts = tuple(
        known._replace(captured=minor) if known == attempt else known
        for known in attempts_of(payment)
    )
    return payment._replace(attempts=attempts, captured=sum(known.captured for known in attempts))


def with_released(
    payment: Transaction, report: AttemptReport, release_id: str, minor: int
) -> Transaction | None:
    """Return a payment of which a part of what is authorised was cancelled.

    None if nothing is left that may be captured: the attempt is cancelled as a whole.
    """
    reported = with_report(payment, report._replace(status=TransactionStatus.PENDING))
    attempt = attempt_of(reported, report)
    assert attempt is not None, "it has just been reported"
    released = {**attempt.released, release_id: minor}
    authorized = attempt.authorized or payment.amount
    if sum(released.values()) >= authorized:
        return None
    after = attempt._replace(released=released)
    attempts = tuple(after if other is attempt else other for other in reported.attempts)
    return reported._replace(attempts=attempts)


def is_part_of_cancelled(payment: Transaction, report: AttemptReport, minor: int) -> bool:
    """Tell whether a capture shows that its attempt was cancelled only in the rest.

    A provider captures nothing of what it has cancelled, so the capture came before. `minor` is its
    amount. All that was asked for contradicts the cancellation.
    """
    attempt = attempt_of(payment, report)
    if attempt is None or payment.status is not TransactionStatus.CANCELLED:
        return False
    is_first = attempt.status is TransactionStatus.CANCELLED and report.capture_id is not None
    return is_first and 0 < minor < payment.amount


def with_choice(payment: Transaction, id_: str, source_id: str, at: Micros) -> Transaction:
    """Return a payment of which a person has said that this id of the provider is its own."""
    report = AttemptReport(
        status=TransactionStatus.PENDING, at=at, psp_transaction_id=id_, source_id=source_id
    )
    reported = with_report(payment, report)
    return reported._replace(
        attempts=tuple(
            attempt._replace(is_chosen=True) if id_ in attempt.ids else attempt
            for attempt in reported.attempts
        )
    )


def with_captured_total(payment: Transaction, total: int, at: Micros) -> Transaction:
    """Return a payment of which so much is captured in all, in minor units.

    What no attempt has reported counts to the one that the payment holds.
    """
    missing = total - sum(attempt.captured for attempt in attempts_of(payment))
    if missing <= 0:
        return payment if payment.captured >= total else payment._replace(captured=total)
    report = AttemptReport(
        status=TransactionStatus.APPROVED, at=at, psp_transaction_id=payment.psp_transaction_id
    )
    attempt = attempt_of(payment, report)
    captured = missing + (0 if attempt is None else attempt.captured)
    return with_report(payment, report._replace(captured=captured))


def _place(
    attempts: list[PaymentAttempt] | tuple[PaymentAttempt, ...], report: AttemptReport
) -> int | None:
    """Return where the attempt of a report is. Without an id it is the last that may succeed."""
    ids = [attempt.psp_transaction_id for attempt in attempts]
    for id_ in report.ids:
        if id_ in ids:
            return ids.index(id_)
    if report.psp_transaction_id is None:
        may_succeed = [i for i, a in enumerate(attempts) if a.captured or a.status not in NEGATIVE]
        last = len(ids) - 1 if ids and report.status in NEGATIVE else None
        return next(reversed(may_succeed), last)
    if _NO_ID not in ids or _is_other(attempts[ids.index(_NO_ID)], report):
        return None
    return ids.index(_NO_ID)


def _is_other(attempt: PaymentAttempt, report: AttemptReport) -> bool:
    """Tell whether a refusal with an id is of another attempt than one that captured without."""
    has_captured = attempt.psp_transaction_id == _NO_ID and attempt.captured > 0
    return has_captured and report.psp_transaction_id is not None and report.status in NEGATIVE


def _reported(attempt: PaymentAttempt, report: AttemptReport) -> PaymentAttempt:
    captures, captured = attempt.captures, attempt.captured
    if report.captured is not None and report.capture_id is not None:
        captures = {**captures, report.capture_id: report.captured}
        captured = max(captured, sum(captures.values()))
    elif report.captured is not None:
        captured = max(captured, report.captured)
    is_refused = report.status in NEGATIVE and not captured
    authorized = attempt.authorized if report.authorized is None else report.authorized
    has_ended = attempt.status in NEGATIVE and not captured
    reported = attempt._replace(
        # Known by a less precise id until now, as a checkout session whose intent comes later.
        psp_transaction_id=report.psp_transaction_id or attempt.psp_transaction_id,
        status=_later(attempt.status, report.status, has_captured=captured > 0),
        source_id=attempt.source_id or report.source_id,
        authorized=0 if is_refused or has_ended else authorized,
        captured=captured,
        captures=captures,
        reason=report.reason or attempt.reason,
    )
    return attempt if reported == attempt else reported._replace(at=report.at)


def _later(
    present: TransactionStatus, reported: TransactionStatus, *, has_captured: bool
) -> TransactionStatus:
    if has_captured:
        return TransactionStatus.APPROVED
    return present if present in NEGATIVE else reported


def _newest(attempts: list[PaymentAttempt]) -> tuple[PaymentAttempt, ...]:
    """Drop refused attempts, the oldest first, if there are too many."""
    surplus = len(attempts) - ATTEMPTS_MAX
    refused = [attempt for attempt in attempts if attempt.status in NEGATIVE][: max(0, surplus)]
    return tuple(attempt for attempt in attempts if attempt not in refused)
