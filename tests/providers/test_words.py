"""Words: what an owner adds to a provider's table, and what can never be added."""

from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZED,
    WordMeaning,
    linked,
    meaning,
    statuses,
    table,
)

STEPS = table(
    {"AUTHORISED": AUTHORIZED, "SETTLED": APPROVED, "REFUNDED": linked(TransactionKind.REFUND)}
)


def test_spelling_does_not_matter_and_an_unknown_word_means_nothing() -> None:
    assert meaning("Settled", STEPS, {}) == meaning("set-tled", STEPS, {}) == APPROVED
    assert meaning("settled!", STEPS, {}) is None
    assert meaning("", STEPS, {}) is None


def test_an_authorization_is_final_only_where_its_owner_says_true() -> None:
    assert meaning("authorised", STEPS, {}) == AUTHORIZED
    assert meaning("authorised", STEPS, {"authorizationIsFinal": "yes"}) == AUTHORIZED
    assert meaning("authorised", STEPS, {"authorizationIsFinal": True}) == APPROVED


def test_an_owners_word_goes_first_and_must_be_a_status() -> None:
    config = {"statuses": {"SETTLED": "on_hold", "half": "Pending", "odd": "nearly", "n": 5}}
    assert meaning("settled", STEPS, config) == WordMeaning(TransactionStatus.ON_HOLD)
    assert meaning("HALF", STEPS, config) == WordMeaning(TransactionStatus.PENDING)
    assert meaning("odd", STEPS, config) is None
    assert meaning("n", STEPS, config) is None
    for broken in ({"statuses": ["settled"]}, {"statuses": "settled"}, {"statuses": None}):
        assert meaning("settled", STEPS, broken) == APPROVED


def test_an_owner_cannot_turn_a_refund_into_a_payment() -> None:
    step = meaning("refunded", STEPS, {"statuses": {"refunded": "Pending"}})
    assert step == WordMeaning(TransactionStatus.PENDING, None, TransactionKind.REFUND)


def test_a_look_up_is_told_the_words_of_payments_only() -> None:
    assert statuses(STEPS) == {
        "authorised": TransactionStatus.PENDING,
        "settled": TransactionStatus.APPROVED,
    }
