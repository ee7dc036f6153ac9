"""Acts on event types: register one, with a sample and a schema, and change it."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from tillbell.model.records import EventType
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

_PLACE = "/event-types"


_NAME = FormField(
    "name",
    "Name",
    hint="Words with dots between, such as `invoice.sent`.",
    is_required=True,
    is_code=True,
)


def _registered(visit: Visit) -> EventType | None:
    return visit.gateway.config_cache.cached_event_type(visit.path("name"))


def _fields(event_type: EventType | None, name: str = "") -> list[FormField]:
    schemas = event_type.schemas if event_type is not None else None
    text = msgspec.json.format(msgspec.json.encode(schemas), indent=2).decode() if schemas else ""
    return [
        *([] if name else [_NAME]),
        FormField(
            "description",
            "Description",
            value=event_type.description if event_type is not None else "",
            hint="When such a message is published.",
            is_required=True,
        ),
        FormField("groupName", "Group", value=(event_type.group_name or "") if event_type else ""),
        FormField(
            "schemas",
            "Schemas",
            "area",
            text,
            'JSON by version, like {"1": {"type": "object"}}. Its first example is the sample.',
            is_code=True,
            rows=12,
        ),
        FormField(
            "deprecated",
            "Subscribers should stop to use it",
            "check",
            "yes" if event_type is not None and event_type.deprecated else "",
        ),
        FormField(
            "archived",
            "Hidden from lists",
            "check",
            "yes" if event_type is not None and event_type.archived else "",
        ),
    ]


def _body(sent: SentFields) -> dict[str, Any]:
    schemas: Any = sent.text("schemas") or None
    if schemas is not None:
        with contextlib.suppress(msgspec.DecodeError):  # the API says what it must be
            schemas = msgspec.json.decode(schemas)
    return {
        "description": sent.text("description"),
        "groupName": sent.text("groupName") or None,
        "schemas": schemas,
        "deprecated": sent.has("deprecated"),
        "archived": sent.has("archived"),
    }


async def _create_form(visit: Visit) -> ActForm:
    return ActForm(
        title="New event type",
        verb="Register the event type",
        consequences=["It is offered to every endpoint, with its sample and its schema."],
        back=visit.link(_PLACE),
        back_word="Event types",
        fields=_fields(None),
    )


async def _create_call(visit: Visit, sent: SentFields) -> ApiCall:
    del visit
    return ApiCall("POST", "/event-type", _body(sent) | {"name": sent.text("name")})


async def _saved(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    return ActResult("The event type is saved.", visit.link(f"{_PLACE}/{answer.doc['name']}"))


async def _change_form(visit: Visit) -> ActForm:
    name = visit.path("name")
    return ActForm(
        title=f"Change {name}",
        verb="Save",
        consequences=["It holds from the next message on."],
        back=visit.link(f"{_PLACE}/{name}"),
        back_word=name,
        fields=_fields(_registered(visit), name),
    )


async def _change_call(visit: Visit, sent: SentFields) -> ApiCall:
    return ApiCall("PUT", f"/event-type/{visit.path('name')}", _body(sent))


PAGES = act_pages(
    (
        ActPage(
            "/event-types/new",
            _PLACE,
            "event-type.create",
            _create_form,
            _create_call,
            _saved,
        ),
        ActPage(
            "/event-types/{name}/change",
            _PLACE,
            "event-type.upsert",
            _change_form,
            _change_call,
            _saved,
        ),
    )
)
