"""Mozarto's older cashier: a transaction in six fields, with a bearer token.

The platform's contract: `status` with `confirmed` tell the outcome; there is no amount.
`currency` is the settled currency (the coin of a crypto payment), `invoice_currency` the billed
one. The token travels as `Authorization: Bearer <token>`. We send `confirmed: true` with
status `Confirmed` only for an approved transaction, so a receiver that reads either of the two
decides the same. Missing values are the empty string.
"""

from __future__ import annotations

import msgspec

from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.defaults import check_header_secret, webhook_headers
from tillbell.profiles.fields import Fields
from tillbell.profiles.mozarto import STATUSES, TransactionProfile

_APPROVED = "transaction.approved"


class MozartoLegacy(TransactionProfile):
    """One transaction in the format of the older cashier."""

    name = "mozarto-legacy"

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the six fields."""
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

    def headers(self, attempt: AttemptContext) -> list[tuple[str, str]]:
        """Return the webhook headers and the token, if there is one."""
        headers = webhook_headers(attempt, attempt.secrets, attempt.message_id)
        if attempt.secrets:
            headers.append(("Authorization", f"Bearer {attempt.secrets[0]}"))
        return headers

    def check_secret(self, secret: str) -> str | None:
        """Accept a token: printable ASCII without spaces and without the word Bearer."""
        if " " in secret:
            return "a token has no spaces; leave out the word Bearer, it is added"
        return check_header_secret(secret)
