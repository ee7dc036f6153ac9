"""Brite: bank payments. Ids and the number of a state, unsigned and in no certain order.

The merchant subscribes an address for each state. A session is the payer's visit, a transaction
the money; *aborted* and *failed* need not be the last word. Repeated after 10, 30 and 60
minutes. Source: docs.britepayments.com, HTTP callbacks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tillbell.model.callbacks import References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionStatus
from tillbell.providers.kit import networks
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kit.reading import json_object, present_values, required_text, text
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    CANCELLED,
    FAILED,
    PENDING,
    SETTLING,
    STATUSES,
    WordMeaning,
    meaning_of,
    statuses,
    table,
)

SESSION_STATES = table(
    {
        "2": WordMeaning(TransactionStatus.PENDING, "authenticated"),
        "10": CANCELLED,  # aborted
        "11": FAILED,
        "12": PENDING,  # the visit is over, the money is not here yet
    }
)
TRANSACTION_STATES = table(
    {
        "1": PENDING,
        "2": CANCELLED,  # aborted
        "3": FAILED,
        "4": SETTLING,  # an owner may call it Approved by the setting `statuses`
        "5": APPROVED,  # the money was received
        "7": APPROVED,  # the pay-out is done
    }
)


class _StateChange(NamedTuple):
    """Subject (`session` or `transaction`), its id and the number of its new state."""

    subject: str
    id: str
    state: str


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read the state of a session or a transaction."""
    body = json_object(incoming.body)
    change = _state_change(body)
    meaning = _meaning(change, setup)
    is_transaction = change.subject == "transaction"
    is_negative = meaning is not None and meaning.status in NEGATIVE
    notice = TransactionNotice(
        # A merchant may have taken the session's id for its own reference.
        References(
            ours=present_values(text(body, "session_id")),
            psp=present_values(change.id, text(body, "session_id")),
        ),
        raw_status=f"{change.subject} {change.state}",
        status=meaning.status if meaning else None,
        substate=meaning.substate if meaning else None,
        psp_transaction_id=change.id if is_transaction else None,
        psp_reference=text(body, "session_id"),
        ends_attempt=is_negative,
        # An abortion or a failure is not the last word: whatever else was told came after it.
        sequence=int(not is_negative) if is_transaction else None,
    )
    return ParsedNotices(
        (notice,), networks.dedupe_key(f"{change.subject}|{change.id}|{change.state}", setup)
    )


def _state_change(body: dict[str, Any]) -> _StateChange:
    for subject in ("transaction", "session"):
        if text(body, f"{subject}_state") is not None:
            return _StateChange(
                subject,
                required_text(body, f"{subject}_id"),
                required_text(body, f"{subject}_state"),
            )
    raise Unreadable("Neither transaction_state nor session_state is there.")


def _meaning(change: _StateChange, setup: SourceSetup) -> WordMeaning | None:
    # The owner's `statuses` are about transactions. Session states have other numbers.
    if change.subject == "session":
        return SESSION_STATES.get(change.state)
    return meaning_of(change.state, TRANSACTION_STATES, setup.config)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Brite sends it: unsigned."""
    del setup
    headers = {"content-type": JSON, "user-agent": "Brite Callback"}
    return request(case, url, json_body(case.fields), headers)


PROVIDER = Provider(
    name="brite",
    title="Brite",
    about="Bank payments and pay-outs: the state of a session or a transaction.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.NONE,
    bare_trust=Trust.NONE,
    secret=None,
    answers="200.",
    verify=networks.verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(networks.NETWORKS, STATUSES),
    note=(
        "Nothing is signed: the state is asked for at lookupUrl, or a person confirms it. Brite "
        "names its addresses on request; with them in networks the trust is network. Callbacks "
        "come in any order, and aborted or failed need not be final."
    ),
    statuses=statuses(TRANSACTION_STATES),
    payer_may_retry=True,
)
