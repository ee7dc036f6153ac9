"""Sent e-mails, and suppressed addresses."""

from __future__ import annotations

from tillbell.clock import Micros
from tillbell.model.records import Record


class Email(Record, frozen=True, kw_only=True):
    """A sent e-mail. `uid` is the mail service's name and id of it: `resend:4c1f2a90-…`.

    Where the service tells the recipients apart it is one copy, and the address follows:
    `postmark:883953f4-…:ada@example.com`.
    """

    email_id: str
    status: str  # sent, delivered, bounced or complained
    to: tuple[str, ...] = ()
    order_id: str | None = None  # from the tags of the e-mail
    reason: str | None = None  # why it was not delivered
    source_id: str = ""
    news_at: Micros | None = None


class Suppression(Record, frozen=True, kw_only=True):
    """An e-mail address that must not be written to again. `uid` is the address, lower case."""

    reason: str  # "bounced" or "complained"
    source_id: str = ""
    email_id: str = ""
