"""Custom: any sender without an adapter, as its owner declares it. No code.

Checks say how a callback proves itself (check_list.py), places where everything stands
(locations.py), words what it means, templates what is signed and which events are the same
(template.py). The declaration as a whole: config.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.clock import Micros
from tillbell.model.callbacks import NoteNotice, ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionKind, TransactionStatus
from tillbell.providers.custom import check_list
from tillbell.providers.custom.check_list import each
from tillbell.providers.custom.config import (
    PRESETS,
    AnswerDeclaration,
    SourceDeclaration,
    may_be_unproven,
    problems,
    read_declaration,
    usable_declaration,
)
from tillbell.providers.custom.event import (
    ANY,
    NOTE,
    EventMapping,
    TimeMapping,
    is_listed,
)
from tillbell.providers.custom.locations import RequestContent, RequestPlace, place
from tillbell.providers.custom.plain_checks import Pull, StaticField, StaticHeader
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
    SimulationCase,
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
from tillbell.providers.kit.words import AUTHORIZED, STATUSES, meaning_of

LEAVES_MAX = 50  # values that are tried as references where no place is declared
_NO_REQUEST = Incoming("POST", "/", (), b"", 0)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Carry out the declared checks; with `reportOnly` a failure is reported and let through."""
    return _verified(incoming, setup, is_explained=False)


def explain(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Do what `verify` does, and name the change with which a signature would match."""
    return _verified(incoming, setup, is_explained=True)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read what the places name."""
    declaration = usable_declaration(setup.config)
    event, content = declaration.event, RequestContent(incoming, declaration.format)
    if not (event.ours or event.psp or event.attempt):
        return ParsedNotices((NoteNotice("Where it names its payment is not declared (event)."),))
    kind, is_known = _kind(content, event)
    if kind is None:
        note = NoteNotice("It is not about a payment.")
        return ParsedNotices((note,), _dedupe_key(content, declaration))
    word = _text(content, event.status) or ""
    if event.status is not None and not word:
        raise Unreadable(f"There is no status at {event.status}.")
    meaning = meaning_of(word, {}, setup.config) if word and is_known else None
    notice = TransactionNotice(
        _references(content, event),
        raw_status=word[:KEY_MAX],
        status=meaning.status if meaning is not None else None,
        kind=kind,
        reason=_text(content, event.reason),
        message=_text(content, event.message),
        psp_transaction_id=_psp_transaction_id(content, event, kind),
        user_id=_text(content, event.user),
        occurred_at=_time(content, event.occurred_at),
        is_hint=_is_hint(declaration, setup.config),
        is_optional=ANY in event.ours,
        is_test=_is_test(content, event),
    )
    add_details = _payment if kind is TransactionKind.PAYMENT else _linked
    notice = add_details(notice, content, event)
    amount = _amount(content, declaration, _amount_place(notice, event))
    return ParsedNotices((notice._replace(amount=amount),), _dedupe_key(content, declaration))


def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    """Answer as declared."""
    del incoming
    declared = usable_declaration(setup.config).answer
    url = declared.redirect_url
    if intake is IntakeStatus.STORED:
        if url is not None:
            return redirect_to_shop({"redirectUrl": url}, "redirectUrl")
        return CallbackAnswer(declared.status, declared.body.encode(), declared.content_type)
    is_refused = intake is IntakeStatus.REFUSED
    status = declared.refused_status if is_refused else declared.malformed_status
    if url is not None:
        return page(status, "This message cannot be accepted.")
    return CallbackAnswer(status)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build a request that the declared checks accept; of `any` by its first."""
    declaration = read_declaration(setup.config)
    draft = declaration.draft(case, setup, url)
    id_at = declaration.event.id
    if id_at is not None and not draft.content.raw(place(id_at)) and case.method != "GET":
        draft = draft.put(place(id_at), case.id)
    return check_list.sign(draft, declaration.checks).incoming()


def declared_proof(setup: SourceSetup) -> DeclaredProof:
    """Say what the declaration of one source comes to."""
    declaration = usable_declaration(setup.config)
    context = declaration.context(_NO_REQUEST, setup)
    checks = declaration.checks
    trust = check_list.declared_trust(context, checks) if checks else None
    carried = [check for check in each(checks) if isinstance(check, StaticField | StaticHeader)]
    return DeclaredProof(
        Trust.NONE if declaration.report_only and trust is not None else trust,
        _answers(declaration.answer),
        PROVIDER.note,
        tuple(_masked_name(check) for check in carried),
    )


# ── proof ────────────────────────────────────────────────────────────────────────────────────────


def _verified(incoming: Incoming, setup: SourceSetup, *, is_explained: bool) -> Verdict:
    declaration = usable_declaration(setup.config)
    if not declaration.checks:
        return Verdict(None, "No checks are declared, so nothing can be proven. Set checks.")
    context = declaration.context(incoming, setup, is_explained=is_explained)
    verdict = check_list.verify_all(context, declaration.checks)
    if verdict.trust is None and declaration.report_only:
        return Verdict(Trust.NONE, f"This is only reported, not refused: {verdict.why}")
    return verdict


def _weakest(declaration: SourceDeclaration) -> Trust:
    """Return how much is proven at least of what is accepted, whatever the secrets are."""
    names = [getattr(check, "secret", None) for check in each(declaration.checks)]
    context = declaration.context(_NO_REQUEST, SourceSetup(("any",), {}))._replace(
        credentials={name: "any" for name in names if name}
    )
    return check_list.declared_trust(context, declaration.checks) or Trust.NONE


def _masked_name(check: StaticField | StaticHeader) -> str:
    if isinstance(check, StaticHeader):
        return check.header.lower()
    return check.at.partition(":")[2] or check.at.rpartition("/")[2].removeprefix("@")


def _answers(declared: AnswerDeclaration) -> str:
    stored = f"{declared.status} with {declared.body!r}" if declared.body else str(declared.status)
    if declared.redirect_url is not None:
        stored = "303, the browser is sent on"
    return f"{stored}; {declared.refused_status} when the proof does not hold."


# ── what it says ─────────────────────────────────────────────────────────────────────────────────


def _at(text: str | None) -> RequestPlace | None:
    return None if text is None else place(text)


def _text(content: RequestContent, at: str | None) -> str | None:
    """Return what stands at a declared place; None if none is declared."""
    return content.text(_at(at))


def _kind(content: RequestContent, event: EventMapping) -> tuple[TransactionKind | None, bool]:
    """Return what it is about (None: no payment) and whether its word is known."""
    if event.kind is None:
        return TransactionKind.PAYMENT, True
    word = _text(content, event.kind.at)
    if word is None:
        return TransactionKind.PAYMENT, True
    name = event.kind.words.get(word)
    if name == NOTE:
        return None, True
    return (TransactionKind(name), True) if name is not None else (TransactionKind.PAYMENT, False)


def _references(content: RequestContent, event: EventMapping) -> References:
    ours = present_values(*(_text(content, at) for at in event.ours if at != ANY))
    if ANY in event.ours:
        ours = (*ours, *content.leaves(LEAVES_MAX))
    of_provider = (_text(content, event.attempt), *(_text(content, at) for at in event.psp))
    return References(ours, present_values(*of_provider))


def _psp_transaction_id(
    content: RequestContent, event: EventMapping, kind: TransactionKind
) -> str | None:
    """Return the id of the attempt, or that of the refund or the like.

    Where attempts have ids, an event without one is about the payment as a whole.
    """
    if kind is TransactionKind.PAYMENT:
        at = event.attempt or next(iter(event.psp), None)
        return _text(content, at)
    linked_id = _text(content, event.linked_id)
    if linked_id is None:
        raise Unreadable(f"There is no id of the {kind.value} at {event.linked_id}.")
    return linked_id


def _payment(
    notice: TransactionNotice, content: RequestContent, event: EventMapping
) -> TransactionNotice:
    """Add which capture a notice of a payment is about, and what it does to the attempt."""
    word, status = notice.raw_status, notice.status
    ends = event.ends_attempt
    if ends is None:
        is_of_attempt = event.attempt is not None and notice.psp_transaction_id is not None
        ends = (ANY,) if is_of_attempt else ()
    is_undone = is_listed(word, event.undoes_capture)
    is_capture = status is TransactionStatus.APPROVED or is_undone
    return notice._replace(
        substate=AUTHORIZED.substate if is_listed(word, event.authorized) else None,
        ends_attempt=status in NEGATIVE and not is_undone and is_listed(word, ends),
        capture_id=_text(content, event.capture_id) if is_capture else None,
    )


def _linked(
    notice: TransactionNotice, content: RequestContent, event: EventMapping
) -> TransactionNotice:
    """Add which movement a notice of a refund or the like is about, and whether it only ends it."""
    has_moved = notice.status is TransactionStatus.APPROVED
    return notice._replace(
        movement_id=_text(content, event.movement_id) if has_moved else None,
        is_closing=is_listed(notice.raw_status, event.closes),
    )


def _is_test(content: RequestContent, event: EventMapping) -> bool | None:
    mark = event.test_mode
    return None if mark is None else mark.is_test(content.raw(place(mark.at)).strip())


def _amount_place(notice: TransactionNotice, event: EventMapping) -> str | None:
    if notice.kind is not TransactionKind.PAYMENT:
        return event.linked_amount or event.amount
    return (event.capture_amount if notice.capture_id else None) or event.amount


def _amount(
    content: RequestContent, declaration: SourceDeclaration, at: str | None
) -> ProviderAmount | None:
    event, value = declaration.event, _text(content, at)
    if value is None:
        return None
    currency = (_text(content, event.currency) or event.currency_is or "").upper() or None
    exponent = declaration.exponent(currency) if event.minor_units else None
    return ProviderAmount(value, currency, event.minor_units, exponent)


def _time(content: RequestContent, mapping: TimeMapping | None) -> Micros | None:
    """Read when it happened; a local time that exists twice is left out."""
    if mapping is None:
        return None
    text = _text(content, mapping.at)
    if mapping.format == "iso" and mapping.zone == "UTC":
        return iso_time(text)
    if mapping.format in ("s", "ms"):
        return unix_seconds(text) if mapping.format == "s" else unix_millis(text)
    pattern = "%Y-%m-%dT%H:%M:%S" if mapping.format == "iso" else mapping.format
    at, is_twice = local_time(text, pattern, mapping.zone)
    return None if is_twice else at


def _is_hint(declaration: SourceDeclaration, config: Mapping[str, Any]) -> bool:
    """Tell whether it can only make us ask at the look-up.

    That is so where no status is declared, and where only a look-up proves anything.
    """
    is_pulled = any(isinstance(check, Pull) for check in each(declaration.checks))
    return declaration.event.status is None or (is_pulled and bool(config.get("lookupUrl")))


def _dedupe_key(content: RequestContent, declaration: SourceDeclaration) -> str | None:
    """Return what makes an event unique: `dedupe`, else the event's id.

    None, which stands for the bytes, where anybody could send the event first.
    """
    if may_be_unproven(declaration) or _weakest(declaration) <= Trust.NETWORK:
        return None
    id_ = _text(content, declaration.event.id)
    if declaration.dedupe is None:
        return id_
    try:
        key = template(declaration.dedupe).render(TemplateValues(content, id=id_ or ""))
    except Ambiguous:
        return None
    return key.decode("utf-8", "replace") or None


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
        ProviderSetting(
            "exponents",
            'Decimals of the sender\'s minor units, where ISO 4217 differs: {"ISK": 2, "*": 2}.',
            "object",
        ),
        ProviderSetting("dedupe", "A template that makes an event unique; else its id."),
        ProviderSetting("answer", "What it is answered: status, body, contentType, …", "object"),
        ProviderSetting(
            "reportOnly", "A proof that does not hold is reported, not refused.", "boolean"
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
