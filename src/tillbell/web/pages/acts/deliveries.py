"""Acts on messages and deliveries: send it again."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import Message
from tillbell.rules.delivery.fate import FateCode
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    SentFields,
    act_pages,
)
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.page import Visit

_CREATED = 201


class DeliveryPlace(NamedTuple):
    """A message and an endpoint of the path."""

    app_name: str
    message: Message
    endpoint: Endpoint
    link: str  # to the page of the delivery


async def _place(visit: Visit) -> DeliveryPlace:
    app = await visit.the_app()
    message = await visit.gateway.database.message(app.id, visit.path("msg"))
    endpoint = await visit.gateway.config_cache.endpoint(app.id, visit.path("endpoint"))
    if message is None or endpoint is None:
        raise NotFound("There is no such message or endpoint.")
    name = app.uid or app.id
    link = visit.link(f"/messages/{message.id}/endpoints/{endpoint.id}", app=name)
    return DeliveryPlace(name, message, endpoint, link)


async def _resend_form(visit: Visit) -> ActForm:
    place = await _place(visit)
    fate = await visit.gateway.fates.of(place.message, place.endpoint.id)
    has_arrived = fate.code is FateCode.DELIVERED
    return ActForm(
        title=f"Resend {place.message.event_type} to {name_of(place.endpoint)}",
        verb="Resend",
        consequences=[
            "The same bytes go out at once, under the same message id, newly signed.",
            "If that fails, the retry schedule begins anew.",
        ],
        back=place.link,
        back_word=place.message.event_type,
        warning="It has arrived already: a receiver that does not look at the message id "
        "handles it twice."
        if has_arrived
        else "",
    )


async def _resend_call(visit: Visit, _: SentFields) -> ApiCall:
    place = await _place(visit)
    path = f"/app/{place.message.app_id}/msg/{place.message.id}/endpoint/{place.endpoint.id}/resend"
    return ApiCall("POST", path)


async def _resent(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    place = await _place(visit)
    is_first = answer.status == _CREATED
    text = "It is sent for the first time now." if is_first else "It is sent again now."
    return ActResult(text, place.link)


PAGES = act_pages(
    (
        ActPage(
            "/messages/{msg}/endpoints/{endpoint}/resend",
            "/messages",
            "message-attempt.resend",
            _resend_form,
            _resend_call,
            _resent,
        ),
    )
)
