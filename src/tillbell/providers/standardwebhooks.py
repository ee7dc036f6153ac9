"""Standard Webhooks 1.0.0: events of any sender that signs by the specification.

The body is passed on as it came, as a message of the type that it names. Our own types
that promise something (money moved, an endpoint failed) are not accepted from others: they are
only noted. Source: the specification; its libraries allow 300 s between the clocks.
"""

from __future__ import annotations

from tillbell.model.callbacks import ForwardNotice, NoteNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit import standard_proof
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kit.reading import json_object, required_text
from tillbell.providers.kit.requests import json_body, request, usual
from tillbell.rules.delivery.selectors import check_event_type

# Types about this gateway's own transactions and deliveries, which nobody else may publish.
OWN_FAMILIES = ("transaction.", "endpoint.", "delivery.")


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Pass the event on under its `type`."""
    del setup
    type_ = required_text(json_object(incoming.body), "type")
    key = standard_proof.event_id(incoming)
    problem = check_event_type(type_)
    if problem is not None:
        raise Unreadable(f"The type {type_[:50]!r} is no event type: {problem}.")
    if type_.startswith(OWN_FAMILIES):
        return ParsedNotices(
            (
                NoteNotice(
                    f"{type_} is reserved for this gateway, so it is noted and not passed on."
                ),
            ),
            key,
        )
    return ParsedNotices((ForwardNotice(type_, incoming.body),), key)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as the specification says. Raises `ValueError` for a `whpk_…` secret."""
    body = json_body(case.fields)
    return request(case, url, body, standard_proof.signing_headers(case, setup, body))


PROVIDER = Provider(
    name="standardwebhooks",
    title="Standard Webhooks",
    about="Events of any sender that follows the specification, passed on as they came.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        about="The sender's signing secret (whsec_…), or its ed25519 public key (whpk_…).",
        problem=standard_proof.secret_problem,
    ),
    answers="200; 401 when the signature does not match.",
    verify=standard_proof.verify,
    parse=parse,
    answer=usual(),
    sign=sign,
)
