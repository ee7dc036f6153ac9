"""Mozarto's older cashier: a transaction in six fields, with a bearer token.

The platform's contract: `status` with `confirmed` tell the outcome; there is no amount.
`currency` is what was settled (for crypto payments the coin), `invoice_currency` what was
billed. The token travels as `Authorization: Bearer <token>`. We send `confirmed: true` with
status `Confirmed` for an approved transaction and for nothing else (T7), so a receiver that
looks at either one decides the same. What is missing is the empty string.
"""

from __future__ import annotations

import msgspec

from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.dialect import check_header_secret, webhook_headers
from tillbell.profiles.fields import Fields
from tillbell.profiles.mozarto import STATUSES, TransactionDialect

_APPROVED = "transaction.approved"


class MozartoLegacy(TransactionDialect):
    """One transaction, as the first cashier told it."""

    name = "mozarto-legacy"

    def render(self, part: str, message: MessageContext) -> bytes:
        """Write the six fields."""
        transaction = Fields.of_payload(message.payload)
        billed = transaction.text("currency") or ""
        body = {
            "transaction_id": transaction.text("id") or "",
            "user_id": transaction.text("userId") or "",
            "status": "Confirmed" if part == _APPROVED else STATUSES[part].title,
            "currency": transaction.text("settlementCurrency") or billed,
            "confirmed": part == _APPROVED,
            "invoice_currency": billed,
        }
        return msgspec.json.encode(body)

    def headers(self, sending: AttemptContext) -> list[tuple[str, str]]:
        """Write the token, when there is one, and the webhook headers."""
        headers = webhook_headers(sending, sending.secrets, sending.message_id)
        if sending.secrets:
            headers.append(("Authorization", f"Bearer {sending.secrets[0]}"))
        return headers

    def check_secret(self, secret: str) -> str | None:
        """Accept a token: printable ASCII without spaces, the word Bearer left out."""
        if " " in secret:
            return "a token has no spaces; leave out the word Bearer, it is added"
        return check_header_secret(secret)
