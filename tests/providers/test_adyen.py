"""Adyen: the published vector, all items or none, what one text cannot mean twice."""

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import (
    NoteNotice,
    Notice,
    ProviderAmount,
    References,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.adyen import PROVIDER
from tillbell.providers.kit.base import Incoming, IntakeStatus, SourceSetup

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
SETUP = SourceSetup((KEY,))
RIGHT = "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="
ITEM = {
    "pspReference": "7914073381342284",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
}


def posted(*items: dict[str, Any]) -> Incoming:
    wrapped = [{"NotificationRequestItem": item} for item in items]
    body = json.dumps({"live": "false", "notificationItems": wrapped}).encode()
    return Incoming("POST", "/", (("content-type", "application/json"),), body, 0)


def proven(**changes: Any) -> dict[str, Any]:
    return {**ITEM, "additionalData": {"hmacSignature": RIGHT}, **changes}


def told(config: dict[str, Any] | None = None, **changes: Any) -> Notice:
    (notice,) = PROVIDER.parse(posted({**ITEM, **changes}), SourceSetup((), config or {})).notices
    return notice


def test_the_published_vector_matches() -> None:
    assert PROVIDER.verify(posted(proven()), SETUP).trust is Trust.SIGNED


@each(
    "changes",
    [
        {"success": "false"},
        {"amount": {"value": 1131, "currency": "EUR"}},
        {"eventCode": "CAPTURE"},
        {"originalReference": "x"},
        {"additionalData": {}},
        {"additionalData": {"hmacSignature": "x"}},
        {"pspReference": "7914073381342284:", "originalReference": None},
    ],
)
def test_what_differs_is_refused(changes: dict[str, Any]) -> None:
    assert PROVIDER.verify(posted(proven(**changes)), SETUP).trust is None


def test_one_item_without_proof_refuses_all() -> None:
    both = posted(proven(), {**ITEM, "success": "false"})
    assert PROVIDER.verify(both, SETUP).trust is None


@pytest.mark.parametrize("name", ["pspReference", "originalReference", "merchantAccountCode"])
def test_a_colon_that_could_move_a_field_is_refused(name: str) -> None:
    verdict = PROVIDER.verify(posted(proven(**{name: "a:b"})), SETUP)

    assert verdict.trust is None
    assert "colon" in verdict.why


def test_a_key_that_is_no_hex_is_refused_when_it_is_set() -> None:
    assert PROVIDER.secret is not None
    assert PROVIDER.secret.problem(KEY) is None
    assert PROVIDER.secret.problem("not hex") is not None
    assert PROVIDER.secret.problem(KEY + "\n") is not None


def test_a_capture_names_the_payment_and_itself() -> None:
    notice = told(eventCode="CAPTURE", pspReference="cap", originalReference="pay")

    assert isinstance(notice, TransactionNotice)
    assert notice.status is TransactionStatus.APPROVED
    assert (notice.psp_transaction_id, notice.psp_reference) == ("pay", "cap")
    assert notice.references == References(("TestPayment-1407325143704",), ("pay", "cap"))


def test_a_refund_is_known_by_its_own_reference() -> None:
    notice = told(eventCode="REFUND", pspReference="ref", originalReference="pay")

    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.psp_transaction_id) == (TransactionKind.REFUND, "ref")


@pytest.mark.parametrize(
    ("action", "kind", "status"),
    [
        ("cancel", TransactionKind.PAYMENT, TransactionStatus.CANCELLED),
        ("refund", TransactionKind.REFUND, TransactionStatus.APPROVED),
    ],
)
def test_cancel_or_refund_is_what_it_became(
    action: str, kind: TransactionKind, status: TransactionStatus
) -> None:
    notice = told(eventCode="CANCEL_OR_REFUND", additionalData={"modification.action": action})

    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (kind, status)


def test_a_setting_for_success_does_not_speak_of_failure() -> None:
    config = {"statuses": {"AUTHORISATION": "Approved"}}
    done, failed = told(config), told(config, success="false")

    assert isinstance(done, TransactionNotice)
    assert isinstance(failed, TransactionNotice)
    assert (done.status, failed.status) == (TransactionStatus.APPROVED, TransactionStatus.DECLINED)


@pytest.mark.parametrize("word", ["REPORT_AVAILABLE", "RECURRING_CONTRACT"])
def test_what_is_no_payment_is_only_kept(word: str) -> None:
    assert isinstance(told(eventCode=word), NoteNotice)


def test_a_word_of_no_table_means_nothing() -> None:
    notice = told(eventCode="A_CODE_OF_TOMORROW")

    assert isinstance(notice, TransactionNotice)
    assert notice.status is None


def test_amounts_count_as_adyen_counts() -> None:
    notice = told(amount={"value": 10000, "currency": "CLP"})

    assert isinstance(notice, TransactionNotice)
    assert notice.amount == ProviderAmount("10000", "CLP", is_minor=True, exponent=2)


def test_of_a_card_only_its_ends_are_kept() -> None:
    notice = told(additionalData={"cardBin": "41111111", "cardSummary": "1111"})

    assert isinstance(notice, TransactionNotice)
    assert notice.details == {"cardBin": "411111", "cardLastFour": "1111"}


def test_it_is_answered_accepted() -> None:
    assert PROVIDER.answer(posted(proven()), SETUP, IntakeStatus.STORED).body == b"[accepted]"
