"""The demo's providers: pretend ones that sign as the real ones do.

Each business of the shop is seen from outside too: the card gateway approves or declines a
payment (and says so twice, as they do), the mail service tells of a bounce. The requests are
the simulator's, and are sent over HTTP to the sources' URLs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tillbell.clock import Clock
from tillbell.providers.kit.base import Incoming
from tillbell.testing.simulator import Simulation, simulate

PRICE = "49.90"


class DemoProvider(NamedTuple):
    """A provider of the shop, and the secret both know."""

    name: str
    secret: str


ROLES = (
    DemoProvider("allsecure", "demo-shared-secret"),
    DemoProvider("resend", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
)
_SECRETS = {role.name: role.secret for role in ROLES}


class DemoCallback(NamedTuple):
    """One callback on its way: what is shown of it, the request, and the message it leads to."""

    provider: str
    summary: str
    request: Incoming
    event_type: str | None  # None: it changes nothing


def payment(number: int, url: str, clock: Clock) -> Iterator[DemoCallback]:
    """Let the card gateway tell of a payment; some are declined, some are told twice."""
    uid = f"PAY-{number}"
    outcome = "declined" if number % 4 == 3 else "approved"
    changes = (
        f"uuid=gw{number:04}",
        f"merchantTransactionId={uid}",
        f"amount={PRICE}",
        f"?orderId={uid}",
    )
    wanted = Simulation(f"allsecure:{outcome}", _SECRETS["allsecure"], overrides=changes)
    request = simulate(wanted, url, clock).request
    yield DemoCallback("allsecure", f"{uid} {outcome}", request, f"transaction.{outcome}")
    if number % 3 == 1:
        yield DemoCallback("allsecure", f"{uid} {outcome}, again", request, None)


def mail(number: int, url: str, clock: Clock) -> Iterator[DemoCallback]:
    """Let the mail service tell what became of the receipt."""
    event = "bounced" if number % 2 else "delivered"
    changes = (
        f"data.email_id=em-{number}",
        f"data.to.0=customer-{number}@example.net",
        f"data.subject=Order ORD-{1000 + number}",
    )
    wanted = Simulation(f"resend:{event}", _SECRETS["resend"], overrides=changes)
    request = simulate(wanted, url, clock).request
    yield DemoCallback("resend", f"em-{number} {event}", request, f"email.{event}")
