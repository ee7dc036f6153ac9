"""Acts on alerts: tell somebody by e-mail, change it, test it, stop it."""

from __future__ import annotations

from typing import Any

from tillbell.model.alerts import AlertSubscription
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    FormChoice,
    FormField,
    SentFields,
    act_pages,
)
from tillbell.web.pages.alerts import KIND_WORDS
from tillbell.web.pages.page import Visit

_PLACE = "/settings/alerts"
_API = "/alert"


async def _alert(visit: Visit) -> AlertSubscription:
    return await visit.gateway.alerts.get(visit.path("alert"))


def _form(visit: Visit, title: str, verb: str, consequence: str, **more: Any) -> ActForm:
    return ActForm(
        title=title,
        verb=verb,
        consequences=[consequence],
        back=visit.link(_PLACE),
        back_word="Alerts",
        **more,
    )


def _fields(visit: Visit, alert: AlertSubscription | None) -> list[FormField]:
    kinds = [FormChoice(kind.value, word) for kind, word in KIND_WORDS.items()]
    chosen = [kind.value for kind in alert.kinds] if alert is not None else []
    types = "\n".join(alert.event_types) if alert is not None else ""
    email, name = (alert.email, alert.name) if alert is not None else ("", "")
    return [
        FormField("email", "E-mail address", value=email, is_required=True),
        FormField("name", "Name", value=name, hint="For people: who gets it."),
        FormField("kinds", "They are told of", "checks", chosen, options=kinds),
        FormField(
            "eventTypes", "And of messages of these types", "area", types,
            "One on each line, such as order.created.", is_code=True, rows=2,
        ),
        _app_field(visit, alert),
        *_time_fields(alert),
    ]  # fmt: skip


def _app_field(visit: Visit, alert: AlertSubscription | None) -> FormField:
    options = [FormChoice("", "every application")]
    options += [FormChoice(app.id, app.name) for app in visit.applications]
    chosen = alert.app_id if alert is not None else visit.app_id
    return FormField("appId", "Application", "select", chosen or "", options=options)


def _time_fields(alert: AlertSubscription | None) -> list[FormField]:
    digest = str(alert.digest_minutes) if alert is not None else "0"
    hourly = str(alert.hourly_max) if alert is not None else "12"
    begin = (alert.quiet_from if alert is not None else None) or ""
    end = (alert.quiet_until if alert is not None else None) or ""
    zone = alert.time_zone if alert is not None else "UTC"
    about_digest = "0: each alert is sent within seconds."
    return [
        FormField("digestMinutes", "Minutes to collect", "number", digest, about_digest),
        FormField("quietFrom", "No mail from", value=begin, hint="A time of day, such as 22:00."),
        FormField("quietUntil", "No mail until", value=end, hint="What waits is sent then."),
        FormField("timeZone", "Time zone", value=zone, hint="Such as Europe/Belgrade."),
        FormField("hourlyMax", "Mails in an hour, at most", "number", hourly),
    ]


def _body(sent: SentFields) -> dict[str, Any]:
    return {
        "email": sent.text("email"),
        "name": sent.text("name"),
        "kinds": sent.all("kinds"),
        "eventTypes": sent.words("eventTypes"),
        "appId": sent.text("appId") or None,
        "digestMinutes": sent.number("digestMinutes"),
        "quietFrom": sent.text("quietFrom") or None,
        "quietUntil": sent.text("quietUntil") or None,
        "timeZone": sent.text("timeZone") or "UTC",
        "hourlyMax": sent.number("hourlyMax"),
    }


async def _new_form(visit: Visit) -> ActForm:
    text = "They get an e-mail when it happens, and can be taken off the list here."
    return _form(visit, "New alert", "Add the alert", text, fields=_fields(visit, None))


async def _new_call(_: Visit, sent: SentFields) -> ApiCall:
    return ApiCall("POST", _API, _body(sent))


async def _added(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    return ActResult(f"{answer.doc['email']} is told from now on. Test it.", visit.link(_PLACE))


async def _change_form(visit: Visit) -> ActForm:
    alert = await _alert(visit)
    paused = FormField("paused", "Paused: no mail", "check", "yes" if alert.paused else "")
    text = "It also applies to mail that is waiting to be sent."
    title = f"Change the alert of {alert.email}"
    return _form(visit, title, "Save", text, fields=[*_fields(visit, alert), paused])


async def _change_call(visit: Visit, sent: SentFields) -> ApiCall:
    body = _body(sent) | {"paused": sent.has("paused")}
    return ApiCall("PATCH", f"{_API}/{(await _alert(visit)).id}", body)


async def _saved(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The changes are saved.", visit.link(_PLACE))


async def _test_form(visit: Visit) -> ActForm:
    alert = await _alert(visit)
    text = f"A mail is sent to {alert.email} at once, also in quiet hours."
    return _form(visit, f"Send a test to {alert.email}", "Send test", text)


async def _test_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("POST", f"{_API}/{(await _alert(visit)).id}/test", {})


async def _tested(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    problem = answer.doc["problem"]
    text = "The mail server took the mail."
    if problem:
        text = f"The mail was not taken: {problem}"
    return ActResult(text, visit.link(_PLACE))


async def _delete_form(visit: Visit) -> ActForm:
    alert = await _alert(visit)
    form = _form(
        visit,
        f"Delete the alert of {alert.email}",
        "Delete the alert",
        "No more mails are sent to this address by it; what waits is dropped.",
    )
    return form._replace(is_danger=True, warning="To stop for a while, pause it instead.")


async def _delete_call(visit: Visit, _: SentFields) -> ApiCall:
    return ApiCall("DELETE", f"{_API}/{(await _alert(visit)).id}")


async def _deleted(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The alert is deleted.", visit.link(_PLACE))


_ONE, _MENU = f"{_PLACE}/{{alert}}", "/settings"
PAGES = act_pages(
    (
        ActPage(f"{_PLACE}/new", _MENU, "alert.create", _new_form, _new_call, _added),
        ActPage(f"{_ONE}/change", _MENU, "alert.patch", _change_form, _change_call, _saved),
        ActPage(f"{_ONE}/test", _MENU, "alert.test", _test_form, _test_call, _tested),
        ActPage(f"{_ONE}/delete", _MENU, "alert.delete", _delete_form, _delete_call, _deleted),
    )
)
