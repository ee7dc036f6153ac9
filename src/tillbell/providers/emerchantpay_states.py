"""Genesis: what its states mean, and how a transaction's type changes that.

`approved` of an authorization is no payment yet; of a void it is a cancellation. A refund that
is a transaction of its own does not name its payment, so only the state `refunded` of the
payment itself opens one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.model.transactions import TransactionKind
from tillbell.providers.kit.reading import fold
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    FAILED,
    ON_HOLD,
    PENDING,
    WordMeaning,
    linked,
    meaning,
    table,
)

STEPS = table(
    {
        "approved": APPROVED,
        "success": APPROVED,
        "declined": DECLINED,
        "error": FAILED,
        "unsuccessful": FAILED,
        "voided": CANCELLED,
        "timeout": CANCELLED,
        "cancelled": CANCELLED,
        "new": PENDING,
        "user": PENDING,
        "submitted": PENDING,
        "in_progress": PENDING,
        "pending": PENDING,
        "pending_async": PENDING,
        "pending_hold": PENDING,  # waits for the provider behind
        "pending_review": ON_HOLD,
        "refunded": linked(TransactionKind.REFUND),
        "chargebacked": linked(TransactionKind.CHARGEBACK),
        "second_chargebacked": linked(TransactionKind.CHARGEBACK),
        "chargeback_reversed": linked(TransactionKind.CHARGEBACK_REVERSAL),
        "chargeback_reversal": linked(TransactionKind.CHARGEBACK_REVERSAL),
    }
)


def step_of(word: str, type_: str, config: Mapping[str, Any]) -> WordMeaning | None:
    """Return what a state means for a transaction of that type; None if it is not known."""
    step = meaning(word, STEPS, config)
    if step != APPROVED:
        return step
    kind = fold(type_)
    if kind.startswith("authorize"):
        return meaning("authorized", {"authorized": AUTHORIZED}, config)
    if kind == "void":
        return CANCELLED
    if "refund" in kind:
        return None
    return step


def linked_id(id_: str, word: str, kind: TransactionKind) -> str:
    """Name what belongs to a payment, apart from it: a second chargeback is not the first."""
    which = "second-" if fold(word) == "secondchargebacked" else ""
    return f"{id_}:{which}{kind.value}"
