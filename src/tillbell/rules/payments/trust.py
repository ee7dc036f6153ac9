"""Trust: may this notice move money, or must it be confirmed first?

Only a notice that is signed as a whole moves money by itself. Any other waits for the provider's
own answer (`pull`) or for a person (`review`), unless its owner has chosen to believe it
(`trust`). What a browser carried proves nothing, even if it is signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.model.callbacks import Notice, OrderNotice, TransactionNotice
from tillbell.model.sources import ConfirmationPolicy, Trust
from tillbell.model.transactions import Direction, Transaction


def confirmation_policy(config: Mapping[str, Any]) -> ConfirmationPolicy:
    """Return how a source's unproven notices are confirmed.

    As its owner chose; else by the provider if there is a look-up, or by a person.
    """
    chosen = config.get("confirm")
    if chosen is not None:
        return ConfirmationPolicy(chosen)
    return ConfirmationPolicy.PULL if config.get("lookupUrl") else ConfirmationPolicy.REVIEW


def reason_unproven(trust: Trust, policy: ConfirmationPolicy, *, is_hint: bool) -> str | None:
    """Say why a notice may not move money yet; None if it may."""
    if is_hint:
        return "It came through the payer's browser or holds no state, so it proves nothing."
    if trust is Trust.SIGNED or policy is ConfirmationPolicy.TRUST:
        return None
    return f"It is not signed as a whole ({trust.word}), so it must be confirmed."


def reason_other_mode(config: Mapping[str, Any], notice: Notice) -> str | None:
    """Say why a notice is of test money where live money is taken, or the reverse; else None."""
    is_test = notice.is_test if isinstance(notice, TransactionNotice | OrderNotice) else None
    mode = config.get("mode", "live")
    if is_test is None or mode == "any" or is_test == (mode == "test"):
        return None
    kind = "test" if is_test else "live"
    return f"It is a {kind} event, and this source takes {mode} events only (setting mode)."


def accepts_late_success(config: Mapping[str, Any], transaction: Transaction) -> bool:
    """Tell whether a late success may be accepted: its owner chose so, and it is no pay-out."""
    is_chosen = config.get("lateSuccess") == "accept_verified"
    return is_chosen and transaction.direction is Direction.PAY_IN
