"""Acts on messages and deliveries: send it again, with other bytes, or no more."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.errors import MissingPayload, NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import Delivery, DeliveryState, Message
from tillbell.rules.delivery.fate import FateCode
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


async def _edit_form(visit: Visit) -> ActForm:
    place = await _place(visit)
    body = await visit.gateway.database.body(place.message.app_id, place.message.id)
    if body is None:
        raise MissingPayload
    return ActForm(
        title=f"Edit {place.message.event_type} and send it to {name_of(place.endpoint)}",
        verb="Send the message",
        consequences=[
            "A message of its own is sent to this endpoint alone, with an id of its own.",
            "Its tags say which message it was made of. Others are not told of it.",
        ],
        back=place.link,
        back_word=place.message.event_type,
        fields=[
            FormField(
                "payload",
                "Payload",
                "area",
                body.decode("utf-8", "replace"),
                hint="It is sent as it stands here, byte for byte.",
                is_required=True,
                is_code=True,
                rows=18,
            )
        ],
    )


async def _edit_call(visit: Visit, sent: SentFields) -> ApiCall:
    place = await _place(visit)
    message, endpoint = place.message, place.endpoint
    path = f"/app/{message.app_id}/msg/{message.id}/endpoint/{endpoint.id}/send-edited"
    return ApiCall("POST", path, {"payload": sent.exact("payload")})


async def _edited(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    place = await _place(visit)
    link = visit.link(
        f"/messages/{answer.doc['id']}/endpoints/{place.endpoint.id}", app=place.app_name
    )
    return ActResult("The edited message is sent now.", link)


async def _waiting(visit: Visit, place: DeliveryPlace) -> Delivery:
    """Return the delivery that waits, else the last one."""
    message = place.message
    deliveries = await visit.gateway.database.deliveries_of_message(message.app_id, message.id)
    here = [each for each in deliveries if each.endpoint_id == place.endpoint.id]
    if not here:
        raise NotFound("There is no delivery of this message to this endpoint.")
    return min(here, key=lambda each: each.state is not DeliveryState.WAITING)


async def _cancel_form(visit: Visit) -> ActForm:
    place = await _place(visit)
    await _waiting(visit, place)
    return ActForm(
        title=f"Cancel {place.message.event_type} to {name_of(place.endpoint)}",
        verb="Cancel delivery",
        consequences=[
            "No further attempt is made: this endpoint does not get the message.",
            "A resend begins it again.",
        ],
        back=place.link,
        back_word=place.message.event_type,
        is_danger=True,
    )


async def _cancel_call(visit: Visit, _: SentFields) -> ApiCall:
    place = await _place(visit)
    delivery = await _waiting(visit, place)
    return ApiCall("POST", f"/app/{delivery.app_id}/delivery/{delivery.id}/cancel")


async def _canceled(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    place = await _place(visit)
    return ActResult("The delivery is canceled.", place.link)


_DELIVERY = "/messages/{msg}/endpoints/{endpoint}"

PAGES = act_pages(
    (
        ActPage(
            f"{_DELIVERY}/resend",
            "/messages",
            "message-attempt.resend",
            _resend_form,
            _resend_call,
            _resent,
        ),
        ActPage(
            f"{_DELIVERY}/edit",
            "/messages",
            "message-attempt.send-edited",
            _edit_form,
            _edit_call,
            _edited,
        ),
        ActPage(
            f"{_DELIVERY}/cancel",
            "/messages",
            "delivery.cancel",
            _cancel_form,
            _cancel_call,
            _canceled,
        ),
    )
)
