"""What a provider's status words mean: tables, and what a source's owner adds to them.

A table gives for each word the status, the substate, and whether it is about the payment itself or
about a refund or chargeback of it. A word that is not mapped means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import ProviderSetting
from tillbell.providers.kit.reading import fold
from tillbell.rules.payments.transitions import status_of

STATUSES = ProviderSetting(
    "statuses",
    'The provider\'s words and what they mean here, before its own table: {"settled": "Approved"}.',
    "object",
)
AUTHORIZATION_IS_FINAL = ProviderSetting(
    "authorizationIsFinal",
    "An authorization counts as Approved: for merchants with automatic capture.",
    "boolean",
    default=False,
)


class WordMeaning(NamedTuple):
    """What one word means."""

    status: TransactionStatus
    substate: str | None = None
    kind: TransactionKind = TransactionKind.PAYMENT


Table = Mapping[str, WordMeaning]

PENDING = WordMeaning(TransactionStatus.PENDING)
AUTHORIZED = WordMeaning(TransactionStatus.PENDING, "authorized")
SETTLING = WordMeaning(TransactionStatus.PENDING, "settling")
APPROVED = WordMeaning(TransactionStatus.APPROVED)
DECLINED = WordMeaning(TransactionStatus.DECLINED)
FAILED = WordMeaning(TransactionStatus.FAILED)
CANCELLED = WordMeaning(TransactionStatus.CANCELLED)
ON_HOLD = WordMeaning(TransactionStatus.ON_HOLD)


def linked(
    kind: TransactionKind,
    status: TransactionStatus = TransactionStatus.APPROVED,
    substate: str | None = None,
) -> WordMeaning:
    """Return the meaning of a word about a refund, chargeback or reversal."""
    return WordMeaning(status, substate, kind)


def table(words: Mapping[str, WordMeaning]) -> Table:
    """Return a table of words. Case, spaces, `_` and `-` do not matter."""
    return MappingProxyType({fold(word): meaning for word, meaning in words.items()})


def meaning_of(word: str, meanings: Table, config: Mapping[str, Any]) -> WordMeaning | None:
    """Look a word up, first in the owner's `statuses`, then in the table; None if it is unknown."""
    meaning = meanings.get(fold(word))
    own_status = own_words(config).get(fold(word))
    if own_status is not None:
        return (
            WordMeaning(own_status)
            if meaning is None
            else meaning._replace(status=own_status, substate=None)
        )
    if meaning == AUTHORIZED and config.get(AUTHORIZATION_IS_FINAL.name) is True:
        return APPROVED
    return meaning


def own_words(config: Mapping[str, Any]) -> Mapping[str, TransactionStatus]:
    """Return the words and statuses of the owner's `statuses`; unknown statuses are left out."""
    words = config.get(STATUSES.name)
    if not isinstance(words, dict):
        return {}
    by_word = {fold(str(word)): status_of(str(name)) for word, name in words.items()}
    return {word: status for word, status in by_word.items() if status is not None}


def statuses(*tables: Table) -> Mapping[str, TransactionStatus]:
    """Return the words about payments with their statuses, for `Provider.statuses`."""
    return MappingProxyType(
        {
            word: meaning.status
            for meanings in tables
            for word, meaning in meanings.items()
            if meaning.kind is TransactionKind.PAYMENT
        }
    )


def authorizing_words(*tables: Table) -> frozenset[str]:
    """Return the words that reserve a payment's money, for `Provider.authorizing`."""
    return frozenset(
        word for meanings in tables for word, meaning in meanings.items() if meaning == AUTHORIZED
    )
