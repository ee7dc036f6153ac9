"""Acts on API keys: make one, which is shown once, and revoke one."""

from __future__ import annotations

from tillbell.clock import DAY
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
    end_of_day,
)
from tillbell.web.pages.page import Visit

_PLACE = "/settings/keys"
_SCOPES = (
    FormChoice("admin", "admin", "everything, keys included"),
    FormChoice("write", "write", "read and change everything but keys"),
    FormChoice("read", "read", "read everything but secrets and keys"),
    FormChoice("publish", "publish", "publish messages, nothing else"),
)


async def _create_form(visit: Visit) -> ActForm:
    applications = [FormChoice("", "every application")]
    applications += [FormChoice(app.id, app.name) for app in visit.applications]
    return ActForm(
        title="New API key",
        verb="Make the key",
        consequences=["It is shown once, on the next page. Only its hash is kept."],
        back=visit.link(_PLACE),
        back_word="API keys",
        fields=[
            FormField("name", "Name", hint="Which program has it.", is_required=True),
            FormField("scopes", "It may", "checks", options=_SCOPES, is_code=True),
            FormField(
                "more",
                "Or only parts",
                hint="Such as `endpoint:write message:read`, with spaces between.",
                is_code=True,
            ),
            FormField("appId", "Application", "select", visit.app_id or "", options=applications),
            FormField("expiresAt", "Last day", "date", hint="It works until the end of it (UTC)."),
            FormField(
                "rateLimit", "Requests a second", "number", hint="0: no limit. Empty: as set."
            ),
        ],
    )


async def _create_call(visit: Visit, sent: SentFields) -> ApiCall:
    del visit
    body = {
        "name": sent.text("name"),
        "scopes": [*sent.all("scopes"), *sent.words("more")],
        "appId": sent.text("appId") or None,
        "expiresAt": end_of_day(sent.text("expiresAt")),
        "rateLimit": sent.number("rateLimit"),
    }
    return ApiCall("POST", "/key", body)


async def _created(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    doc = answer.doc
    return ActResult(
        f"The key {doc['name']} works now.",
        visit.link(_PLACE),
        [ShownValue("Key", doc["key"], is_secret=True)],
    )


async def _revoke_form(visit: Visit) -> ActForm:
    key = await visit.gateway.api_keys.key(visit.path("key"))
    used_at = await visit.gateway.key_usage.last_used_at(key)
    return ActForm(
        title=f"Revoke {key.name}",
        verb="Revoke the key",
        consequences=["It stops to work at once, on every process. It cannot be brought back."],
        back=visit.link(_PLACE),
        back_word="API keys",
        is_danger=True,
        warning="Some program uses it: the key was used within the last day."
        if used_at is not None and used_at > visit.now - DAY
        else "",
    )


async def _revoke_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("DELETE", f"/key/{visit.path('key')}")


async def _revoked(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The key is revoked.", visit.link(_PLACE))


PAGES = act_pages(
    (
        ActPage(
            "/settings/keys/new",
            "/settings",
            "api-key.create",
            _create_form,
            _create_call,
            _created,
        ),
        ActPage(
            "/settings/keys/{key}/revoke",
            "/settings",
            "api-key.delete",
            _revoke_form,
            _revoke_call,
            _revoked,
        ),
    )
)
