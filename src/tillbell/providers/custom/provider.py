"""Custom: any sender without an adapter, as its owner declares it. No code.

Checks say how it proves itself (checks.py), places where everything stands (places.py), words
what they mean, templates what is signed and which events are the same (template.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tillbell.clock import Micros
from tillbell.model.callbacks import NoteNotice, ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind
from tillbell.providers.custom import checking
from tillbell.providers.custom.check_types import Pull, StaticField, StaticHeader, each
from tillbell.providers.custom.checking import CheckContext
from tillbell.providers.custom.config import (
    ANY_FIELD,
    NOTE,
    PRESETS,
    AnswerDeclaration,
    EventMapping,
    SourceDeclaration,
    TimeMapping,
    may_be_unproven,
    problems,
    require_usable,
)
from tillbell.providers.custom.locations import RequestContent, RequestPlace, place
from tillbell.providers.custom.sign import sign
from tillbell.providers.custom.template import Ambiguous, TemplateValues, template
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    DeclaredProof,
    Incoming,
    IntakeStatus,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SecretRule,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.browser import page, redirect_to_shop
from tillbell.providers.kit.reading import (
    KEY_MAX,
    iso_time,
    local_time,
    present_values,
    unix_millis,
    unix_seconds,
)
from tillbell.providers.kit.words import STATUSES, meaning

LEAVES_MAX = 50  # values that are tried as references where none is declared


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Carry out the declared checks; with `reportOnly` what fails is told and let through."""
    return _verified(incoming, setup, is_explained=False)


def explain(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Carry out the declared checks, and say which change of them a signature would match."""
    return _verified(incoming, setup, is_explained=True)


def _verified(incoming: Incoming, setup: SourceSetup, *, is_explained: bool) -> Verdict:
    found = require_usable(setup.config)
    asked = CheckContext(RequestContent(incoming, found.format), found, setup, is_explained)
    verdict = checking.verify(asked)
    if verdict.trust is None and found.report_only and found.checks:
        return Verdict(Trust.NONE, f"This is only reported, not refused: {verdict.why}")
    return verdict


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read what the places name."""
    found = require_usable(setup.config)
    event, content = found.event, RequestContent(incoming, found.format)
    if not (event.ours or event.psp):
        return ParsedNotices((NoteNotice("Where it names its payment is not declared (event)."),))
    kind, is_known = _kind(content, event)
    if kind is None:
        return ParsedNotices((NoteNotice("It is not about a payment."),), _key(content, found))
    raw = content.text(_at(event.status)) or ""
    if event.status is not None and not raw:
        raise Unreadable(f"There is no status at {event.status}.")
    step = meaning(raw, {}, setup.config) if raw and is_known else None
    notice = TransactionNotice(
        _references(content, event),
        raw_status=raw[:KEY_MAX],
        status=step.status if step is not None else None,
        kind=kind,
        reason=content.text(_at(event.reason)),
        message=content.text(_at(event.message)),
        amount=_sum(content, event),
        psp_transaction_id=_own_id(content, event, kind),
        user_id=content.text(_at(event.user)),
        occurred_at=_time(content, event.occurred_at),
        is_hint=_is_hint(found, setup.config),
        is_optional=ANY_FIELD in event.ours,
    )
    return ParsedNotices((notice,), _key(content, found))


def answer(incoming: Incoming, setup: SourceSetup, heard: IntakeStatus) -> CallbackAnswer:
    """Answer as declared."""
    del incoming
    told = require_usable(setup.config).answer
    if heard is not IntakeStatus.STORED:
        status = told.refused_status if heard is IntakeStatus.REFUSED else told.malformed_status
        is_page = told.redirect_url is not None
        return (
            page(status, "This message cannot be accepted.") if is_page else CallbackAnswer(status)
        )
    if told.redirect_url is not None:
        return redirect_to_shop({"redirectUrl": told.redirect_url}, "redirectUrl")
    return CallbackAnswer(told.status, told.body.encode(), told.content_type)


def declared_proof(setup: SourceSetup) -> DeclaredProof:
    """Say what the declaration of one source comes to."""
    found = require_usable(setup.config)
    asked = CheckContext(RequestContent(_NO_REQUEST, found.format), found, setup)
    trust = checking.declared_trust(asked, found.checks) if found.checks else None
    carried = [one for one in each(found.checks) if isinstance(one, StaticField | StaticHeader)]
    return DeclaredProof(
        Trust.NONE if found.report_only and trust is not None else trust,
        _answers(found.answer),
        PROVIDER.note,
        tuple(_masked_name(one) for one in carried),
    )


# ── parts ────────────────────────────────────────────────────────────────────────────────────────

_NO_REQUEST = Incoming("POST", "/", (), b"", 0)


def _at(text: str | None) -> RequestPlace | None:
    return None if text is None else place(text)


def _kind(content: RequestContent, event: EventMapping) -> tuple[TransactionKind | None, bool]:
    """Return what it is about (None: no payment) and whether its word is known."""
    if event.kind is None:
        return TransactionKind.PAYMENT, True
    word = content.text(place(event.kind.at))
    if word is None:
        return TransactionKind.PAYMENT, True
    name = event.kind.words.get(word)
    if name == NOTE:
        return None, True
    return (TransactionKind(name), True) if name is not None else (TransactionKind.PAYMENT, False)


def _references(content: RequestContent, event: EventMapping) -> References:
    ours = present_values(*(content.text(place(at)) for at in event.ours if at != ANY_FIELD))
    if ANY_FIELD in event.ours:
        ours = (*ours, *content.leaves(LEAVES_MAX))
    return References(ours, present_values(*(content.text(place(at)) for at in event.psp)))


def _own_id(content: RequestContent, event: EventMapping, kind: TransactionKind) -> str | None:
    if kind is not TransactionKind.PAYMENT:
        own = content.text(_at(event.linked_id))
        if own is None:
            raise Unreadable(f"There is no id of the {kind.value} at {event.linked_id}.")
        return own
    return content.text(place(event.psp[0])) if event.psp else None


def _sum(content: RequestContent, event: EventMapping) -> ProviderAmount | None:
    value = content.text(_at(event.amount))
    if value is None:
        return None
    currency = content.text(_at(event.currency)) or event.currency_is
    return ProviderAmount(value, currency.upper() if currency else None, event.minor_units)


def _time(content: RequestContent, when: TimeMapping | None) -> Micros | None:
    """Read the time of the news; one that a clock change makes ambiguous is left out."""
    if when is None:
        return None
    text = content.text(place(when.at))
    if when.format == "iso" and when.zone == "UTC":
        return iso_time(text)
    if when.format in ("s", "ms"):
        return unix_seconds(text) if when.format == "s" else unix_millis(text)
    pattern = "%Y-%m-%dT%H:%M:%S" if when.format == "iso" else when.format
    at, is_twice = local_time(text, pattern, when.zone)
    return None if is_twice else at


def _is_hint(found: SourceDeclaration, config: Mapping[str, Any]) -> bool:
    """Tell whether it can do no more than make us ask.

    So it is where no status is declared, and where only a look-up proves anything.
    """
    is_pulled = any(isinstance(one, Pull) for one in each(found.checks))
    return found.event.status is None or (is_pulled and bool(config.get("lookupUrl")))


def _key(content: RequestContent, found: SourceDeclaration) -> str | None:
    """Return what makes an event unique; None (the very bytes) where anybody could send it first.

    Without a `dedupe` it is the event's id.
    """
    if may_be_unproven(found) or _weakest(found) <= Trust.NETWORK:
        return None
    id_ = content.text(_at(found.event.id))
    if found.dedupe is None:
        return id_
    try:
        key = template(found.dedupe).render(TemplateValues(content, id=id_ or ""))
    except Ambiguous:
        return None
    return key.decode("utf-8", "replace") or None


def _weakest(found: SourceDeclaration) -> Trust:
    """Return how much is proven at least of what is accepted, whatever the secrets are."""
    some = SourceSetup(("any",), {})
    named = msgspec.structs.replace(
        found, credentials={**dict.fromkeys(_credential_names(found), "any")}
    )
    asked = CheckContext(RequestContent(_NO_REQUEST, found.format), named, some)
    return checking.declared_trust(asked, found.checks) or Trust.NONE


def _credential_names(found: SourceDeclaration) -> list[str]:
    names = [getattr(one, "secret", None) for one in each(found.checks)]
    return [name for name in names if name]


def _masked_name(check: StaticField | StaticHeader) -> str:
    if isinstance(check, StaticHeader):
        return check.header.lower()
    return check.at.partition(":")[2] or check.at.rpartition("/")[2].removeprefix("@")


def _answers(told: AnswerDeclaration) -> str:
    stored = f"{told.status} with {told.body!r}" if told.body else str(told.status)
    if told.redirect_url is not None:
        stored = "303, the browser is sent on"
    return f"{stored}; {told.refused_status} when the proof does not hold."


PROVIDER = Provider(
    name="custom",
    title="Custom",
    about="Any sender without an adapter: you declare its proof, its fields and its words.",
    confidence=Confidence.UNKNOWN,
    best_trust=Trust.SIGNED,
    bare_trust=Trust.NONE,
    secret=SecretRule(
        "What the sender and you share: the key of an HMAC or hash, a password, a header's value.",
        is_required=False,
    ),
    answers="As declared; 200, and 401 when the proof does not hold.",
    verify=verify,
    parse=parse,
    answer=answer,
    sign=sign,
    settings=(
        ProviderSetting("checks", "How it proves itself: all of these must hold.", "array"),
        ProviderSetting("credentials", "Secrets that checks name.", "object", is_secret=True),
        ProviderSetting("format", "How the body is written; auto: as its content type says."),
        ProviderSetting(
            "event", "Where id, references, status, amount and the rest stand.", "object"
        ),
        STATUSES,
        ProviderSetting("dedupe", "A template that makes an event unique; else its id."),
        ProviderSetting("answer", "What it is answered: status, body, contentType, …", "object"),
        ProviderSetting(
            "reportOnly", "A proof that does not hold is told, not refused.", "boolean"
        ),
        ProviderSetting(
            "preset",
            "Of older sources: checks by the URL's token and a look-up, any field a reference.",
            choices=PRESETS,
        ),
    ),
    methods=frozenset({"GET", "POST", "PUT"}),
    note="Its owner declares what is not known here.",
    config_problems=problems,
    declared_proof=declared_proof,
    explain=explain,
)
