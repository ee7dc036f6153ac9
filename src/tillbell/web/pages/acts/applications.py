"""Acts on applications: add one, change it, delete it with all that it has."""

from __future__ import annotations

from typing import Any

from tillbell.model.records import Application
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    FormField,
    SentFields,
    act_pages,
)
from tillbell.web.pages.page import Visit

_PLACE = "/settings/applications"


def _fields(app: Application | None) -> list[FormField]:
    rate = app.throttle_rate if app is not None else None
    return [
        FormField(
            "name", "Name", value=app.name if app else "", is_required=True, hint="For people."
        ),
        FormField(
            "uid",
            "Uid",
            value=(app.uid or "") if app else "",
            hint="Your own name for it in the API, such as `shop`.",
            is_code=True,
        ),
        FormField(
            "throttleRate",
            "Messages a second",
            "number",
            str(rate) if rate is not None else "",
            hint="To each of its endpoints at most. Empty: no limit.",
        ),
        FormField(
            "checkSchemas",
            "Refuse messages that break the schema of their event type",
            "check",
            "yes" if app is not None and app.check_schemas else "",
        ),
    ]


def _body(sent: SentFields) -> dict[str, Any]:
    return {
        "name": sent.text("name"),
        "uid": sent.text("uid") or None,
        "throttleRate": sent.number("throttleRate"),
        "checkSchemas": sent.has("checkSchemas"),
    }


async def _create_form(visit: Visit) -> ActForm:
    return ActForm(
        title="New application",
        verb="Add the application",
        consequences=["It has endpoints, sources and messages of its own."],
        back=visit.link(_PLACE),
        back_word="Applications",
        fields=_fields(None),
    )


async def _create_call(visit: Visit, sent: SentFields) -> ApiCall:
    del visit
    return ApiCall("POST", "/app", _body(sent))


async def _created(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    return ActResult(
        "The application is there.", visit.link("/", app=answer.doc["uid"] or answer.doc["id"])
    )


async def _change_form(visit: Visit) -> ActForm:
    app = await visit.the_app()
    return ActForm(
        title=f"Change {app.name}",
        verb="Save",
        consequences=["It holds from the next message on."],
        back=visit.link(_PLACE),
        back_word="Applications",
        fields=_fields(app),
    )


async def _change_call(visit: Visit, sent: SentFields) -> ApiCall:
    app = await visit.the_app()
    return ApiCall("PATCH", f"/app/{app.id}", _body(sent))


async def _changed(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    name = answer.doc["uid"] or answer.doc["id"]
    return ActResult("The changes are saved.", visit.link(_PLACE, app=name))


async def _delete_form(visit: Visit) -> ActForm:
    app = await visit.the_app()
    return ActForm(
        title=f"Delete {app.name}",
        verb="Delete the application",
        consequences=[
            "Its endpoints, sources and keys stop at once; what waits is discarded.",
            "It cannot be brought back.",
        ],
        back=visit.link(_PLACE),
        back_word="Applications",
        is_danger=True,
    )


async def _delete_call(visit: Visit, _: SentFields) -> ApiCall:
    app = await visit.the_app()
    return ApiCall("DELETE", f"/app/{app.id}")


async def _deleted(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The application is deleted.", visit.link(_PLACE, app=None))


PAGES = act_pages(
    (
        ActPage(
            "/settings/applications/new",
            "/settings",
            "application.create",
            _create_form,
            _create_call,
            _created,
        ),
        ActPage(
            "/settings/applications/change",
            "/settings",
            "application.patch",
            _change_form,
            _change_call,
            _changed,
        ),
        ActPage(
            "/settings/applications/delete",
            "/settings",
            "application.delete",
            _delete_form,
            _delete_call,
            _deleted,
        ),
    )
)
