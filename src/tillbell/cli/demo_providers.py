"""The callbacks of the demo's providers, signed as the real providers sign.

The card gateway approves or declines payments. As the real one does, it sends some callbacks twice;
one payment it approves and then declines, and somebody forges a callback. The mail service reports
deliveries and bounces. The requests come from the simulator and are sent over HTTP to the sources'
URLs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tillbell.clock import Clock
from tillbell.providers.kit.base import Incoming
from tillbell.testing.simulator import Simulation, simulate

PRICE = "49.90"


class DemoProvider(NamedTuple):
    """A provider of the shop, and the secret of its source."""

    name: str
    secret: str


PROVIDERS = (
    DemoProvider("allsecure", "demo-shared-secret"),
    DemoProvider("resend", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
)
_SECRETS = {provider.name: provider.secret for provider in PROVIDERS}


class DemoCallback(NamedTuple):
    """One callback: provider and summary for the output, the request, and its event."""

    provider: str
    summary: str
    request: Incoming
    event_type: str | None  # of the message that follows; None: it changes nothing


def payment(number: int, url: str, clock: Clock) -> Iterator[DemoCallback]:
    """Yield the callbacks for a payment.

    Every fourth is declined, every third is sent twice. Of the others some are declined after they
    were approved, and beside some comes a callback that is forged and one of another shop.
    """
    uid = f"PAY-{number}"
    outcome = "declined" if number % 4 == 3 else "approved"
    sent_to = _SentTo(url, clock)
    callback = _card(uid, number, outcome, sent_to)
    yield callback._replace(event_type=f"transaction.{outcome}")
    if number % 3 == 1:
        yield callback._replace(summary=f"{uid} {outcome}, again")
    if number % 12 == 0:
        declined = _card(uid, number, "declined", sent_to)
        yield declined._replace(summary=f"{uid} declined after all")
    if number % 12 == 6:
        forged = _card(uid, number, "declined", sent_to, "a guess")
        yield forged._replace(summary=f"{uid} declined, says somebody")
        yield _card("PAY-elsewhere", number + 100, "approved", sent_to)


class _SentTo(NamedTuple):
    """Where callbacks of the card gateway go, and when."""

    url: str
    clock: Clock


def _card(uid: str, number: int, outcome: str, sent_to: _SentTo, secret: str = "") -> DemoCallback:
    """Return a callback of the card gateway that changes nothing."""
    changes = (
        f"uuid=gw{number:04}",
        f"merchantTransactionId={uid}",
        f"amount={PRICE}",
        f"?orderId={uid}",
    )
    simulation = Simulation(
        f"allsecure:{outcome}", secret or _SECRETS["allsecure"], overrides=changes
    )
    request = simulate(simulation, sent_to.url, sent_to.clock).request
    return DemoCallback("allsecure", f"{uid} {outcome}", request, None)


def mail(number: int, url: str, clock: Clock) -> Iterator[DemoCallback]:
    """Yield the callback for the receipt by e-mail. Every second one bounces."""
    event = "bounced" if number % 2 else "delivered"
    changes = (
        f"data.email_id=em-{number}",
        f"data.to.0=customer-{number}@example.net",
        f"data.subject=Order ORD-{1000 + number}",
    )
    simulation = Simulation(f"resend:{event}", _SECRETS["resend"], overrides=changes)
    request = simulate(simulation, url, clock).request
    yield DemoCallback("resend", f"em-{number} {event}", request, f"email.{event}")
