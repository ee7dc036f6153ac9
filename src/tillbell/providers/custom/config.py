"""What the owner of a custom source declares, as records; and what may be wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec

from tillbell.model.sources import ConfirmationPolicy
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.custom.asymmetric import Scheme
from tillbell.providers.custom.check import CheckContext, DeclarationPart, SecretCheck
from tillbell.providers.custom.check_list import NAMES, AnyCheck, AnyOf, checks_problem, each
from tillbell.providers.custom.draft import RequestDraft
from tillbell.providers.custom.field_hash import Side
from tillbell.providers.custom.hmac_check import Algorithm, Hmac, KeyForm
from tillbell.providers.custom.locations import (
    RequestContent,
    RequestPlace,
    place,
    place_problem,
)
from tillbell.providers.custom.plain_checks import NoProof, Pull
from tillbell.providers.custom.signature import Output, Unit
from tillbell.providers.custom.template import template_problem
from tillbell.providers.kit.base import ConfigProblem, Incoming, SimulationCase, SourceSetup
from tillbell.rules.payments.transitions import status_of

ANY_FIELD = "*"  # as a place of references: any field
NOTE = "note"  # as a kind: nothing about money
PLACES_MAX = 10
# Sources that name one of these declare a sender of which only a look-up proves anything.
PRESETS = ("cleo", "flexepin", "gigadat", "payonepayment")
_PRESET: Mapping[str, Any] = {
    "checks": [{"check": "url_token"}, {"check": "pull"}],
    "event": {"ours": [ANY_FIELD]},
}
Format = Literal["auto", "json", "form", "xml", "query"]


class KindMapping(DeclarationPart, frozen=True, kw_only=True):
    """Which word says what kind a transaction is; a word not listed means nothing."""

    at: str
    words: dict[str, str]


class TimeMapping(DeclarationPart, frozen=True, kw_only=True):
    """Where the time of the event stands, and how it is written."""

    at: str
    format: str = "iso"  # iso, s, ms, or as strptime has it: %d.%m.%Y %H:%M:%S
    zone: str = "UTC"  # of a time without offset


class EventMapping(DeclarationPart, frozen=True, kw_only=True):
    """Where in the request everything stands that an event says."""

    id: str | None = None
    ours: tuple[str, ...] = ()
    psp: tuple[str, ...] = ()
    status: str | None = None
    kind: KindMapping | None = None
    linked_id: str | None = None  # of the refund or chargeback itself
    amount: str | None = None
    minor_units: bool = False
    currency: str | None = None
    currency_is: str | None = None  # for senders that do not name it
    reason: str | None = None
    message: str | None = None
    user: str | None = None
    occurred_at: TimeMapping | None = None

    @property
    def named_places(self) -> tuple[tuple[str, str], ...]:
        """Every declared place with the member that names it."""
        single = {
            "id": self.id,
            "status": self.status,
            "kind.at": self.kind.at if self.kind else None,
            "linkedId": self.linked_id,
            "amount": self.amount,
            "currency": self.currency,
            "reason": self.reason,
            "message": self.message,
            "user": self.user,
            "occurredAt.at": self.occurred_at.at if self.occurred_at else None,
        }
        lists = {"ours": self.ours, "psp": self.psp}
        listed = [(f"{name}[{i}]", at) for name, ats in lists.items() for i, at in enumerate(ats)]
        return (*((name, at) for name, at in single.items() if at is not None), *listed)


class AnswerDeclaration(DeclarationPart, frozen=True, kw_only=True):
    """How the sender is answered."""

    status: int = 200
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    redirect_url: str | None = None
    refused_status: int = 401
    malformed_status: int = 400


class SourceDeclaration(DeclarationPart, frozen=True, kw_only=True):
    """The declaration as a whole."""

    checks: tuple[AnyCheck, ...] = ()
    format: Format = "auto"
    event: EventMapping = EventMapping()
    dedupe: str | None = None
    answer: AnswerDeclaration = AnswerDeclaration()
    report_only: bool = False
    credentials: dict[str, str] = msgspec.field(default_factory=dict)

    def context(
        self, incoming: Incoming, setup: SourceSetup, *, is_explained: bool = False
    ) -> CheckContext:
        """Return what the checks of a request may look at."""
        return CheckContext(
            content=RequestContent(incoming, self.format),
            setup=setup,
            credentials=self.credentials,
            id_at=self.event.id,
            money_places=self._money_places,
            is_explained=is_explained,
        )

    def draft(self, case: SimulationCase, setup: SourceSetup, url: str) -> RequestDraft:
        """Return a case as a request that no check has signed yet."""
        return RequestDraft(
            case=case,
            setup=setup,
            url=url,
            format=self.format,
            credentials=self.credentials,
            id_at=self.event.id,
        )

    @property
    def _money_places(self) -> tuple[RequestPlace, ...]:
        """The places on which it depends what money does, as a signature covers them."""
        named = self.event.named_places
        places = [place(at) for name, at in named if name not in ("id", "reason", "message")]
        return tuple(self._signed_place(where) for where in places)

    def _signed_place(self, where: RequestPlace) -> RequestPlace:
        """Return a parameter for a field where the query is read as the body."""
        if self.format == "query" and where.kind == "field":
            return RequestPlace("query", where.name.removeprefix("/"))
        return where


def read_declaration(config: Mapping[str, Any]) -> SourceDeclaration:
    """Read a source's settings. Raises `msgspec.ValidationError`."""
    settings = {**_PRESET, **config} if config.get("preset") in PRESETS else config
    members = SourceDeclaration.__struct_encode_fields__
    declared = {name: settings[name] for name in members if name in settings}
    return msgspec.convert(declared, SourceDeclaration)


def usable_declaration(config: Mapping[str, Any]) -> SourceDeclaration:
    """Read a source's settings; an empty declaration, which proves nothing, if one is wrong."""
    return _usable(msgspec.json.encode(config))


@lru_cache(maxsize=256)
def _usable(encoded: bytes) -> SourceDeclaration:
    config = msgspec.json.decode(encoded)
    return SourceDeclaration() if problems(config) else read_declaration(config)


def may_be_unproven(declaration: SourceDeclaration) -> bool:
    """Tell whether a callback may be accepted that anybody could have sent."""
    return declaration.report_only or any(
        isinstance(check, Pull | NoProof) for check in each(declaration.checks)
    )


# ── what may be wrong ────────────────────────────────────────────────────────────────────────────


def problems(config: Mapping[str, Any]) -> Sequence[ConfigProblem]:
    """List what is wrong with the settings of a custom source, each with its member."""
    try:
        declaration = read_declaration(config)
    except msgspec.ValidationError as error:
        return [_type_problem(str(error))]
    if not declaration.checks:
        text = f"is needed: a list of {NAMES}; see docs/providers.md#custom"
        return [ConfigProblem("checks", text)]
    wrong = checks_problem(declaration.checks)
    if wrong is not None:
        return [ConfigProblem(f"checks{wrong[0]}", wrong[1])]
    return [
        *_credential_problems(declaration),
        *_place_problems(declaration),
        *_event_problems(declaration.event),
        *_status_problems(config.get("statuses")),
        *_answer_problems(declaration.answer),
        *_trust_problems(declaration, config.get("confirm")),
    ]


def _listed(literal: object) -> str:
    return ", ".join(get_args(literal))


_MESSAGE = re.compile(r"(?P<text>.*?)(?: - at `\$\.?(?P<member>.*)`)?", re.DOTALL)
_CHOICES = {
    "check": NAMES,
    "algorithm": f"{_listed(Algorithm)}; {_listed(Scheme)} of asymmetric",
    "output": _listed(Output),
    "key": _listed(KeyForm),
    "unit": _listed(Unit),
    "secretAt": _listed(Side),
    "format": _listed(Format),
}


def _type_problem(message: str) -> ConfigProblem:
    """Return msgspec's message as a problem; of a wrong word also those that are possible."""
    match = _MESSAGE.fullmatch(message)
    assert match is not None, "the pattern fits every text"
    text, member = match["text"], (match["member"] or "").replace("[...]", "")
    text = text[:1].lower() + text[1:]
    name = member.rpartition(".")[2]
    if text.startswith("invalid") and name in _CHOICES:
        text = f"{text}; there are {_CHOICES[name]}"
    return ConfigProblem(member or "checks", text)


def _credential_problems(declaration: SourceDeclaration) -> Iterator[ConfigProblem]:
    for check in each(declaration.checks):
        name = check.secret if isinstance(check, SecretCheck | Hmac) else None
        if name is not None and name not in declaration.credentials:
            kind = type(check).__name__
            text = f"has no member {name!r}, which the check {kind} names as its secret"
            yield ConfigProblem("credentials", text)
    for name, credential in declaration.credentials.items():
        if not credential.strip():
            yield ConfigProblem(f"credentials.{name}", "is empty")


def _place_problems(declaration: SourceDeclaration) -> Iterator[ConfigProblem]:
    event = declaration.event
    if max(len(event.ours), len(event.psp)) > PLACES_MAX:
        yield ConfigProblem("event.ours", f"and psp name at most {PLACES_MAX} places each")
    for name, at in event.named_places:
        if wrong := place_problem(at):
            yield ConfigProblem(f"event.{name}", wrong)
        elif at == ANY_FIELD and not name.startswith("ours"):
            yield ConfigProblem(f"event.{name}", "must be one place; * is for ours only")
    if declaration.dedupe is not None and (wrong := template_problem(declaration.dedupe)):
        yield ConfigProblem("dedupe", wrong)


def _event_problems(event: EventMapping) -> Iterator[ConfigProblem]:
    if event.status is not None and not (event.ours or event.psp):
        yield ConfigProblem("event.ours", "or psp is needed: where the payment's reference stands")
    if event.amount is not None and not (event.currency or event.currency_is):
        text = 'or currencyIs is needed beside amount: "/currency", "currencyIs": "EUR"'
        yield ConfigProblem("event.currency", text)
    if event.currency_is is not None and not re.fullmatch(r"[A-Z]{3,8}", event.currency_is):
        yield ConfigProblem("event.currencyIs", "must be a currency's code, like EUR")
    if event.occurred_at is not None and not _is_zone(event.occurred_at.zone):
        yield ConfigProblem("event.occurredAt.zone", "is no time zone, like Europe/Belgrade")
    if event.kind is not None:
        yield from _kind_problems(event.kind, event.linked_id)


def _kind_problems(mapping: KindMapping, linked_id: str | None) -> Iterator[ConfigProblem]:
    known = [*(kind.value for kind in TransactionKind), NOTE]
    for word, kind in mapping.words.items():
        if kind not in known:
            yield ConfigProblem(f"event.kind.words.{word}", f"must be one of {', '.join(known)}")
    linked_kinds = set(mapping.words.values()) - {TransactionKind.PAYMENT.value, NOTE}
    if linked_id is None and linked_kinds:
        text = "is needed: where the id of a refund or chargeback itself stands"
        yield ConfigProblem("event.linkedId", text)


def _status_problems(statuses: object) -> Iterator[ConfigProblem]:
    for word, name in statuses.items() if isinstance(statuses, dict) else ():
        if not isinstance(name, str) or status_of(name) is None:
            text = f"must be one of {', '.join(status.value for status in TransactionStatus)}"
            yield ConfigProblem(f"statuses.{word}", text)


def _answer_problems(answer: AnswerDeclaration) -> Iterator[ConfigProblem]:
    if not 200 <= answer.status <= 299:
        yield ConfigProblem("answer.status", "must be 200 to 299; to redirect, set redirectUrl")
    for name, status in (
        ("refusedStatus", answer.refused_status),
        ("malformedStatus", answer.malformed_status),
    ):
        if not (200 <= status <= 299 or 400 <= status <= 499):
            yield ConfigProblem(f"answer.{name}", "must be 200 to 299 or 400 to 499")
    if not re.fullmatch(r"[!-~][ -~]{0,99}", answer.content_type):
        yield ConfigProblem("answer.contentType", "must be like application/json")
    url = answer.redirect_url
    if url is not None and not re.fullmatch(r"https?://[!-~]{1,2000}", url):
        yield ConfigProblem("answer.redirectUrl", "must be an http or https address")


def _trust_problems(declaration: SourceDeclaration, confirm: object) -> Iterator[ConfigProblem]:
    if confirm == ConfirmationPolicy.TRUST.value and may_be_unproven(declaration):
        text = (
            "may not be trust where anybody could send a callback (none, pull, reportOnly): "
            "set pull or review"
        )
        yield ConfigProblem("confirm", text)
    for check in each(declaration.checks):
        if isinstance(check, AnyOf) and any(isinstance(member, NoProof) for member in check.of):
            text = "holds none beside other checks in any, which makes those void; take it out"
            yield ConfigProblem("checks", text)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
