"""Acts on inboxes: make, change, clear and delete one; verify a request; make a source of it."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tillbell.configure.inbox_checks import REQUESTS_MAX, RETENTION_DAYS_MAX
from tillbell.model.inboxes import Inbox
from tillbell.receive.source_cache import settings_of
from tillbell.web.api.inboxes import open_request_of
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
from tillbell.web.pages.acts.sources import config_of, provider_of, setting_field
from tillbell.web.pages.inboxes import app_of, the_inbox
from tillbell.web.pages.page import SitePage, Visit

_PLACE = "/inboxes"
_SCHEMES = (
    FormChoice("scheme:standard-webhooks", "Standard Webhooks"),
    FormChoice("scheme:svix", "Svix"),
    FormChoice("scheme:stripe", "Stripe"),
    FormChoice("scheme:hmac", "HMAC in a header"),
)

_HMAC_FIELDS = (
    FormField("hmac.header", "Header with the HMAC", hint="Only of an HMAC.", is_code=True),
    FormField(
        "hmac.algorithm",
        "Algorithm of the HMAC",
        "select",
        options=[FormChoice(name, name) for name in ("sha256", "sha512", "sha384", "sha1")],
        is_rare=True,
    ),
    FormField(
        "hmac.output",
        "Written as",
        "select",
        options=[FormChoice(name, name) for name in ("hex", "base64", "base64url")],
        is_rare=True,
    ),
    FormField(
        "hmac.prefix", "Before it stands", hint="Such as sha256=", is_code=True, is_rare=True
    ),
    FormField(
        "hmac.template",
        "It covers",
        value="{body}",
        hint="As of a custom source: {timestamp}.{body}",
        is_code=True,
        is_rare=True,
    ),
    FormField("hmac.timestampHeader", "Header with the time", is_code=True, is_rare=True),
)


def _link(visit: Visit, inbox: Inbox, path: str = "", **query: str) -> str:
    return visit.link(f"{_PLACE}/{inbox.id}{path}", app=app_of(visit, inbox), **query)


# ── make and change ──────────────────────────────────────────────────────────────────────────────


def _fields(inbox: Inbox | None) -> list[FormField]:
    """Return the fields of a new inbox (None), or of one that there is."""
    shown = inbox or Inbox(id="", name="", token="", token_hash="")
    return [
        FormField("name", "Name", value=shown.name, is_required=True, hint="For people."),
        *_answer_fields(shown),
        *_storage_fields(shown),
    ]


def _answer_fields(inbox: Inbox) -> list[FormField]:
    headers = "\n".join(f"{name}: {value}" for name, value in inbox.answer_headers)
    status = FormField(
        "answer.status",
        "It answers with status",
        "number",
        str(inbox.answer_status),
        hint="200 to 599. Senders take 2xx for success, and try again after most others.",
        is_required=True,
    )
    delay = FormField(
        "answer.delayMs",
        "After milliseconds",
        "number",
        str(inbox.answer_delay_ms),
        hint="At most 30000: to see when a sender gives up.",
        is_required=True,
    )
    body = FormField("answer.body", "Body of the answer", "area", inbox.answer_body, is_code=True)
    media_type = FormField(
        "answer.contentType", "Its media type", value=inbox.answer_content_type, is_rare=True
    )
    lines = FormField("answer.headers", "More headers", "area", headers, is_rare=True)
    hint = "One on each line: Retry-After: 30"
    return [
        status,
        delay,
        body,
        media_type._replace(is_code=True),
        lines._replace(hint=hint, is_code=True),
    ]


def _storage_fields(inbox: Inbox) -> list[FormField]:
    most = f"At most {REQUESTS_MAX}; the oldest go for newer ones."
    stored = FormField("requestsMax", "Requests that are stored", "number", hint=most, is_rare=True)
    days = FormField(
        "retentionDays",
        "Days for which each is stored",
        "number",
        hint=f"At most {RETENTION_DAYS_MAX}.",
        is_rare=True,
    )
    return [
        stored._replace(value=str(inbox.requests_max)),
        days._replace(value=str(inbox.retention_days)),
    ]


def _body(sent: SentFields) -> dict[str, Any]:
    """Read the fields as the API takes them."""
    lines = (line.partition(":") for line in sent.exact("answer.headers").split("\n"))
    answer = {
        "status": sent.number("answer.status"),
        "delayMs": sent.number("answer.delayMs"),
        "body": sent.exact("answer.body"),
        "contentType": sent.text("answer.contentType") or None,
        "headers": {name.strip(): value.strip() for name, _, value in lines if name.strip()},
    }
    return {
        "name": sent.text("name"),
        "answer": answer,
        "requestsMax": sent.number("requestsMax"),
        "retentionDays": sent.number("retentionDays"),
    }


async def _create_form(visit: Visit) -> ActForm:
    place = f"It belongs to {visit.app.name}." if visit.app else "It belongs to no application."
    return ActForm(
        title="New inbox",
        verb="Make the inbox",
        consequences=[
            "You get a URL. Every request to it is kept as it came, with any method and path.",
            f"{place} Nothing else follows from what comes.",
        ],
        back=visit.link(_PLACE),
        back_word="Inboxes",
        fields=_fields(None),
    )


async def _create_call(visit: Visit, sent: SentFields) -> ApiCall:
    return ApiCall("POST", "/inbox", _body(sent) | {"appId": visit.app_id})


async def _created(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    app = visit.names_of(answer.doc["appId"])[0] if answer.doc["appId"] else None
    link = visit.link(f"{_PLACE}/{answer.doc['id']}", app=app)
    return ActResult("The inbox is there. Send something to its URL.", link)


async def _change_form(visit: Visit) -> ActForm:
    inbox = the_inbox(visit)
    return ActForm(
        title=f"Change {inbox.name}",
        verb="Save",
        consequences=["It holds from the next request on. The URL stays."],
        back=_link(visit, inbox),
        back_word=inbox.name,
        fields=_fields(inbox),
    )


async def _change_call(visit: Visit, sent: SentFields) -> ApiCall:
    return ApiCall("PATCH", f"/inbox/{the_inbox(visit).id}", _body(sent))


async def _changed(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The changes are saved.", _link(visit, the_inbox(visit)))


# ── clear and delete ─────────────────────────────────────────────────────────────────────────────


async def _clear_form(visit: Visit) -> ActForm:
    inbox = the_inbox(visit)
    return ActForm(
        title=f"Clear {inbox.name}",
        verb="Delete its requests",
        consequences=["All its requests are deleted. The URL and the answer stay."],
        back=_link(visit, inbox),
        back_word=inbox.name,
        is_danger=True,
    )


async def _clear_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("DELETE", f"/inbox/{the_inbox(visit).id}/request")


async def _cleared(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    count = answer.doc["deleted"]
    text = "1 request is deleted." if count == 1 else f"{count} requests are deleted."
    return ActResult(text, _link(visit, the_inbox(visit)))


async def _delete_form(visit: Visit) -> ActForm:
    inbox = the_inbox(visit)
    return ActForm(
        title=f"Delete {inbox.name}",
        verb="Delete the inbox",
        consequences=["Its URL is answered 404 from now on.", "Its requests are deleted with it."],
        back=_link(visit, inbox),
        back_word=inbox.name,
        is_danger=True,
    )


async def _delete_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("DELETE", f"/inbox/{the_inbox(visit).id}")


async def _deleted(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The inbox is deleted.", visit.link(_PLACE))


# ── verify ───────────────────────────────────────────────────────────────────────────────────────


def _senders(visit: Visit, inbox: Inbox) -> list[FormChoice]:
    """Return who may have sent a request: ways to sign, sources, providers with a secret."""
    cache = visit.gateway.source_cache
    own = visit.principal().key.app_id
    sources = cache.of_scope(inbox.scope or visit.app_id or own)
    providers = sorted(cache.providers.values(), key=lambda provider: provider.title.lower())
    return [
        *_SCHEMES,
        *(FormChoice(f"source:{each.source.id}", f"Source {each.source.name}") for each in sources),
        *(
            FormChoice(f"provider:{each.name}", each.title)
            for each in providers
            if not any(setting.is_required for setting in each.settings)
        ),
    ]


async def _verify_form(visit: Visit) -> ActForm:
    inbox = the_inbox(visit)
    request = await open_request_of(visit.gateway, inbox, visit.path("request"))
    return ActForm(
        title=f"Verify request {request.row.number}",
        verb="Verify",
        consequences=[
            "It tells whether the request is genuine, and why not. Nothing follows from it.",
            "The secret is used this once: it is not stored.",
            "Signed times are judged by when the request came.",
        ],
        back=_link(visit, inbox, open=request.row.id),
        back_word=inbox.name,
        fields=[
            FormField(
                "sender", "Who signs", "select", options=_senders(visit, inbox), is_required=True
            ),
            FormField(
                "secret", "Secret", "secret", hint="A source of yours brings its own: leave it out."
            ),
            *_HMAC_FIELDS,
        ],
    )


async def _verify_call(visit: Visit, sent: SentFields) -> ApiCall:
    kind, _, name = sent.text("sender").partition(":")
    secret = sent.text("secret")
    body: dict[str, Any] = {}
    if kind == "source":
        body = {"sourceId": name}
    elif kind == "provider":
        body = {"provider": name, "secrets": [secret] if secret else []}
    else:
        body = {"scheme": name, "secret": secret or None}
    if name == "hmac":
        body["hmac"] = {
            "header": sent.text("hmac.header"),
            "algorithm": sent.text("hmac.algorithm"),
            "output": sent.text("hmac.output"),
            "prefix": sent.text("hmac.prefix"),
            "template": sent.text("hmac.template"),
            "timestampHeader": sent.text("hmac.timestampHeader") or None,
        }
    path = f"/inbox/{the_inbox(visit).id}/request/{visit.path('request')}/verify"
    return ApiCall("POST", path, body)


async def _verified(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    inbox, proof = the_inbox(visit), answer.doc
    text = "It is genuine." if proof["genuine"] else "It is not proven to be genuine."
    shown = [ShownValue("Why", proof["why"])]
    if proof["trust"]:
        shown.append(ShownValue("Trust", proof["trust"]))
    if proof["reading"] and proof["reading"]["outcomeWhy"]:
        shown.append(ShownValue("A source would say", proof["reading"]["outcomeWhy"]))
    link = _link(visit, inbox, open=visit.path("request"))
    return ActResult(text, link, shown, is_bad=not proof["genuine"])


# ── make a source of it ──────────────────────────────────────────────────────────────────────────


async def choose(visit: Visit) -> Response:
    """Show the providers to choose from."""
    inbox = the_inbox(visit)
    providers = visit.gateway.source_cache.providers
    ordered = sorted(providers.values(), key=lambda provider: provider.title.lower())
    return visit.show(
        "inbox_promote.html", inbox=inbox, app_name=app_of(visit, inbox), providers=ordered
    )


async def _promote_form(visit: Visit) -> ActForm:
    inbox, provider = the_inbox(visit), provider_of(visit)
    fields = [
        FormField("name", "Name", value=inbox.name, is_required=True, hint="For people."),
        FormField("uid", "Uid", hint="Your own name for it in the API.", is_code=True),
    ]
    app_id = inbox.scope or visit.app_id
    if not app_id:
        options = [FormChoice(app.id, app.name) for app in visit.applications]
        fields.append(FormField("appId", "Application", "select", options=options))
    if provider.secret is not None:
        about, is_needed = provider.secret.about, provider.secret.is_required
        fields.append(FormField("secrets", "Secret", "secret", hint=about, is_required=is_needed))
    replay = "Let it receive what the inbox holds, in order"
    fields.append(FormField("replay", replay, "check", hint="Genuine callbacks are processed."))
    fields += [setting_field(each, each.default, is_new=True) for each in settings_of(provider)]
    return ActForm(
        title=f"Make a source: {provider.title}",
        verb="Make the source",
        consequences=[
            f"{provider.about}",
            "You get a URL to paste at the provider. The inbox stays, with its own URL.",
        ],
        back=_link(visit, inbox),
        back_word=inbox.name,
        fields=fields,
        warning=provider.note,
    )


async def _promote_call(visit: Visit, sent: SentFields) -> ApiCall:
    inbox, provider = the_inbox(visit), provider_of(visit)
    body = {
        "appId": inbox.scope or visit.app_id or sent.text("appId") or None,
        "provider": provider.name,
        "name": sent.text("name") or None,
        "uid": sent.text("uid") or None,
        "secrets": [sent.text("secrets")] if sent.text("secrets") else [],
        "config": config_of(provider, sent, is_new=True),
        "replay": sent.has("replay"),
    }
    return ApiCall("POST", f"/inbox/{inbox.id}/promote", body)


async def _promoted(visit: Visit, call: ApiCall, answer: ApiAnswer) -> ActResult:
    assert call.body is not None
    app_name, _ = visit.names_of(str(call.body["appId"]))
    link = visit.link(f"/sources/{answer.doc['source']['id']}", app=app_name)
    text = "The source is there. Paste its URL at the provider."
    if call.body["replay"]:
        doc = answer.doc
        counts = f"{doc['callbacks']} received, {doc['refused']} of them refused"
        text = f"{text} Of the inbox: {counts}, {doc['skipped']} of another method left out."
    return ActResult(text, link)


PAGES = (
    SitePage("/inboxes/{inbox}/promote", choose, _PLACE),
    *act_pages(
        (
            ActPage("/inboxes/new", _PLACE, "inbox.create", _create_form, _create_call, _created),
            ActPage(
                "/inboxes/{inbox}/change",
                _PLACE,
                "inbox.patch",
                _change_form,
                _change_call,
                _changed,
            ),
            ActPage(
                "/inboxes/{inbox}/clear", _PLACE, "inbox.clear", _clear_form, _clear_call, _cleared
            ),
            ActPage(
                "/inboxes/{inbox}/delete",
                _PLACE,
                "inbox.delete",
                _delete_form,
                _delete_call,
                _deleted,
            ),
            ActPage(
                "/inboxes/{inbox}/requests/{request}/verify",
                _PLACE,
                "inbox.verify",
                _verify_form,
                _verify_call,
                _verified,
            ),
            ActPage(
                "/inboxes/{inbox}/promote/{provider}",
                _PLACE,
                "inbox.promote",
                _promote_form,
                _promote_call,
                _promoted,
            ),
        )
    ),
)
