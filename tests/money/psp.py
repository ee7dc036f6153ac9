"""A payment provider of our own: its callbacks hold the notices themselves, and their trust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tillbell.model.callbacks import (
    AnalyticsNotice,
    EmailNotice,
    ForwardNotice,
    NoteNotice,
    Notice,
    OrderNotice,
    RecordNotice,
    ShipmentNotice,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    Incoming,
    IntakeStatus,
    ParsedNotices,
    Provider,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Verdict,
)

_NOTICES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        TransactionNotice,
        ShipmentNotice,
        EmailNotice,
        AnalyticsNotice,
        OrderNotice,
        RecordNotice,
        ForwardNotice,
        NoteNotice,
    )
}


class Letter(msgspec.Struct):
    """The body of a callback."""

    trust: int
    key: str | None
    notices: list[tuple[str, msgspec.Raw]]


def body_of(notices: Sequence[Notice], trust: Trust, key: str | None) -> bytes:
    """Write what `PSP` reads."""
    told = [(type(one).__name__, msgspec.Raw(msgspec.json.encode(one))) for one in notices]
    return msgspec.json.encode(Letter(trust, key, told))


def _verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    return Verdict(Trust(msgspec.json.decode(incoming.body, type=Letter).trust), "As it says.")


def _parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    letter = msgspec.json.decode(incoming.body, type=Letter)
    return ParsedNotices(tuple(_notice(name, raw) for name, raw in letter.notices), letter.key)


def _notice(name: str, raw: msgspec.Raw) -> Notice:
    found: Notice = msgspec.json.decode(raw, type=_NOTICES[name])
    return found


def _answer(incoming: Incoming, setup: SourceSetup, heard: IntakeStatus) -> CallbackAnswer:
    return CallbackAnswer(200)


def _sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    return Incoming(case.method, url, (), b"", case.at)


PSP = Provider(
    name="psp",
    title="A provider",
    about="Payments of tests.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=Trust.NONE,
    secret=SecretRule("Nowhere.", is_required=False),
    answers="200.",
    verify=_verify,
    parse=_parse,
    answer=_answer,
    sign=_sign,
    statuses={"captured": TransactionStatus.APPROVED, "void": TransactionStatus.CANCELLED},
)
