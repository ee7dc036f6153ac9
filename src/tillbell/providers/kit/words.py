"""Words: what a provider's words mean, as tables, and what a source's owner adds to them.

A table is data: it says for each word the status, how far the money is, and whether it is about
the payment itself or about something that belongs to it. A word in no table means nothing.
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
    """Return the meaning of a word about what belongs to a payment."""
    return WordMeaning(status, substate, kind)


def table(words: Mapping[str, WordMeaning]) -> Table:
    """Make a table of words as the provider writes them; spelling variants do not matter."""
    return MappingProxyType({fold(word): step for word, step in words.items()})


def meaning(word: str, steps: Table, config: Mapping[str, Any]) -> WordMeaning | None:
    """Look a word up: first with the source's owner, then in the table; None if it is unknown."""
    found = steps.get(fold(word))
    own = own_words(config).get(fold(word))
    if own is not None:
        return WordMeaning(own) if found is None else found._replace(status=own, substate=None)
    if found == AUTHORIZED and config.get(AUTHORIZATION_IS_FINAL.name) is True:
        return APPROVED
    return found


def own_words(config: Mapping[str, Any]) -> Mapping[str, TransactionStatus]:
    """Return the words that the source's owner gave a meaning; one that is no status is none."""
    told = config.get(STATUSES.name)
    if not isinstance(told, dict):
        return {}
    found = {fold(str(word)): status_of(str(name)) for word, name in told.items()}
    return {word: status for word, status in found.items() if status is not None}


def statuses(*tables: Table) -> Mapping[str, TransactionStatus]:
    """Return the words about payments with their status, for `Provider.statuses`."""
    return MappingProxyType(
        {
            word: step.status
            for steps in tables
            for word, step in steps.items()
            if step.kind is TransactionKind.PAYMENT
        }
    )
