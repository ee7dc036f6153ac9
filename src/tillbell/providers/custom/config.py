"""What the owner of a custom source declares, as records; and what may be wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

import msgspec

from tillbell.model.sources import ConfirmationPolicy
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.custom.asymmetric import Scheme
from tillbell.providers.custom.check import CheckContext, DeclarationPart, SecretCheck
from tillbell.providers.custom.check_list import NAMES, AnyCheck, AnyOf, checks_problem, each
from tillbell.providers.custom.draft import RequestDraft
from tillbell.providers.custom.event import (
    ANY,
    EventMapping,
    event_problems,
    word_problems,
)
from tillbell.providers.custom.field_hash import Side
from tillbell.providers.custom.hmac_check import Algorithm, Hmac, KeyForm
from tillbell.providers.custom.locations import RequestContent, RequestPlace, place
from tillbell.providers.custom.plain_checks import NoProof, Pull
from tillbell.providers.custom.signature import Output, Unit
from tillbell.providers.custom.template import template_problem
from tillbell.providers.kit.base import ConfigProblem, Incoming, SimulationCase, SourceSetup
from tillbell.providers.kit.words import own_words
from tillbell.rules.payments.transitions import status_of

DIGITS_MAX = 18  # of minor units
# Sources that name one of these declare a sender of which only a look-up proves anything.
PRESETS = ("cleo", "flexepin", "gigadat", "payonepayment")
_PRESET: Mapping[str, Any] = {
    "checks": [{"check": "url_token"}, {"check": "pull"}],
    "event": {"ours": [ANY]},
}
Format = Literal["auto", "json", "form", "xml", "query"]


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
    exponents: dict[str, int] = msgspec.field(default_factory=dict)
    dedupe: str | None = None
    answer: AnswerDeclaration = AnswerDeclaration()
    report_only: bool = False
    credentials: dict[str, str] = msgspec.field(default_factory=dict)

    def exponent(self, currency: str | None) -> int | None:
        """Return how many decimals the sender's minor units have; None: as ISO 4217 says."""
        return self.exponents.get(currency or ANY, self.exponents.get(ANY))

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
        *_dedupe_problems(declaration),
        *event_problems(declaration.event),
        *_exponent_problems(declaration),
        *_status_problems(config.get("statuses")),
        *word_problems(declaration.event, own_words(config)),
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


def _dedupe_problems(declaration: SourceDeclaration) -> Iterator[ConfigProblem]:
    if declaration.dedupe is not None and (wrong := template_problem(declaration.dedupe)):
        yield ConfigProblem("dedupe", wrong)


def _exponent_problems(declaration: SourceDeclaration) -> Iterator[ConfigProblem]:
    for currency, digits in declaration.exponents.items():
        if currency != ANY and not re.fullmatch(r"[A-Z]{3,8}", currency):
            yield ConfigProblem(f"exponents.{currency}", "must be a currency's code, or * for all")
        if not 0 <= digits <= DIGITS_MAX:
            yield ConfigProblem(f"exponents.{currency}", f"must be 0 to {DIGITS_MAX}")


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
