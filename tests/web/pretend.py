"""Pretend providers of our own, so that these tests need no real one's format.

`pretend` signs its body (HMAC-SHA256, hex, `x-pretend-signature`); `hint` proves nothing and
comes by GET or POST; `echo` passes on what it gets; `flood` is a bulk provider; `fickle` has
an adapter with mistakes.
"""

from __future__ import annotations

import json
from typing import Any

from tests.web.served_gateway import ServedGateway
from tillbell.model.callbacks import ForwardNotice, NoteNotice, Notice
from tillbell.model.sources import Trust
from tillbell.providers.kit import proof, reading
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    Incoming,
    IntakeStatus,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Verdict,
)

SIGNATURE = "x-pretend-signature"
ANSWERS = {
    IntakeStatus.STORED: CallbackAnswer(200, b"[OK]"),
    IntakeStatus.REFUSED: CallbackAnswer(401),
    IntakeStatus.MALFORMED: CallbackAnswer(400),
}


def signature(secret: str, body: bytes) -> str:
    return proof.mac("sha256", secret.encode(), body).hex()


def _verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    if not setup.secrets:
        return proof.NO_SECRET
    given = proof.from_hex(incoming.header(SIGNATURE))
    expected = [proof.mac("sha256", s.encode(), incoming.body) for s in setup.secrets]
    return proof.signed(proof.is_one_of([given], expected), "HMAC")


def _parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    found = reading.json_object(incoming.body)
    text = reading.text(found, "note") or "said nothing"
    return ParsedNotices((NoteNotice(text),), reading.text(found, "id"))


def _answer(incoming: Incoming, setup: SourceSetup, heard: IntakeStatus) -> CallbackAnswer:
    if heard is IntakeStatus.STORED and "successUrl" in setup.config:
        return CallbackAnswer(303, headers=(("location", str(setup.config["successUrl"])),))
    return ANSWERS[heard]


def _sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    body = json.dumps(dict(case.fields)).encode()
    headers = (
        ("content-type", "application/json"),
        (SIGNATURE, signature(setup.secrets[0], body)),
    )
    return Incoming(case.method, url, headers, body, case.at)


def _long_enough(text: str) -> str | None:
    return "needs 8 characters or more" if len(text) < 8 else None


PRETEND = Provider(
    name="pretend",
    title="Pretend",
    about="Payments that never were.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule("In its settings.", problem=_long_enough),
    answers="200 with [OK].",
    verify=_verify,
    parse=_parse,
    answer=_answer,
    sign=_sign,
    settings=(
        ProviderSetting("successUrl", "Where the payer goes.", "url"),
        ProviderSetting("mode", "Which gateway.", choices=("test", "live"), default="test"),
        ProviderSetting("apiPassword", "For look-ups.", is_secret=True),
        ProviderSetting("limit", "A number.", "integer"),
    ),
    masked=("passcode", "x-pretend-token"),
)


def _hinted(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    notices: tuple[Notice, ...] = (NoteNotice(str(reading.fields(incoming))),)
    return ParsedNotices(notices)


HINT = PRETEND._replace(
    name="hint",
    title="Hint",
    best_trust=Trust.NONE,
    bare_trust=Trust.NONE,
    secret=None,
    verify=lambda *_: Verdict(Trust.NONE, "Nothing is signed."),
    parse=_hinted,
    methods=frozenset({"GET", "POST"}),
)
ECHO = HINT._replace(
    name="echo",
    parse=lambda incoming, _: ParsedNotices((ForwardNotice("order.paid", incoming.body),), ""),
)
FLOOD = PRETEND._replace(name="flood", title="Flood", is_bulk=True)


def _mistaken(incoming: Incoming, setup: SourceSetup) -> Any:
    raise KeyError(incoming.body.decode())


FICKLE = PRETEND._replace(name="fickle", title="Fickle", parse=_mistaken)

PROVIDERS = {one.name: one for one in (PRETEND, HINT, ECHO, FLOOD, FICKLE)}


def use(served: ServedGateway) -> None:
    """Let a gateway know the pretend providers beside the real ones."""
    sources = served.gateway.source_cache
    sources.providers = {**sources.providers, **PROVIDERS}
