"""Mozarto's redirect flow: the state of one transaction.

The platform's contract: `transaction_status` is normalized, and only it drives business
decisions; `status` is the provider's or an internal status, unchanged; `amount` is a decimal
string; `message` is for people and never empty; `merchantReference` is the empty string
when unset. `psp_transaction_id` and `currency` are left out when unknown. With webhook
security on, `Authorization` holds the configured password without a scheme.
Success is exactly 200, within 10 seconds.

A payload that is no JSON object is not sent: the transaction is made of its members.

The eight statuses of the platform are sent. `transaction.conflict` and
`transaction.reversed` are not: the platform has no such status, and one of the eight in
their place could move money at the receiver.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.defaults import SharedSecretProfile, webhook_headers
from tillbell.profiles.fields import Fields


class MozartoState(NamedTuple):
    """The platform's name of a status, and its default message."""

    title: str
    message: str


STATUSES = {
    "transaction.pending": MozartoState("Pending", "Payment is in progress"),
    "transaction.processing": MozartoState("Processing", "Payout is being processed"),
    "transaction.on_hold": MozartoState("On Hold", "Transaction is held for manual review"),
    "transaction.approved": MozartoState("Approved", "Payment completed successfully"),
    "transaction.declined": MozartoState("Declined", "Payment was declined by the provider"),
    "transaction.failed": MozartoState("Failed", "Payment failed"),
    "transaction.cancelled": MozartoState("Cancelled", "Payment was cancelled or expired"),
    "transaction.rejected": MozartoState("Rejected", "Payout was rejected in manual approval"),
}


class TransactionProfile(SharedSecretProfile):
    """The event types, timeout and success rule of both generations of the platform."""

    timeout_s = 10
    success = "200"

    def parts(self, event_type: str, selectors: Collection[str] | None) -> tuple[str, ...]:
        """Return the event type if it is one of the platform's eight statuses."""
        del selectors
        return (event_type,) if event_type in STATUSES else ()


class Mozarto(TransactionProfile):
    """One transaction, with its normalized status."""

    name = "mozarto"

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the transaction; required members that are missing are the empty string."""
        transaction = Fields.of_payload(message.payload)
        status = STATUSES[part]
        currency = transaction.text("currency")
        body = {
            "transaction_id": transaction.text("id") or "",
            "psp_transaction_id": transaction.text("pspTransactionId"),
            "user_id": transaction.text("userId") or "",
            "status": transaction.text("rawStatus") or status.title.lower(),
            "transaction_status": status.title,
            "message": transaction.text("message") or status.message,
            "amount": transaction.amount("amount", currency) or "",
            "currency": currency,
            "merchantReference": transaction.text("merchantReference") or "",
        }
        return msgspec.json.encode({key: value for key, value in body.items() if value is not None})

    def headers(self, attempt: AttemptContext) -> list[tuple[str, str]]:
        """Return the webhook headers and the password, if there is one."""
        headers = webhook_headers(attempt, attempt.secrets, attempt.message_id)
        if attempt.secrets:
            headers.append(("Authorization", attempt.secrets[0]))
        return headers
