"""The vendors' own libraries agree with our adapters, about right requests and altered ones.

Each case is drawn from a seed: a document, a secret, what the vendor's library signs, and in
every second case one thing changed. Square's, Svix's and Standard Webhooks' are tried beside
their adapters.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from Adyen.util import generate_notification_sig, is_valid_hmac_notification
from mollie.utils.webhooks.signature_validator import InvalidSignatureException, SignatureValidator
from stripe import SignatureVerificationError, WebhookSignature

from tests.scale import full_or_tenth, soak
from tillbell.model.sources import Trust
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import Incoming, SourceSetup

CASES = full_or_tenth(2_000)
AT_S = 1_772_359_200
LETTERS = 'abcXYZ019 :=,;|"\\{}[]\n\tčšž€日本𝄞'


class Drawn(NamedTuple):
    """One request: the header's value (Adyen: none), the body, the secret."""

    header: str
    body: bytes
    secret: str


class Oracle(NamedTuple):
    """A vendor's library: how it signs, and whether it accepts."""

    header: str
    draw: Callable[[random.Random], Drawn]
    accepts: Callable[[Drawn], bool]


def text(chance: random.Random, longest: int) -> str:
    return "".join(chance.choice(LETTERS) for _ in range(chance.randint(1, longest)))


def document(chance: random.Random) -> str:
    return json.dumps(
        {text(chance, 8): text(chance, 30) for _ in range(chance.randint(1, 5))},
        ensure_ascii=chance.random() < 0.5,
    )


# ── the vendors' libraries ───────────────────────────────────────────────────────────────────────


def draw_stripe(chance: random.Random) -> Drawn:
    body, secret = document(chance), "whsec_" + text(chance, 20)
    header = WebhookSignature.generate_signature_header(body, secret, AT_S)
    return Drawn(header, body.encode(), secret)


def accepts_stripe(drawn: Drawn) -> bool:
    try:
        return bool(WebhookSignature.verify_header(drawn.body, drawn.header, drawn.secret))
    except SignatureVerificationError:
        return False


def draw_paddle(chance: random.Random) -> Drawn:
    from paddle_billing.Notifications import PaddleSignature  # a second to load

    body, secret = document(chance), "pdl_ntf_" + text(chance, 20)
    digest = PaddleSignature.calculate_hmac(secret, f"{AT_S}:{body}".encode()).hexdigest()
    return Drawn(f"ts={AT_S};h1={digest}", body.encode(), secret)


def accepts_paddle(drawn: Drawn) -> bool:
    from paddle_billing.Notifications import Secret, Verifier

    request = SimpleNamespace(headers={"Paddle-Signature": drawn.header}, body=drawn.body)
    verifier = Verifier(maximum_variance=0)
    try:
        return bool(verifier.verify(request, Secret(drawn.secret)))
    except ValueError:
        return False


def draw_mollie(chance: random.Random) -> Drawn:
    body, secret = document(chance), text(chance, 30)
    digest = SignatureValidator.create_signature(body, secret)
    return Drawn(f"sha256={digest}", body.encode(), secret)


def accepts_mollie(drawn: Drawn) -> bool:
    try:
        return SignatureValidator.validate(drawn.body.decode(), drawn.secret, drawn.header)
    except InvalidSignatureException:
        return False


def draw_adyen(chance: random.Random) -> Drawn:
    secret = chance.randbytes(32).hex()
    item: dict[str, Any] = {
        "pspReference": text(chance, 16).replace(":", ""),
        "merchantAccountCode": text(chance, 16).replace(":", ""),
        "merchantReference": text(chance, 16),
        "amount": {"value": chance.randrange(10**9), "currency": "EUR"},
        "eventCode": chance.choice(["AUTHORISATION", "CAPTURE", "REFUND"]),
        "success": chance.choice(["true", "false"]),
    }
    if chance.random() < 0.5:
        item["originalReference"] = text(chance, 16).replace(":", "")
    signature = generate_notification_sig(item, secret).decode()
    item["additionalData"] = {"hmacSignature": signature}
    wrapped = {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}
    return Drawn("", json.dumps(wrapped).encode(), secret)


def accepts_adyen(drawn: Drawn) -> bool:
    return bool(is_valid_hmac_notification(json.loads(drawn.body), drawn.secret))


ORACLES = {
    "stripe": Oracle("stripe-signature", draw_stripe, accepts_stripe),
    "paddle": Oracle("paddle-signature", draw_paddle, accepts_paddle),
    "mollie": Oracle("x-mollie-signature", draw_mollie, accepts_mollie),
    "adyen": Oracle("x-none", draw_adyen, accepts_adyen),
}


# ── one thing changed ────────────────────────────────────────────────────────────────────────────


def altered(drawn: Drawn, chance: random.Random) -> Drawn:
    """Change the secret, a digit of the signature, or a value of the document."""
    what = chance.choice(["secret", "body", "header"] if drawn.header else ["secret", "body"])
    if what == "secret":
        other = "0" if drawn.secret[-1] != "0" else "1"
        return drawn._replace(secret=drawn.secret[:-1] + other)
    if what == "header":
        other = "0" if drawn.header[-1] != "0" else "1"
        return drawn._replace(header=drawn.header[:-1] + other)
    if not drawn.header:
        return drawn._replace(body=drawn.body.replace(b'"value": ', b'"value": 1'))
    return drawn._replace(body=drawn.body[:-1] + b" }")


def cases(oracle: Oracle) -> Iterator[Drawn]:
    chance = random.Random(20_260_301)
    for number in range(CASES):
        drawn = oracle.draw(chance)
        yield altered(drawn, chance) if number % 2 else drawn


@soak
@pytest.mark.parametrize("name", ORACLES)
def test_the_vendor_and_we_accept_the_same(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1)  # a library that logs each refusal
    oracle, verify = ORACLES[name], PROVIDERS[name].verify
    accepted = 0
    for drawn in cases(oracle):
        headers = ((oracle.header, drawn.header),)
        incoming = Incoming("POST", "/x", headers, drawn.body, AT_S * 1_000_000)
        theirs = oracle.accepts(drawn)
        ours = verify(incoming, SourceSetup((drawn.secret,))).trust is Trust.SIGNED
        assert ours is theirs, drawn
        accepted += ours
    assert accepted == CASES // 2
