"""Acts on operational webhooks: who is told about the gateway itself."""

from __future__ import annotations

from typing import Any

from tillbell.catalog import CATALOG
from tillbell.catalog import OPERATIONAL as OPERATIONAL_TYPES
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint, EndpointStatus
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
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.page import Visit

_PLACE = "/settings/webhooks"
_API = "/operational-webhook/endpoint"


async def _endpoint(visit: Visit) -> Endpoint:
    endpoint = await visit.gateway.config_cache.endpoint(OPERATIONAL, visit.path("endpoint"))
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    return endpoint


def _form(visit: Visit, title: str, verb: str, consequence: str, **more: Any) -> ActForm:
    return ActForm(
        title=title,
        verb=verb,
        consequences=[consequence],
        back=visit.link(_PLACE),
        back_word="Operational webhooks",
        **more,
    )


def _fields(endpoint: Endpoint | None) -> list[FormField]:
    types = sorted(OPERATIONAL_TYPES)
    chosen = endpoint.selectors or () if endpoint is not None else ()
    return [
        FormField(
            "url",
            "URL",
            value=endpoint.url if endpoint is not None else "",
            hint="Your monitoring, or a chat that takes webhooks.",
            is_required=True,
            is_code=True,
        ),
        FormField("description", "Name", value=endpoint.description if endpoint else ""),
        FormField(
            "eventTypes",
            "It is told about",
            "checks",
            list(chosen),
            "Nothing chosen: everything.",
            [FormChoice(name, name, CATALOG[name].description) for name in types],
            is_code=True,
        ),
    ]


def _body(sent: SentFields) -> dict[str, Any]:
    return {
        "url": sent.text("url"),
        "description": sent.text("description"),
        "eventTypes": sent.all("eventTypes") or None,
    }


async def _create_form(visit: Visit) -> ActForm:
    return _form(
        visit,
        "New operational webhook",
        "Add the webhook",
        "It is told when an endpoint fails for an hour, is paused, or a delivery is given up.",
        fields=_fields(None),
    )


async def _create_call(visit: Visit, sent: SentFields) -> ApiCall:
    del visit
    return ApiCall("POST", _API, _body(sent))


async def _saved(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("It is saved, and told from now on.", visit.link(_PLACE))


async def _change_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    disabled = FormField(
        "disabled",
        "Switched off",
        "check",
        "" if endpoint.status is EndpointStatus.ACTIVE else "yes",
    )
    return _form(
        visit,
        f"Change {name_of(endpoint)}",
        "Save",
        "It holds from the next message on.",
        fields=[*_fields(endpoint), disabled],
    )


async def _change_call(visit: Visit, sent: SentFields) -> ApiCall:
    endpoint = await _endpoint(visit)
    body = _body(sent) | {"disabled": sent.has("disabled")}
    return ApiCall("PATCH", f"{_API}/{endpoint.id}", body)


async def _reveal_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    return _form(
        visit,
        f"Secret of {name_of(endpoint)}",
        "Reveal the secret",
        "It is shown to you. The audit log says that you have seen it.",
    )


async def _reveal_call(visit: Visit, _: SentFields) -> ApiCall:
    endpoint = await _endpoint(visit)
    return ApiCall("GET", f"{_API}/{endpoint.id}/secret")


async def _revealed(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    value = ShownValue("Secret", answer.doc["key"])
    return ActResult("Messages are signed with it.", visit.link(_PLACE), [value])


async def _delete_form(visit: Visit) -> ActForm:
    endpoint = await _endpoint(visit)
    return _form(
        visit,
        f"Delete {name_of(endpoint)}",
        "Delete the webhook",
        "It is told nothing more; what waits for it is discarded.",
        is_danger=True,
    )


async def _delete_call(visit: Visit, _: SentFields) -> ApiCall:
    endpoint = await _endpoint(visit)
    return ApiCall("DELETE", f"{_API}/{endpoint.id}")


async def _deleted(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("It is deleted.", visit.link(_PLACE))


PAGES = act_pages(
    (
        ActPage(
            f"{_PLACE}/new",
            "/settings",
            "operational-webhook.create",
            _create_form,
            _create_call,
            _saved,
        ),
        ActPage(
            f"{_PLACE}/{{endpoint}}/change",
            "/settings",
            "operational-webhook.patch",
            _change_form,
            _change_call,
            _saved,
        ),
        ActPage(
            f"{_PLACE}/{{endpoint}}/secret",
            "/settings",
            "operational-webhook.get-secret",
            _reveal_form,
            _reveal_call,
            _revealed,
        ),
        ActPage(
            f"{_PLACE}/{{endpoint}}/delete",
            "/settings",
            "operational-webhook.delete",
            _delete_form,
            _delete_call,
            _deleted,
        ),
    )
)
