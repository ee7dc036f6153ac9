"""The link in a mail of alerts: whoever has the mail gets no more of them, without an account."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from tillbell.app import Gateway
from tillbell.deliver.audit import acting_as
from tillbell.model.alerts import AlertSubscription
from tillbell.model.audit import Actor, ActorKind
from tillbell.upkeep.alerts import UNSUBSCRIBE
from tillbell.web.pages.alerts import KIND_WORDS
from tillbell.web.pages.forms import SAFE_METHODS
from tillbell.web.pages.page import PublicPage, answer
from tillbell.web.pages.session import visitor_of
from tillbell.web.pages.templating import render


async def unsubscribe(request: Request) -> Response:
    """Show what ends, or end it.

    Looking changes nothing: mail servers open links to look for harm. Mail programs send the form
    themselves (RFC 8058), without a cookie and with another body. The token of the link is the
    proof, so nothing else is asked for.
    """
    gateway: Gateway = request.app.state.gateway
    id_, token = str(request.path_params["alert"]), str(request.path_params["token"])
    subscription = await gateway.alerts.of_link(id_, token)
    if request.method in SAFE_METHODS:
        return _show(request, subscription, is_done=subscription.unsubscribed_at is not None)
    reader = Actor("anonymous", f"link in a mail to {subscription.email}", ActorKind.NOBODY)
    with acting_as(visitor_of(request).acting_as(reader)):
        await gateway.alerts.unsubscribe(subscription)
    return _show(request, subscription, is_done=True)


def _show(request: Request, subscription: AlertSubscription, *, is_done: bool) -> Response:
    topics = [*(KIND_WORDS[kind] for kind in subscription.kinds), *subscription.event_types]
    values = {
        "email": subscription.email,
        "topics": topics,
        "is_done": is_done,
        "host": request.headers.get("host", ""),
    }
    return answer(render("unsubscribe.html", values))


PUBLIC_PAGES = (
    PublicPage(
        UNSUBSCRIBE + "/{alert}/{token}", unsubscribe, ("GET", "POST"), is_proven_by_path=True
    ),
)
