"""The way to the identity provider and back."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tillbell.app import Gateway
from tillbell.configure.identity_provider import SignOnRefused
from tillbell.configure.people import SecondStep
from tillbell.configure.sign_on import SignOns
from tillbell.errors import NotFound, TooMany
from tillbell.web.pages.cookies import (
    forget_sign_on,
    keep_sign_on,
    sign_on_of,
    token_of,
)
from tillbell.web.pages.page import SECURITY_HEADERS, PublicPage
from tillbell.web.pages.session import visitor_of
from tillbell.web.pages.sign_in import begin_and_go, own_path, show_code, show_login

_ERROR = re.compile(r"[a-z_]{1,40}")
BEGIN, FINISH = "/login/sso", "/login/sso/callback"


async def begin(request: Request) -> Response:
    """Send the browser to the identity provider."""
    way = own_path(request.query_params.get("next", ""))
    gateway: Gateway = request.app.state.gateway
    base = gateway.settings.public_url or gateway.settings.local_url
    try:
        departure = await _sign_ons(request).begin(base + FINISH, way)
    except SignOnRefused as error:
        return show_login(request, 503, next=way, refused=str(error))
    shown = RedirectResponse(departure.url, 303, SECURITY_HEADERS)
    keep_sign_on(request, shown, departure.sealed)
    return shown


async def finish(request: Request) -> Response:
    """Sign in whom the identity provider has sent back."""
    shown = await _finished(request)
    forget_sign_on(request, shown)
    return shown


async def _finished(request: Request) -> Response:
    query = request.query_params
    sign_ons = _sign_ons(request)
    if "error" in query:  # its description is not shown: anybody may write one into a link
        code = query["error"] if _ERROR.fullmatch(query["error"]) else "unknown"
        return show_login(
            request, 422, refused=f"The identity provider did not let you in: {code}."
        )
    try:
        arrival = await sign_ons.finish(
            sign_on_of(request),
            query.get("state", ""),
            query.get("code", ""),
            visitor_of(request),
            replaces=token_of(request),
        )
    except SignOnRefused as error:
        return show_login(request, 422, refused=str(error))
    except TooMany as error:
        shown = show_login(request, 429, wait=str(error))
        shown.headers["retry-after"] = str(error.retry_after_s)
        return shown
    if isinstance(arrival.session, SecondStep):
        return show_code(request, 200, arrival.session.token, arrival.way)
    return begin_and_go(request, arrival.session, arrival.way)


def _sign_ons(request: Request) -> SignOns:
    gateway: Gateway = request.app.state.gateway
    if gateway.sign_ons is None:
        raise NotFound("There is no such page: no identity provider is set.")
    return gateway.sign_ons


PUBLIC_PAGES = (PublicPage(BEGIN, begin), PublicPage(FINISH, finish))
