"""Acts on sources: set one up in the provider's own words, change, test and delete it."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from tillbell.clock import DAY, SECOND
from tillbell.configure.webhooks import WebhookOwner
from tillbell.errors import NotFound
from tillbell.model.sources import Source
from tillbell.providers.kit.base import Provider, ProviderSetting
from tillbell.providers.kit.cases import samples
from tillbell.receive.source_cache import CompiledSource, settings_of
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    FormChoice,
    FormField,
    SentFields,
    ShownValue,
    act_pages,
)
from tillbell.web.pages.page import SitePage, Visit

_PLACE = "/sources"
_DAY_S = DAY // SECOND


async def choose(visit: Visit) -> Response:
    """Show the providers to choose from."""
    providers = visit.gateway.source_cache.providers
    ordered = sorted(providers.values(), key=lambda provider: provider.title.lower())
    return visit.show("source_choose.html", providers=ordered)


def provider_of(visit: Visit) -> Provider:
    """Return the provider of the path."""
    provider = visit.gateway.source_cache.providers.get(visit.path("provider"))
    if provider is None:
        raise NotFound("There is no such provider.")
    return provider


async def _source(visit: Visit) -> CompiledSource:
    app = await visit.the_app()
    compiled = visit.gateway.source_cache.find(app.id, visit.path("source"))
    if compiled is None:
        raise NotFound("There is no such source.")
    return compiled


def _link(visit: Visit, compiled: CompiledSource) -> str:
    app_name, _ = visit.names_of(compiled.source.scope)
    return visit.link(f"{_PLACE}/{compiled.source.id}", app=app_name)


def _path(compiled: CompiledSource) -> str:
    return f"/app/{compiled.source.scope}/source/{compiled.source.id}"


# ── its settings as fields ───────────────────────────────────────────────────────────────────────


def setting_field(setting: ProviderSetting, value: Any, *, is_new: bool) -> FormField:
    """Return the field of one member of `config`. A secret is never shown."""
    field = FormField(
        f"config.{setting.name}",
        setting.name,
        hint=setting.about,
        is_required=setting.is_required and (is_new or not setting.is_secret),
        is_rare=not setting.is_required,
        is_code=True,
    )
    shown = "" if value is None or setting.is_secret else value
    if setting.type == "boolean":
        return field._replace(kind="check", value="yes" if shown else "", is_code=False)
    if setting.choices:
        options = [FormChoice("", "–")]
        options += [FormChoice(choice, choice) for choice in setting.choices]
        return field._replace(kind="select", value=str(shown), options=options, is_code=False)
    if setting.type in ("object", "array"):
        is_list = setting.type == "array"
        hint = f"{setting.about} {'One on each line, or JSON.' if is_list else 'As JSON.'}"
        return field._replace(kind="area", value=_as_text(shown), hint=hint)
    if setting.is_secret:
        unchanged_if = "" if is_new else " Empty: as it is."
        return field._replace(kind="secret", hint=setting.about + unchanged_if)
    kind = "number" if setting.type == "integer" else "text"
    return field._replace(kind=kind, value=str(shown))


def _as_text(value: Any) -> str:
    """Return a list of texts as lines, everything else as JSON; "" for nothing."""
    if not value:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    return msgspec.json.format(msgspec.json.encode(value)).decode()


def config_of(provider: Provider, sent: SentFields, *, is_new: bool) -> dict[str, Any]:
    """Read the members of `config`. null clears one; a secret that is not filled in stays."""
    config: dict[str, Any] = {}
    for setting in settings_of(provider):
        name = f"config.{setting.name}"
        if setting.type == "boolean":
            config[setting.name] = sent.has(name)
        elif sent.text(name):
            config[setting.name] = _value(setting, sent, name)
        elif not is_new and not setting.is_secret:
            config[setting.name] = None
    return config


def _value(setting: ProviderSetting, sent: SentFields, name: str) -> Any:
    text = sent.text(name)
    if setting.type == "integer":
        return sent.number(name)
    if setting.type == "array" and not text.startswith("["):
        return sent.words(name)
    if setting.type not in ("object", "array"):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text  # so that the API says what it must be


def _webhook_fields(url: str) -> list[FormField]:
    about = "Each step of its transactions is sent there too. Empty: nowhere."
    how_it_is_sent = "Sent in the header Authorization. Empty: it stays as it is."
    return [
        FormField("webhookUrl", "Webhook URL", value=url, hint=about, is_code=True, is_rare=True),
        FormField("webhookSecret", "Webhook secret", "secret", hint=how_it_is_sent, is_rare=True),
    ]


def _webhook_members(sent: SentFields, present: str) -> dict[str, Any]:
    """Return the members of the API's body that a form names of a source's webhook."""
    url, secret = sent.text("webhookUrl"), sent.text("webhookSecret")
    members: dict[str, Any] = {"webhookUrl": url or None} if url != present else {}
    return members | ({"webhookSecret": secret} if secret else {})


async def _webhook_url(visit: Visit, source: Source) -> str:
    owner = WebhookOwner(source_id=source.id)
    endpoint = await visit.gateway.webhooks.find(source.scope, owner)
    return endpoint.url if endpoint is not None else ""


# ── a new one ────────────────────────────────────────────────────────────────────────────────────


async def _create_form(visit: Visit) -> ActForm:
    provider = provider_of(visit)
    app = await visit.the_app()
    fields = [
        FormField("name", "Name", value=provider.title, is_required=True, hint="For people."),
        FormField("uid", "Uid", hint="Your own name for it in the API.", is_code=True),
    ]
    if provider.secret is not None:
        is_needed = provider.secret.is_required
        about = provider.secret.about
        fields.append(FormField("secrets", "Secret", "secret", hint=about, is_required=is_needed))
    fields += [setting_field(each, each.default, is_new=True) for each in settings_of(provider)]
    fields += _webhook_fields("")
    return ActForm(
        title=f"New source: {provider.title}",
        verb="Add the source",
        consequences=[
            f"{provider.about}",
            f"It belongs to {app.name}. Next you get the URL to paste at {provider.title}.",
        ],
        back=visit.link(f"{_PLACE}/new"),
        back_word="Providers",
        fields=fields,
        warning=provider.note,
    )


async def _create_call(visit: Visit, sent: SentFields) -> ApiCall:
    provider = provider_of(visit)
    app = await visit.the_app()
    body = {
        "name": sent.text("name"),
        "uid": sent.text("uid") or None,
        "provider": provider.name,
        "secrets": [sent.text("secrets")] if sent.text("secrets") else [],
        "config": config_of(provider, sent, is_new=True),
        **_webhook_members(sent, ""),
    }
    return ApiCall("POST", f"/app/{app.id}/source", body)


async def _created(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    app = await visit.the_app()
    link = visit.link(f"{_PLACE}/{answer.doc['id']}", app=app.uid or app.id)
    return ActResult("The source is there. Paste its URL at the provider.", link)


# ── one that there is ────────────────────────────────────────────────────────────────────────────


async def _change_form(visit: Visit) -> ActForm:
    compiled = await _source(visit)
    source = compiled.source
    fields = [
        FormField("name", "Name", value=source.name, is_required=True),
        FormField("uid", "Uid", value=source.uid or "", is_code=True),
        FormField(
            "disabled",
            "Switched off",
            "check",
            "" if source.is_enabled else "yes",
            hint="Its callbacks are stored and answered, but not processed.",
        ),
    ]
    fields += [
        setting_field(each, source.config.get(each.name), is_new=False)
        for each in settings_of(compiled.provider)
    ]
    fields += _webhook_fields(await _webhook_url(visit, source))
    return ActForm(
        title=f"Change {source.name}",
        verb="Save",
        consequences=["It holds from the next callback on. Replay those that came before."],
        back=_link(visit, compiled),
        back_word=source.name,
        fields=fields,
    )


async def _change_call(visit: Visit, sent: SentFields) -> ApiCall:
    compiled = await _source(visit)
    body = {
        "name": sent.text("name"),
        "uid": sent.text("uid") or None,
        "disabled": sent.has("disabled"),
        "config": config_of(compiled.provider, sent, is_new=False),
        **_webhook_members(sent, await _webhook_url(visit, compiled.source)),
    }
    return ApiCall("PATCH", _path(compiled), body)


async def _changed(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The changes are saved.", _link(visit, await _source(visit)))


async def _rotate_form(visit: Visit) -> ActForm:
    compiled = await _source(visit)
    rule = compiled.provider.secret
    return ActForm(
        title=f"New secret of {compiled.source.name}",
        verb="Use the new secret",
        consequences=[
            "Callbacks that are signed with it are believed at once.",
            "The old one is believed too, for the time that you choose.",
        ],
        back=_link(visit, compiled),
        back_word=compiled.source.name,
        fields=[
            FormField(
                "secret",
                "Secret",
                "secret",
                hint=rule.about if rule is not None else "",
                is_required=True,
            ),
            FormField(
                "gracePeriodSeconds",
                "The old one is believed for",
                "select",
                str(_DAY_S),
                options=[
                    FormChoice("0", "no longer: it is known to others"),
                    FormChoice("3600", "an hour"),
                    FormChoice(str(_DAY_S), "a day"),
                    FormChoice(str(7 * _DAY_S), "a week"),
                ],
            ),
        ],
    )


async def _rotate_call(visit: Visit, sent: SentFields) -> ApiCall:
    compiled = await _source(visit)
    body = {
        "secret": sent.text("secret"),
        "gracePeriodSeconds": sent.number("gracePeriodSeconds"),
    }
    return ApiCall("POST", f"{_path(compiled)}/secret/rotate", body)


async def _rotated(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The new secret is in use.", _link(visit, await _source(visit)))


async def _test_form(visit: Visit) -> ActForm:
    compiled = await _source(visit)
    cases = samples(compiled.provider.name)
    return ActForm(
        title=f"Test {compiled.source.name}",
        verb="Simulate the callback",
        consequences=[
            "A callback is made and signed as the provider would, then verified and read.",
            "Nothing follows from it: no money moves, and nothing is published.",
        ],
        back=_link(visit, compiled),
        back_word=compiled.source.name,
        fields=[
            FormField(
                "case",
                "Callback",
                "select",
                options=[FormChoice(name, f"{name}: {each.about}") for name, each in cases.items()],
            ),
            FormField("store", "Keep it in the log, marked as simulated", "check"),
        ],
    )


async def _test_call(visit: Visit, sent: SentFields) -> ApiCall:
    compiled = await _source(visit)
    body = {"case": sent.text("case") or None, "dryRun": not sent.has("store")}
    return ApiCall("POST", f"{_path(compiled)}/test", body)


async def _tested(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    reading = answer.doc["reading"]
    answered = f"{answer.doc['answerStatus']} {answer.doc['answerBody']}"
    notices = msgspec.json.format(msgspec.json.encode(reading["notices"]), indent=2).decode()
    return ActResult(
        reading["why"] or f"It is {reading['trust']}, and is read as below.",
        _link(visit, await _source(visit)),
        [
            ShownValue("It says", notices),
            ShownValue("We would answer", answered),
        ],
    )


async def _delete_form(visit: Visit) -> ActForm:
    compiled = await _source(visit)
    return ActForm(
        title=f"Delete {compiled.source.name}",
        verb="Delete the source",
        consequences=[
            "Its URL stops to work: the provider is answered 404.",
            "Its callbacks stay in the log, and its transactions stay as they are.",
        ],
        back=_link(visit, compiled),
        back_word=compiled.source.name,
        is_danger=True,
    )


async def _delete_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("DELETE", _path(await _source(visit)))


async def _deleted(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The source is deleted.", visit.link(_PLACE))


PAGES = (
    SitePage("/sources/new", choose, _PLACE),
    *act_pages(
        (
            ActPage(
                "/sources/new/{provider}",
                _PLACE,
                "source.create",
                _create_form,
                _create_call,
                _created,
            ),
            ActPage(
                "/sources/{source}/change",
                _PLACE,
                "source.patch",
                _change_form,
                _change_call,
                _changed,
            ),
            ActPage(
                "/sources/{source}/rotate",
                _PLACE,
                "source.rotate-secret",
                _rotate_form,
                _rotate_call,
                _rotated,
            ),
            ActPage(
                "/sources/{source}/test",
                _PLACE,
                "source.test",
                _test_form,
                _test_call,
                _tested,
            ),
            ActPage(
                "/sources/{source}/delete",
                _PLACE,
                "source.delete",
                _delete_form,
                _delete_call,
                _deleted,
            ),
        )
    ),
)
