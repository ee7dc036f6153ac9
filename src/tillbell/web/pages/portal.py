"""The portal: pages of one application for whoever has a link to it, a subscriber above all.

They are the pages of the dashboard in another frame and behind another gate. What a page may show
or do is the row of its operation in `web/edge/access.py`, asked with the portal token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillbell.app import Gateway
from tillbell.config import LOGO_TYPES, Settings
from tillbell.deliver.audit import acting_as
from tillbell.errors import NotFound, TillbellError, Unauthenticated
from tillbell.model.audit import Actor, ActorKind
from tillbell.rules.proxies import networks
from tillbell.rules.rights import Rights
from tillbell.web.edge.access import ACCESS, PORTAL_PAGES, VIEW
from tillbell.web.edge.auth import PRINCIPAL, Access, Principal
from tillbell.web.edge.limits import GuessLimit, address_of
from tillbell.web.edge.paths import APPLICATION, ROUTE
from tillbell.web.pages import (
    deliveries,
    delivery,
    endpoints,
    error_page,
    event_types,
    filter_line,
    jobs,
    live_page,
    messages,
)
from tillbell.web.pages.acts import deliveries as delivery_acts
from tillbell.web.pages.acts import endpoints as endpoint_acts
from tillbell.web.pages.acts import jobs as job_acts
from tillbell.web.pages.forms import SAFE_METHODS, check_origin, check_sender, read_form
from tillbell.web.pages.page import (
    SECURITY_HEADERS,
    Entry,
    MenuLine,
    PublicPage,
    SitePage,
    Visit,
    answer,
    finished,
    redirect,
)
from tillbell.web.pages.portal_look import accent_of, asked_look, look_of, stylesheet
from tillbell.web.pages.portal_session import (
    ROOT,
    PortalCookie,
    begin_session,
    cookie_of,
    cookie_text,
    end_session,
    principal_of,
    read_cookie,
)
from tillbell.web.pages.portal_visit import PortalVisit
from tillbell.web.pages.session import Viewer, visitor_of
from tillbell.web.pages.templating import render

_MENU = (
    Entry("/endpoints", "endpoint", "Endpoints"),
    Entry("/messages", "message", "Messages"),
    Entry("/event-types", "list", "Event types"),
    Entry("/jobs", "replay", "Replay jobs"),
)
_LOGO_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "x-content-type-options": "nosniff",
    "cache-control": "public, max-age=3600",
}
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}


async def leave(visit: Visit) -> Response:
    """End the token of this visit, as the API's logout does."""
    key = visit.principal().key
    await visit.gateway.api_keys.revoke(key)
    shown = _show_ended(visit.request, "You have left the portal. Your link has ended.")
    end_session(visit.request, shown, key.app_id or "")
    return shown


def _of_portals(acts: Sequence[SitePage]) -> list[SitePage]:
    """Return the acts that a portal token may be allowed."""
    return [act for act in acts if ACCESS[act.operation].portal is not None]


PAGES: tuple[SitePage, ...] = (
    *_of_portals(endpoint_acts.PAGES),
    *endpoints.PAGES,
    *messages.PAGES,
    *delivery.PAGES,
    *_of_portals(delivery_acts.PAGES),
    *_of_portals(job_acts.PAGES),
    *deliveries.PAGES,
    *event_types.PAGES,
    *jobs.PAGES,
    *filter_line.PAGES,
    *live_page.PAGES,
    SitePage("/leave", leave, methods=("POST",)),
)


# ── before there is a session ────────────────────────────────────────────────────────────────────


async def enter(request: Request) -> Response:
    """Show the page that a link opens. Its script reads the token and posts it."""
    accent, mode = asked_look(request.query_params)
    return _show_bare(request, "portal_enter.html", 200, PortalCookie("", accent, mode), wrong="")


async def begin(request: Request) -> Response:
    """Take the token of a link, and go on to its application."""
    check_origin(request)
    gateway: Gateway = request.app.state.gateway
    form = await read_form(request)
    cookie = cookie_of(
        form.get("token", "").rpartition("#key=")[2].strip(),
        form.get("accent", ""),
        form.get("mode", ""),
        form.get("zone", ""),
    )
    try:
        principal = principal_of(gateway, cookie.token)
    except Unauthenticated as error:
        trusted = networks(gateway.settings.trusted_proxies)
        guesses: GuessLimit = request.app.state.portal_guesses
        guesses.count(address_of(request.scope, trusted))
        return _show_bare(request, "portal_enter.html", 401, cookie, wrong=str(error))
    app_id = principal.key.app_id or ""
    shown = redirect(f"{ROOT}/{app_id}/endpoints")
    begin_session(request, shown, app_id, cookie)
    return shown


async def accent_stylesheet(request: Request) -> Response:
    """Answer with the style sheet of an accent."""
    accent = str(request.path_params["accent"])
    if accent_of(accent) != accent:
        raise NotFound("There is no such colour.")
    return Response(stylesheet(accent), 200, SECURITY_HEADERS | _FOR_EVER, media_type="text/css")


async def logo(request: Request) -> Response:
    """Answer with the logo of the settings."""
    gateway: Gateway = request.app.state.gateway
    path = Path(gateway.settings.portal_logo)
    if not gateway.settings.portal_logo:
        raise NotFound("There is no logo.")
    body = await asyncio.to_thread(path.read_bytes)
    return Response(body, 200, _LOGO_HEADERS, media_type=LOGO_TYPES[path.suffix])


PUBLIC_PAGES = (
    PublicPage(ROOT, enter),
    PublicPage(f"{ROOT}/session", begin, ("POST",)),
    PublicPage(f"{ROOT}/accent/{{accent}}.css", accent_stylesheet),
    PublicPage(f"{ROOT}/logo", logo),
)


# ── the gate ─────────────────────────────────────────────────────────────────────────────────────


def portal_routes(gateway: Gateway) -> list[Route]:
    """Return the routes of the portal. Each is in the table of access, or nothing is served."""
    looks = [page for page in PAGES if not page.operation]
    served = {f"{method} {page.path}" for page in looks for method in page.methods}
    if served != set(PORTAL_PAGES):
        raise AssertionError("the pages of the portal are not those of web/edge/access.py")
    policy = _content_policy(gateway.settings)
    public = [
        Route(page.path, _serve_public(page, policy), methods=list(page.methods))
        for page in PUBLIC_PAGES
    ]
    return [
        *public,
        *(
            Route(f"{ROOT}/{{app}}{page.path}", _serve(page, policy), methods=list(page.methods))
            for page in PAGES
        ),
    ]


def _serve_public(page: PublicPage, policy: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        request.scope[ROUTE] = page.path
        _note_framable(request)
        try:
            shown = await page.handler(request)
        except TillbellError as error:
            shown = error_page.show_bare(request, error, _bare_values(request))
        return _framed(shown, policy)

    return serve


def _serve(page: SitePage, policy: str) -> Callable[[Request], Awaitable[Response]]:
    """Return what serves a page of the portal, and its errors in the same look."""

    async def serve(request: Request) -> Response:
        request.scope[ROUTE] = f"{ROOT}/{{app}}{page.path}"
        _note_framable(request)
        return _framed(await _answer(request, page), policy)

    return serve


async def _answer(request: Request, page: SitePage) -> Response:
    visit: Visit | None = None
    try:
        principal, cookie = _entered(request)
        visit = await _visit(request, page, principal, cookie)
        if request.method not in SAFE_METHODS:
            await check_sender(request, cookie_text(request))
        principal.require(_access(page, request.method))
        if visit.gateway.key_usage.is_due(principal.key):
            await visit.gateway.key_usage.record_use(principal.key)
        with acting_as(_actor(request, principal)):
            return await finished(request, await page.handler(visit))
    except Unauthenticated as error:
        return _show_ended(request, str(error), 401)
    except TillbellError as error:
        if visit is None:
            return error_page.show_bare(request, error, _bare_values(request))
        return await error_page.show_in(visit, error)
    except Exception as error:  # noqa: BLE001 - supervised: the visitor must be answered
        return await error_page.show_failure(request, error)


def _entered(request: Request) -> tuple[Principal, PortalCookie]:
    """Return whose token the cookie has. `Unauthenticated` if it is not one of the path's."""
    cookie = read_cookie(request)
    if not cookie.token:
        raise Unauthenticated("No link to this portal is open in this browser.")
    principal = principal_of(request.app.state.gateway, cookie.token)
    if principal.key.app_id != request.path_params["app"]:
        raise Unauthenticated("The link that is open in this browser is to another application.")
    return principal, cookie


async def _visit(
    request: Request, page: SitePage, principal: Principal, cookie: PortalCookie
) -> Visit:
    gateway: Gateway = request.app.state.gateway
    app = await gateway.config_cache.application(principal.key.app_id or "")
    if app is None:
        raise NotFound("There is no such application.")
    request.scope[PRINCIPAL], request.scope[APPLICATION] = principal, app.id
    request.state.form_cookie = cookie_text(request)
    root = f"{ROOT}/{app.id}"
    return PortalVisit(
        request=request,
        gateway=gateway,
        person=Viewer(principal.key.id, "portal", "", Rights()),
        place=page.place,
        access=None,
        app=app,
        applications=[app],
        now=gateway.clock.now(),
        zone=_zone(cookie.zone),
        menu=[("", [MenuLine(*entry[:3], f"{root}{entry.path}") for entry in _MENU])],
        token=principal,
        root=root,
        look=look_of(gateway.settings, cookie.accent, cookie.mode),
    )


def _access(page: SitePage, method: str) -> Access:
    """Return what a page needs. The form of an act is for whoever may look at all."""
    is_reading = method in SAFE_METHODS
    if not page.operation:
        return PORTAL_PAGES[f"{'GET' if is_reading else method} {page.path}"]
    access = ACCESS[page.operation]
    return access._replace(portal=VIEW) if is_reading else access


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, OSError, KeyError):
        return UTC


def _actor(request: Request, principal: Principal) -> Actor:
    """Return who acts, for the audit log."""
    key = principal.key
    held = " ".join(key.capabilities or ())
    return visitor_of(request).acting_as(Actor(key.id, key.name, ActorKind.PORTAL, held))


def _note_framable(request: Request) -> None:
    """Note for cookies whether the answer may stand in a frame of another site."""
    gateway: Gateway = request.app.state.gateway
    request.state.is_framable = bool(gateway.settings.portal_frame_origins)


def _framed(shown: Response, policy: str) -> Response:
    """Let the origins of the settings show a page in a frame; a logo has a policy of its own."""
    if shown.headers.get("content-security-policy") == SECURITY_HEADERS["content-security-policy"]:
        shown.headers["content-security-policy"] = policy
    return shown


def _content_policy(settings: Settings) -> str:
    origins = " ".join(settings.portal_frame_origins) or "'none'"
    policy = SECURITY_HEADERS["content-security-policy"]
    return policy.replace("frame-ancestors 'none'", f"frame-ancestors {origins}")


def _show_ended(request: Request, text: str, status: int = 200) -> Response:
    return _show_bare(request, "portal_ended.html", status, read_cookie(request), text=text)


def _show_bare(
    request: Request, template: str, status: int, cookie: PortalCookie, **values: str
) -> Response:
    context = _bare_values(request) | {"asked": cookie, **values}
    context["look"] = look_of(request.app.state.gateway.settings, cookie.accent, cookie.mode)
    return answer(render(template, context), status)


def _bare_values(request: Request) -> dict[str, Any]:
    settings = request.app.state.gateway.settings
    return {"look": look_of(settings), "bare": "portal_bare.html"}
