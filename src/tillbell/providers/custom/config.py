"""What the owner of a custom source declares, as records; and what may be wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from tillbell.model.sources import ConfirmationPolicy
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.custom.check_types import (
    NAMES,
    AnyCheck,
    AnyOf,
    DeclarationPart,
    Hmac,
    NoProof,
    Pull,
    SecretCheck,
    checks_problem,
    each,
)
from tillbell.providers.custom.locations import RequestPlace, place, place_problem
from tillbell.providers.custom.template import template_problem
from tillbell.providers.kit.base import ConfigProblem
from tillbell.rules.payments.transitions import status_of

ANY_FIELD = "*"  # as a place of references: whatever field holds one
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
    """Which word tells what a transaction is; a word not listed means nothing."""

    at: str
    words: dict[str, str]


class TimeMapping(DeclarationPart, frozen=True, kw_only=True):
    """Where the time of the news stands, and how it is written."""

    at: str
    format: str = "iso"  # iso, s, ms, or as strptime has it: %d.%m.%Y %H:%M:%S
    zone: str = "UTC"  # of a time without offset


class EventMapping(DeclarationPart, frozen=True, kw_only=True):
    """Where everything stands that an event says."""

    id: str | None = None
    ours: tuple[str, ...] = ()
    psp: tuple[str, ...] = ()
    status: str | None = None
    kind: KindMapping | None = None
    linked_id: str | None = None  # of the refund or chargeback itself
    amount: str | None = None
    minor_units: bool = False
    currency: str | None = None
    currency_is: str | None = None  # where it is not told
    reason: str | None = None
    message: str | None = None
    user: str | None = None
    occurred_at: TimeMapping | None = None

    @property
    def named(self) -> tuple[tuple[str, str], ...]:
        """Return every place with the member that names it."""
        one = {
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
        many = {"ours": self.ours, "psp": self.psp}
        listed = [(f"{name}[{i}]", at) for name, ats in many.items() for i, at in enumerate(ats)]
        return (*((name, at) for name, at in one.items() if at is not None), *listed)


class AnswerDeclaration(DeclarationPart, frozen=True, kw_only=True):
    """What the sender is told."""

    status: int = 200
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    redirect_url: str | None = None
    refused_status: int = 401
    malformed_status: int = 400


class SourceDeclaration(DeclarationPart, frozen=True, kw_only=True):
    """All of it."""

    checks: tuple[AnyCheck, ...] = ()
    format: Format = "auto"
    event: EventMapping = EventMapping()
    dedupe: str | None = None
    answer: AnswerDeclaration = AnswerDeclaration()
    report_only: bool = False
    credentials: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def money_places(self) -> tuple[RequestPlace, ...]:
        """Return the places on which it depends what money does."""
        told = [at for name, at in self.event.named if name not in ("id", "reason", "message")]
        return tuple(self.real(place(at)) for at in told)

    def real(self, where: RequestPlace) -> RequestPlace:
        """Return a place as the proof has it: where the query is read, a field is a parameter."""
        if self.format == "query" and where.kind == "field":
            return RequestPlace("query", where.name.removeprefix("/"))
        return where


def read_declaration(config: Mapping[str, Any]) -> SourceDeclaration:
    """Read a source's settings. Raises `msgspec.ValidationError`."""
    whole = {**_PRESET, **config} if config.get("preset") in PRESETS else config
    own = {
        name: whole[name] for name in SourceDeclaration.__struct_encode_fields__ if name in whole
    }
    return msgspec.convert(own, SourceDeclaration)


def require_usable(config: Mapping[str, Any]) -> SourceDeclaration:
    """Return a declaration without fault; an empty one, which proves nothing, if there is one."""
    return _usable(msgspec.json.encode(config))


@lru_cache(maxsize=256)
def _usable(encoded: bytes) -> SourceDeclaration:
    config = msgspec.json.decode(encoded)
    return SourceDeclaration() if problems(config) else read_declaration(config)


def may_be_unproven(found: SourceDeclaration) -> bool:
    """Tell whether a callback of anybody may be accepted."""
    return found.report_only or any(isinstance(one, Pull | NoProof) for one in each(found.checks))


# ── what may be wrong ────────────────────────────────────────────────────────────────────────────


def problems(config: Mapping[str, Any]) -> Sequence[ConfigProblem]:
    """List what is wrong with the settings of a custom source, each with its member."""
    try:
        found = read_declaration(config)
    except msgspec.ValidationError as error:
        return [_unread(str(error))]
    if not found.checks:
        told = f"is needed: a list of {NAMES}; see docs/providers.md#custom"
        return [ConfigProblem("checks", told)]
    wrong = checks_problem(found.checks)
    if wrong is not None:
        return [ConfigProblem(f"checks{wrong[0]}", wrong[1])]
    return [made for look in _LOOKS for made in look(found, config)]


_TYPED = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<where>.*)`)?", re.DOTALL)
_CHOICES = {
    "check": NAMES,
    "algorithm": "sha256, sha512, sha384, sha1; ed25519, rsa-sha256, rsa-pss-sha256 of asymmetric",
    "output": "hex, base64, base64url",
    "key": "utf8, hex, base64, whsec",
    "unit": "s, ms, http, iso",
    "secretAt": "end, start",
    "format": "auto, json, form, xml, query",
}


def _unread(error: str) -> ConfigProblem:
    """Return what does not even have the right types, with the words that are possible."""
    read = _TYPED.fullmatch(error)
    assert read is not None, "the pattern fits every text"
    what, where = read["what"], (read["where"] or "").replace("[...]", "")
    what = what[:1].lower() + what[1:]
    member = where.rpartition(".")[2]
    if what.startswith("invalid") and member in _CHOICES:
        what = f"{what}; there are {_CHOICES[member]}"
    return ConfigProblem(where or "checks", what)


def _secrets(found: SourceDeclaration, config: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    del config
    for one in each(found.checks):
        name = one.secret if isinstance(one, SecretCheck | Hmac) else None
        if name is not None and name not in found.credentials:
            told = (
                f"has no member {name!r}, which the check {type(one).__name__} names as its secret"
            )
            yield ConfigProblem("credentials", told)
    for name, text in found.credentials.items():
        if not text.strip():
            yield ConfigProblem(f"credentials.{name}", "is empty")


def _places(found: SourceDeclaration, config: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    del config
    event = found.event
    if max(len(event.ours), len(event.psp)) > PLACES_MAX:
        yield ConfigProblem("event.ours", f"and psp name at most {PLACES_MAX} places each")
    for name, at in event.named:
        if wrong := place_problem(at):
            yield ConfigProblem(f"event.{name}", wrong)
        elif at == ANY_FIELD and not name.startswith("ours"):
            yield ConfigProblem(f"event.{name}", "must be one place; * is for ours only")
    if found.dedupe is not None and (wrong := template_problem(found.dedupe)):
        yield ConfigProblem("dedupe", wrong)


def _event(found: SourceDeclaration, config: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    del config
    event = found.event
    if event.status is not None and not (event.ours or event.psp):
        yield ConfigProblem("event.ours", "or psp is needed: where the payment's reference stands")
    if event.amount is not None and not (event.currency or event.currency_is):
        told = 'or currencyIs is needed beside amount: "/currency", "currencyIs": "EUR"'
        yield ConfigProblem("event.currency", told)
    if event.currency_is is not None and not re.fullmatch(r"[A-Z]{3,8}", event.currency_is):
        yield ConfigProblem("event.currencyIs", "must be a currency's code, like EUR")
    if event.occurred_at is not None and (wrong := _zone_problem(event.occurred_at.zone)):
        yield ConfigProblem("event.occurredAt.zone", wrong)
    yield from _kinds(event)


def _kinds(event: EventMapping) -> Iterator[ConfigProblem]:
    if event.kind is None:
        return
    known = [*(kind.value for kind in TransactionKind), NOTE]
    for word, name in event.kind.words.items():
        if name not in known:
            yield ConfigProblem(f"event.kind.words.{word}", f"must be one of {', '.join(known)}")
    if event.linked_id is None and set(event.kind.words.values()) - {
        TransactionKind.PAYMENT.value,
        NOTE,
    }:
        told = "is needed: where the id of a refund or chargeback itself stands"
        yield ConfigProblem("event.linkedId", told)


def _statuses(found: SourceDeclaration, config: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    del found
    words = config.get("statuses")
    for word, name in words.items() if isinstance(words, dict) else ():
        if not isinstance(name, str) or status_of(name) is None:
            told = f"must be one of {', '.join(status.value for status in TransactionStatus)}"
            yield ConfigProblem(f"statuses.{word}", told)


def _answer(found: SourceDeclaration, config: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    del config
    answer = found.answer
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


def _trusting(found: SourceDeclaration, config: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    if config.get("confirm") == ConfirmationPolicy.TRUST.value and may_be_unproven(found):
        told = (
            "may not be trust where anybody could send a callback (none, pull, reportOnly): "
            "set pull or review"
        )
        yield ConfigProblem("confirm", told)
    for one in each(found.checks):
        if isinstance(one, AnyOf) and any(isinstance(member, NoProof) for member in one.of):
            told = "holds none beside other checks in any, which makes those void; take it out"
            yield ConfigProblem("checks", told)


def _zone_problem(zone: str) -> str | None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return "is no time zone, like Europe/Belgrade"
    return None


_Look = Callable[[SourceDeclaration, Mapping[str, Any]], Iterator[ConfigProblem]]
_LOOKS: tuple[_Look, ...] = (_secrets, _places, _event, _statuses, _answer, _trusting)
