"""Mozarto: eight words in any spelling, the old body by both its words, two kinds of header."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable
from tillbell.providers.kit.requests import json_body
from tillbell.providers.mozarto import PROVIDER

SETUP = SourceSetup(("pass word-1",))
LEGACY = SourceSetup(SETUP.secrets, {"legacy": True})
NEW = {
    "transaction_id": "64a1",
    "psp_transaction_id": "HS92",
    "user_id": "user_123",
    "status": "confirmed",
    "transaction_status": "Approved",
    "message": "Done",
    "amount": "100.00",
    "currency": "EUR",
    "merchantReference": "PAY-1001",
}
OLD = {
    "transaction_id": "682e",
    "user_id": "67f8",
    "status": "Confirmed",
    "currency": "BTC",
    "confirmed": True,
    "invoice_currency": "AED",
}


def posted(body: dict[str, Any], authorization: str | None = None) -> Incoming:
    headers = (("authorization", authorization),) if authorization is not None else ()
    return Incoming("POST", "/", headers, json_body(body), 0)


def heard(body: dict[str, Any], setup: SourceSetup = SETUP) -> TransactionNotice:
    (notice,) = PROVIDER.parse(posted(body), setup).notices
    assert isinstance(notice, TransactionNotice)
    return notice


@each("spelling", [str, str.upper, str.lower, lambda t: t.replace(" ", "_")])
@each("status", list(TransactionStatus))
def test_each_of_the_eight_words_is_itself_in_any_spelling(
    status: TransactionStatus, spelling: Callable[[str], str]
) -> None:
    assert heard(NEW | {"transaction_status": spelling(str(status))}).status is status


@each("word", ["Refunded", "", None, "approve", True, ["Approved"]])
def test_a_word_that_is_in_no_table_is_never_guessed(word: Any) -> None:
    for setup in (SETUP, LEGACY):
        assert heard(NEW | {"transaction_status": word, "confirmed": True}, setup).status is None


def test_the_new_body_is_read_whole() -> None:
    notice = heard(NEW)

    assert notice.references.ours == ("PAY-1001",)
    assert notice.references.psp == ("64a1", "HS92")
    assert (notice.psp_transaction_id, notice.psp_reference) == ("64a1", "HS92")
    assert notice.amount == ProviderAmount("100.00", "EUR")
    assert (notice.raw_status, notice.message, notice.user_id) == ("confirmed", "Done", "user_123")


def test_what_is_unset_is_no_reference_and_no_amount() -> None:
    notice = heard({**NEW, "merchantReference": "", "amount": "", "currency": None})

    assert notice.references.ours == ("64a1",)
    assert notice.amount is None


@each(
    ("word", "confirmed", "status"),
    [
        ("Confirmed", True, TransactionStatus.APPROVED),
        ("confirmed", True, TransactionStatus.APPROVED),
        ("success", True, TransactionStatus.APPROVED),
        ("Approved", True, TransactionStatus.APPROVED),
        ("Confirmed", False, TransactionStatus.PENDING),
        ("success", None, TransactionStatus.PENDING),
        ("Confirmed", "true", TransactionStatus.PENDING),
        ("Confirmed", 1, TransactionStatus.PENDING),
        ("waiting", False, TransactionStatus.PENDING),
        ("failure", False, TransactionStatus.FAILED),
        ("Declined", None, TransactionStatus.DECLINED),
        ("failure", True, None),
        ("Pending", True, None),
        ("waiting", True, None),
    ],
)
def test_the_old_body_is_decided_by_both_its_words(
    word: str, confirmed: object, status: TransactionStatus | None
) -> None:
    assert heard(OLD | {"status": word, "confirmed": confirmed}, LEGACY).status is status


def test_the_old_body_is_not_believed_unless_the_source_is_set_so() -> None:
    assert heard(OLD).status is None


def test_two_currencies_without_an_amount_are_not_compared_with_anything() -> None:
    notice = heard(OLD, LEGACY)

    assert (notice.amount, notice.settlement) == (None, None)
    assert notice.details == {"settlementCurrency": "BTC", "invoiceCurrency": "AED"}


@each(
    ("written", "trust"),
    [
        ("pass word-1", Trust.SECRET),
        ("Bearer pass word-1", Trust.SECRET),
        ("pass word-2", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
        (None, None),
        ("pass word-1\u00e9", None),
    ],
)
def test_the_password_stands_bare_or_after_bearer(written: str | None, trust: Trust | None) -> None:
    verdict = PROVIDER.verify(posted(NEW, written), SETUP)

    assert verdict.trust is trust
    assert "pass word-1" not in verdict.why


def test_without_a_secret_anybody_could_have_sent_it_and_an_empty_one_proves_nothing() -> None:
    assert PROVIDER.verify(posted(NEW), SourceSetup()).trust is Trust.NONE
    assert PROVIDER.verify(posted(NEW, ""), SourceSetup(("",))).trust is None
    assert PROVIDER.verify(posted(NEW, "Bearer "), SourceSetup(("",))).trust is None


def test_the_next_state_of_a_transaction_is_no_duplicate() -> None:
    keys = {
        PROVIDER.parse(posted(NEW | {"transaction_status": word}), SETUP).dedupe_key
        for word in ("Pending", "On Hold", "Approved")
    }

    assert len(keys) == 3


@pytest.mark.parametrize(("fields", "start"), [(NEW, "pass"), (OLD, "Bearer pass")])
def test_each_body_is_simulated_with_its_own_header(fields: dict[str, Any], start: str) -> None:
    incoming = PROVIDER.sign(SimulationCase(fields), SETUP, "https://hooks.example/x")

    assert (incoming.header("authorization") or "").startswith(start)
    assert PROVIDER.verify(incoming, SETUP).trust is Trust.SECRET


def test_a_body_without_a_transaction_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted({"transaction_status": "Approved"}), SETUP)


@pytest.mark.parametrize("secret", ["", " x", "x\n", "café"])
def test_a_password_that_no_header_can_carry_is_told(secret: str) -> None:
    assert PROVIDER.secret is not None
    assert PROVIDER.secret.problem(secret)
