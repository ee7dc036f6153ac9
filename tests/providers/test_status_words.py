"""Words: what an owner adds to a provider's table, and what can never be added."""

from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZED,
    WordMeaning,
    linked,
    meaning_of,
    statuses,
    table,
)

WORDS = table(
    {"AUTHORISED": AUTHORIZED, "SETTLED": APPROVED, "REFUNDED": linked(TransactionKind.REFUND)}
)


def test_spelling_does_not_matter_and_an_unknown_word_means_nothing() -> None:
    assert meaning_of("Settled", WORDS, {}) == meaning_of("set-tled", WORDS, {}) == APPROVED
    assert meaning_of("settled!", WORDS, {}) is None
    assert meaning_of("", WORDS, {}) is None


def test_an_authorization_is_final_only_where_its_owner_says_true() -> None:
    assert meaning_of("authorised", WORDS, {}) == AUTHORIZED
    assert meaning_of("authorised", WORDS, {"authorizationIsFinal": "yes"}) == AUTHORIZED
    assert meaning_of("authorised", WORDS, {"authorizationIsFinal": True}) == APPROVED


def test_an_owners_word_goes_first_and_must_be_a_status() -> None:
    config = {"statuses": {"SETTLED": "on_hold", "half": "Pending", "odd": "nearly", "n": 5}}
    assert meaning_of("settled", WORDS, config) == WordMeaning(TransactionStatus.ON_HOLD)
    assert meaning_of("HALF", WORDS, config) == WordMeaning(TransactionStatus.PENDING)
    assert meaning_of("odd", WORDS, config) is None
    assert meaning_of("n", WORDS, config) is None
    for broken in ({"statuses": ["settled"]}, {"statuses": "settled"}, {"statuses": None}):
        assert meaning_of("settled", WORDS, broken) == APPROVED


def test_an_owner_cannot_turn_a_refund_into_a_payment() -> None:
    meaning = meaning_of("refunded", WORDS, {"statuses": {"refunded": "Pending"}})
    assert meaning == WordMeaning(TransactionStatus.PENDING, None, TransactionKind.REFUND)


def test_a_look_up_is_told_the_words_of_payments_only() -> None:
    assert statuses(WORDS) == {
        "authorised": TransactionStatus.PENDING,
        "settled": TransactionStatus.APPROVED,
    }
