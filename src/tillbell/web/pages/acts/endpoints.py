"""Acts on endpoints: add one, choose event types, change, disable, test, recover, its secret."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any, NamedTuple

from tillbell.catalog import CATALOG, OPERATIONAL
from tillbell.clock import DAY, HOUR, SECOND, iso
from tillbell.errors import NotFound, Refused
from tillbell.model.endpoints import Endpoint
from tillbell.profiles import PROFILES
from tillbell.web.api.endpoints import hidden_types, schema_examples
from tillbell.web.edge.strict_json import check_json
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    FormChoice,
    FormField,
    OtherChoice,
    SentFields,
    ShownValue,
    act_pages,
    call_api,
)
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.formats import number
from tillbell.web.pages.formats import span as span_of
from tillbell.web.pages.page import Visit

_PLACE = "/endpoints"
_EVERY, _SOME = "every", "some"
_SPANS = {
    "24h": ("the last 24 hours", DAY),
    "1h": ("the last hour", HOUR),
    "7d": ("the last 7 days", 7 * DAY),
    "30d": ("the last 30 days", 30 * DAY),
}
_GRACES = {
    "86400": "a day",
    "3600": "an hour",
    "604800": "a week",
    "0": "not at all: it ends now",
}


async def _endpoint(visit: Visit) -> Endpoint:
    app = await visit.the_app()
    endpoint = await visit.gateway.config_cache.endpoint(app.id, visit.path("endpoint"))
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    return endpoint


def _link(visit: Visit, scope: str, endpoint_id: str) -> str:
    return visit.link(f"{_PLACE}/{endpoint_id}", app=visit.names_of(scope)[0])


def _path(endpoint: Endpoint, rest: str = "") -> str:
    return f"/app/{endpoint.scope}/endpoint/{endpoint.id}{rest}"


def _form(visit: Visit, endpoint: Endpoint, title: str, verb: str, *lines: str) -> ActForm:
    """Return the form of an act on an endpoint, without fields."""
    return ActForm(
        title=title,
        verb=verb,
        consequences=lines,
        back=_link(visit, endpoint.scope, endpoint.id),
        back_word=name_of(endpoint),
    )


# ── what it asks for ─────────────────────────────────────────────────────────────────────────────


async def _offered_types(visit: Visit) -> dict[str, str]:
    """Return the event types that the visitor may choose, each with what it is about."""
    cache = visit.gateway.config_cache
    hidden = await hidden_types(visit.gateway, visit.principal())
    types: dict[str, str] = {}
    for name in sorted(cache.known_event_types() - hidden - OPERATIONAL):
        registered = cache.cached_event_type(name)
        if registered is not None and registered.archived:
            continue
        described = registered.description if registered is not None else ""
        built_in = CATALOG.get(name)
        types[name] = described or (built_in.description if built_in is not None else "")
    return types


def _type_choices(offered: dict[str, str]) -> list[FormChoice]:
    """Return the event types to choose, each resource after the pattern for all of it."""
    choices: list[FormChoice] = []
    for resource, names in groupby(offered, key=lambda name: name.partition(".")[0]):
        types = [FormChoice(name, name, offered[name]) for name in names]
        if len(types) > 1:
            about = f"All {resource} events, also those that come later."
            choices.append(FormChoice(f"{resource}.*", f"{resource}.*", about, is_group=True))
        choices += types
    return choices


async def _fields(visit: Visit, endpoint: Endpoint | None) -> list[FormField]:
    """Return the fields of an endpoint; None: of a new one."""
    offered = await _offered_types(visit)
    selectors = (endpoint.selectors if endpoint is not None else None) or ()
    asked = visit.query("type")
    choices = _type_choices(offered)
    shown = {choice.value for choice in choices}
    chosen = [name for name in selectors if name in shown] or [asked] * (asked in shown)
    which = FormField(
        "which",
        "What it gets",
        "choice",
        _SOME if selectors or chosen else _EVERY,
        options=[
            FormChoice(_EVERY, "Every event type", "also those that come later"),
            FormChoice(_SOME, "Only some", "those that are chosen below"),
        ],
    )
    types = FormField(
        "eventTypes",
        "Event types",
        "checks",
        chosen,
        options=choices,
        is_code=True,
    )
    patterns = FormField(
        "patterns",
        "Patterns",
        "area",
        "\n".join(name for name in selectors if name not in shown),
        hint="One on each line, such as invoice.*; they count with “Only some”.",
        is_code=True,
        is_rare=True,
        rows=2,
    )
    return [*_first_fields(endpoint), which, types, patterns, *_rare_fields(endpoint)]


def _first_fields(endpoint: Endpoint | None) -> list[FormField]:
    url, description = (endpoint.url, endpoint.description) if endpoint is not None else ("", "")
    about_url = "Where your server takes messages, such as https://your-server.example/webhooks"
    about_name = "For people: whose server it is, and what for."
    return [
        FormField("url", "URL", value=url, hint=about_url, is_required=True, is_code=True),
        FormField("description", "Name", value=description, hint=about_name),
    ]


def _rare_fields(endpoint: Endpoint | None) -> list[FormField]:
    channels = ", ".join((endpoint.channels if endpoint is not None else None) or ())
    rate = str((endpoint.throttle_rate if endpoint is not None else None) or "")
    about_channels = "With commas. Empty: every channel."
    about_rate = "Empty: as many as it takes."
    about_filter = (
        'Conditions on the payload, as JSON: {"amount": {"$gte": 100}}. Empty: every one.'
    )
    payload_filter = endpoint.payload_filter if endpoint is not None else None
    filter_text = json.dumps(payload_filter, indent=2, ensure_ascii=False) if payload_filter else ""
    return [
        FormField(
            "filter", "Filter", "area", filter_text, about_filter, is_code=True, is_rare=True
        ),
        *_template_fields(endpoint),
        FormField("channels", "Channels", "text", channels, about_channels, is_rare=True),
        FormField(
            "throttleRate", "Messages a second, at most", "number", rate, about_rate, is_rare=True
        ),
    ]


def _template_fields(endpoint: Endpoint | None) -> list[FormField]:
    """Return the field of the text template where one may be set: at a chat, or a new endpoint."""
    profile = PROFILES.get(endpoint.profile) if endpoint is not None else None
    if endpoint is not None and (profile is None or not profile.is_chat):
        return []
    text = (endpoint.text_template if endpoint is not None else None) or ""
    hint = (
        "For Slack, Discord and Teams: Order {{ data.number }} is paid: {{ data.amount }}."
        " Empty: the words of the format."
    )
    name, label = "textTemplate", "Text template"
    return [FormField(name, label, "area", text, hint, is_code=True, is_rare=endpoint is None)]


def _members(sent: SentFields) -> dict[str, Any]:
    """Return the members of the API's body that a form stands for."""
    types = [*sent.all("eventTypes"), *sent.words("patterns")]
    return {
        "url": sent.text("url"),
        "description": sent.text("description"),
        "eventTypes": types if sent.text("which") == _SOME else None,
        "channels": sent.words("channels") or None,
        "filter": _filter(sent.text("filter")),
        "throttleRate": sent.number("throttleRate"),
    } | _template(sent)


def _template(sent: SentFields) -> dict[str, Any]:
    """Return the text template, where the form had one."""
    return {"textTemplate": sent.exact("textTemplate") or None} if sent.has("textTemplate") else {}


def _filter(text: str) -> Any:
    """Return a filter; the text if it is no JSON, so that the API says what is wrong."""
    try:
        return check_json(text.encode()) if text else None
    except Refused:
        return text


async def _new_form(visit: Visit) -> ActForm:
    await visit.the_app()
    default = visit.gateway.settings.default_profile
    profiles = [FormChoice(name, name) for name in sorted(PROFILES)]
    profile = FormField("profile", "Format", "select", default, options=profiles, is_rare=True)
    hint = "How the body, the headers and the signature look."
    return ActForm(
        title="Add an endpoint",
        verb="Add endpoint",
        consequences=[
            "It gets new messages from now on, signed with a secret of its own.",
            "Messages from before are not lost: they can be sent to it later.",
        ],
        back=visit.link(_PLACE),
        back_word="Endpoints",
        fields=[*await _fields(visit, None), profile._replace(hint=hint)],
    )


async def _new_call(visit: Visit, sent: SentFields) -> ApiCall:
    app = await visit.the_app()
    body = _members(sent) | {"profile": sent.text("profile") or None}
    return ApiCall("POST", f"/app/{app.id}/endpoint", body)


async def _added(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    url = _link(visit, answer.doc["appId"], answer.doc["id"])
    return ActResult("The endpoint is added. Send it a test.", url)


async def _edit_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    form = _form(
        visit,
        endpoint,
        f"Change {name_of(endpoint)}",
        "Save",
        "What is changed holds for the next attempt, also of messages that wait.",
        "Other event types count for new messages.",
    )
    return form._replace(fields=await _fields(visit, endpoint))


async def _edit_call(visit: Visit, sent: SentFields) -> ApiCall:
    return ApiCall("PATCH", _path(await _endpoint(visit)), _members(sent))


async def _saved(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    endpoint = await _endpoint(visit)
    return ActResult("The changes are saved.", _link(visit, endpoint.scope, endpoint.id))


# ── whether it is sent to ────────────────────────────────────────────────────────────────────────


async def _disable_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    return _form(
        visit,
        endpoint,
        f"Disable {name_of(endpoint)}",
        "Disable",
        "Nothing is sent to it until it is enabled. Deliveries that wait stay as they are.",
        "New messages make no deliveries to it. They can be sent to it later.",
    )


async def _disable_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("PATCH", _path(await _endpoint(visit)), {"disabled": True})


async def _disabled(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    endpoint = await _endpoint(visit)
    url = _link(visit, endpoint.scope, endpoint.id)
    return ActResult("The endpoint is disabled: nothing is sent to it.", url)


async def _enable_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    return _form(
        visit,
        endpoint,
        f"Enable {name_of(endpoint)}",
        "Enable",
        "New messages are sent to it from now on, and what waits goes on.",
        "Messages that came while it was disabled are not sent by themselves.",
    )


async def _enable_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("PATCH", _path(await _endpoint(visit)), {"disabled": False})


async def _enabled(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    endpoint = await _endpoint(visit)
    url = _link(visit, endpoint.scope, endpoint.id)
    return ActResult("The endpoint is enabled: new messages are sent to it.", url)


async def _delete_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    history = visit.gateway.database.history
    totals = await history.totals(endpoint.scope, endpoint.id, visit.now - 30 * DAY, visit.now)
    waiting = totals.waiting + totals.sending
    form = _form(
        visit,
        endpoint,
        f"Delete {name_of(endpoint)}",
        "Delete endpoint",
        f"{number(waiting)} deliveries of 30 days that wait are discarded."
        if waiting
        else "Nothing of the last 30 days waits for it.",
        "Nothing more is sent to it, and its secret is gone. What was sent stays listed.",
    )
    return form._replace(is_danger=True, warning="To stop for a while, disable it instead.")


async def _delete_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("DELETE", _path(await _endpoint(visit)))


async def _deleted(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The endpoint is deleted.", visit.link(_PLACE))


# ── its secret ───────────────────────────────────────────────────────────────────────────────────


async def _reveal_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    return _form(
        visit,
        endpoint,
        f"Show the signing secret of {name_of(endpoint)}",
        "Show",
        "It is shown on the next page. That you have read it is in the audit log.",
        "Whoever has it can sign requests as we do: keep it where your passwords are.",
    )


async def _reveal_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("GET", _path(await _endpoint(visit), "/secret"))


async def _shown_secret(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    endpoint = await _endpoint(visit)
    key = str(answer.doc["key"])
    text = "By this your server checks that a request is ours."
    if not key:
        text = "This endpoint has no secret: its format does not sign, or none was set."
    shown = [ShownValue("Signing secret", key or "none")]
    return ActResult(text, _link(visit, endpoint.scope, endpoint.id), shown)


async def _rotate_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    form = _form(
        visit,
        endpoint,
        f"Make a new signing secret for {name_of(endpoint)}",
        "Make new secret",
        "Requests are signed with the new secret at once. It is shown on the next page.",
        "For a while they are signed with the old one too, so that your server can change over.",
    )
    options = [FormChoice(seconds, word) for seconds, word in _GRACES.items()]
    label = "The old secret still signs for"
    field = FormField("gracePeriodSeconds", label, "select", "86400", options=options)
    return form._replace(fields=[field])


async def _rotate_call(visit: Visit, sent: SentFields) -> ApiCall:
    body = {"gracePeriodSeconds": sent.number("gracePeriodSeconds")}
    return ApiCall("POST", _path(await _endpoint(visit), "/secret/rotate"), body)


# ── what it is sent ──────────────────────────────────────────────────────────────────────────────


async def _test_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    offered = [name for name in await _offered_types(visit) if _has_sample(visit, name)]
    wanted = [name for name in offered if name in (endpoint.selectors or ())]
    form = _form(
        visit,
        endpoint,
        f"Send a test to {name_of(endpoint)}",
        "Send test",
        "A sample goes to this endpoint alone, signed like any message, whatever its filters say.",
        "It has the header Tillbell-Example: true, because nothing has happened.",
    )
    options = [FormChoice(name, name) for name in offered]
    value = next(iter((*wanted, *offered)), "")
    field = FormField(
        "eventType", "Event type", "select", value, options=options, is_required=True, is_code=True
    )
    return form._replace(fields=[field])


def _has_sample(visit: Visit, name: str) -> bool:
    registered = visit.gateway.config_cache.cached_event_type(name)
    has_examples = registered is not None and bool(schema_examples(registered.schemas))
    return has_examples or name in CATALOG


async def _test_call(visit: Visit, sent: SentFields) -> ApiCall:
    body = {"eventType": sent.text("eventType")}
    return ApiCall("POST", _path(await _endpoint(visit), "/send-example"), body)


async def _tested(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    endpoint = await _endpoint(visit)
    path = f"/messages/{answer.doc['id']}/endpoints/{endpoint.id}"
    url = visit.link(path, app=visit.names_of(endpoint.scope)[0])
    return ActResult("A sample is on its way.", url)


async def _recover_form(visit: Visit) -> ActForm:
    """Show the plan: what would be sent. `until` is frozen with it."""
    endpoint = await _endpoint(visit)
    span, kind = _chosen(visit)
    since = (visit.now - _SPANS[span][1]) // SECOND * SECOND
    body = {"kind": kind, "since": iso(since), "until": iso(visit.now)}
    plan = (await call_api(visit, ApiCall("POST", _path(endpoint, "/replay-plan"), body))).doc
    form = _form(
        visit,
        endpoint,
        f"{_KINDS[kind].title} {name_of(endpoint)}",
        "Send the deliveries",
        *_plan_lines(plan, kind),
        "What comes later is left out. If they fail too, their retry schedule begins anew.",
    )
    fields = [FormField(name, name, "hidden", value) for name, value in body.items()]
    return form._replace(
        fields=fields,
        is_possible=plan["count"] > 0,
        warning=plan["obstacle"] or plan["warning"] or "",
        ways=[
            ("What", [_way(visit, each.word, span, name, kind) for name, each in _KINDS.items()]),
            ("When", [_way(visit, each[0], name, kind, span) for name, each in _SPANS.items()]),
        ],
    )


class _RecoverKind(NamedTuple):
    """What is sent again."""

    word: str
    title: str
    nothing: str
    single: str
    several: str


_KINDS = {
    "failed": _RecoverKind(
        "What failed",
        "Send what has failed at",
        "No delivery of that time has failed for good: there is nothing to send.",
        "1 delivery that failed for good goes out once more, with the same id and bytes.",
        "{} deliveries that failed for good go out once more, with the same ids and bytes.",
    ),
    "missing": _RecoverKind(
        "What it never got",
        "Send what was never sent to",
        "It has got every message of that time that it wants: there is nothing to send.",
        "1 message was never sent to it. It goes out, if the endpoint asks for it now.",
        "{} messages were never sent to it. They go out, as far as the endpoint asks for them now.",
    ),
}


def _chosen(visit: Visit) -> tuple[str, str]:
    """Return the span and the kind that the link names; the usual ones if it names none."""
    span, kind = visit.query("span"), visit.query("kind")
    return (span if span in _SPANS else "24h", kind if kind in _KINDS else "failed")


def _way(visit: Visit, word: str, span: str, kind: str, chosen: str) -> OtherChoice:
    return OtherChoice(word, visit.here(span=span, kind=kind), chosen in (span, kind))


def _plan_lines(plan: dict[str, Any], kind: str) -> list[str]:
    words, count = _KINDS[kind], plan["count"]
    if not count:
        return [words.nothing]
    more = "" if plan["isWhole"] else "More than "
    lines = [words.single if count == 1 else more + words.several.format(number(count))]
    lines.append(
        f"The oldest is of {plan['oldest'][:19]}, the newest of {plan['newest'][:19]} UTC."
    )
    if plan["takesSeconds"] is not None:
        lines.append(
            f"At its present pace that takes about {span_of(plan['takesSeconds'] * SECOND)}."
        )
    return lines


async def _recover_call(visit: Visit, sent: SentFields) -> ApiCall:
    way = "/replay-missing" if sent.text("kind") == "missing" else "/recover"
    body = {"since": sent.text("since"), "until": sent.text("until")}
    return ApiCall("POST", _path(await _endpoint(visit), way), body)


async def _recovering(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    endpoint = await _endpoint(visit)
    url = visit.link(f"/jobs/{answer.doc['id']}", app=visit.names_of(endpoint.scope)[0])
    return ActResult("It has begun. This page says how far it is.", url)


_ONE = f"{_PLACE}/{{endpoint}}"
PAGES = act_pages(
    (
        ActPage(f"{_PLACE}/new", _PLACE, "endpoint.create", _new_form, _new_call, _added),
        ActPage(f"{_ONE}/edit", _PLACE, "endpoint.patch", _edit_form, _edit_call, _saved),
        ActPage(
            f"{_ONE}/disable", _PLACE, "endpoint.patch", _disable_form, _disable_call, _disabled
        ),
        ActPage(f"{_ONE}/enable", _PLACE, "endpoint.patch", _enable_form, _enable_call, _enabled),
        ActPage(f"{_ONE}/delete", _PLACE, "endpoint.delete", _delete_form, _delete_call, _deleted),
        ActPage(
            f"{_ONE}/secret",
            _PLACE,
            "endpoint.get-secret",
            _reveal_form,
            _reveal_call,
            _shown_secret,
        ),
        ActPage(
            f"{_ONE}/rotate",
            _PLACE,
            "endpoint.rotate-secret",
            _rotate_form,
            _rotate_call,
            _shown_secret,
        ),
        ActPage(f"{_ONE}/test", _PLACE, "endpoint.send-example", _test_form, _test_call, _tested),
        ActPage(
            f"{_ONE}/recover", _PLACE, "endpoint.recover", _recover_form, _recover_call, _recovering
        ),
    )
)
