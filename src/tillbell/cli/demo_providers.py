"""The demo's providers: pretend ones that sign as the real ones do.

Each business of the shop is seen from outside too: the card gateway approves or declines a
payment (and says so twice, as they do), the mail service tells of a bounce. The requests are
signed by the adapters' own `sign`, and sent over HTTP to the sources' URLs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tillbell.clock import Clock, iso
from tillbell.providers import PROVIDERS
from tillbell.providers.base import Case, Incoming, Setup

PRICE = "49.90"


class Role(NamedTuple):
    """A provider of the shop, and the secret both know."""

    name: str
    secret: str


ROLES = (
    Role("allsecure", "demo-shared-secret"),
    Role("resend", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
)
_SETUPS = {role.name: Setup((role.secret,)) for role in ROLES}


class Said(NamedTuple):
    """One callback on its way: what is shown of it, the request, and the message it leads to."""

    provider: str
    gist: str
    request: Incoming
    event_type: str | None  # None: it changes nothing


def payment(number: int, url: str, clock: Clock) -> Iterator[Said]:
    """Let the card gateway tell of a payment; some are declined, some are told twice."""
    uid = f"PAY-{number}"
    is_declined = number % 4 == 3
    told = {"result": "ERROR", "code": "2003", "message": "Do not honour"} if is_declined else {}
    fields = {
        "result": "OK",
        "uuid": f"gw{number:04}",
        "merchantTransactionId": uid,
        "transactionType": "DEBIT",
        "amount": PRICE,
        "currency": "EUR",
        **told,
    }
    outcome = "declined" if is_declined else "approved"
    request = _signed("allsecure", fields, f"{url}?requestEvent=callback", clock)
    yield Said("allsecure", f"{uid} {outcome}", request, f"transaction.{outcome}")
    if number % 3 == 1:
        yield Said("allsecure", f"{uid} {outcome}, again", request, None)


def mail(number: int, url: str, clock: Clock) -> Iterator[Said]:
    """Let the mail service tell what became of the receipt."""
    event = "bounced" if number % 2 else "delivered"
    bounce = {"bounce": {"type": "Permanent", "message": "mailbox does not exist"}}
    data: dict[str, Any] = {
        "email_id": f"em-{number}",
        "from": "Shop <orders@shop.example>",
        "to": [f"customer-{number}@example.net"],
        "subject": f"Order ORD-{1000 + number}",
        **(bounce if number % 2 else {}),
    }
    fields = {"type": f"email.{event}", "created_at": iso(clock.now()), "data": data}
    request = _signed("resend", fields, url, clock, f"mail-{number}")
    yield Said("resend", f"em-{number} {event}", request, f"email.{event}")


def _signed(
    name: str, fields: dict[str, Any], url: str, clock: Clock, id_: str = "evt"
) -> Incoming:
    case = Case(fields, id=id_, at=clock.now())
    return PROVIDERS[name].sign(case, _SETUPS[name], url)
