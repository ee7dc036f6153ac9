"""Errors as pages, in the look of all others: what is wrong, and what to do."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tillbell.app import Gateway
from tillbell.errors import TillbellError
from tillbell.logs import log_event
from tillbell.web.edge.paths import REQUEST_ID, ROUTE
from tillbell.web.edge.problems import render_problem
from tillbell.web.pages.forms import ForeignForm
from tillbell.web.pages.page import Visit, answer, first_application, visit_of
from tillbell.web.pages.session import signed_in
from tillbell.web.pages.templating import render

_TITLES = {
    403: "You may not see this",
    404: "There is nothing here",
    413: "That is too much at once",
    422: "This link cannot be read",
    503: "The database does not answer",
}
_ADVICE = {
    403: "An owner or admin may give you the role, in Settings → People.",
    404: "It may have been deleted, or the link is incomplete.",
    413: "Nothing has happened. Go back and write less.",
    422: "Change what is marked, or begin again without a filter.",
    503: "Nothing is lost: what was accepted is stored. Try again in a few seconds.",
}


async def show(request: Request, error: TillbellError) -> Response:
    """Answer with the page of an error: inside the frame for somebody who is signed in."""
    visit = await _frame(request)
    return show_bare(request, error) if visit is None else await show_in(visit, error)


async def show_in(visit: Visit, error: TillbellError) -> Response:
    """Answer with the page of an error inside the frame of a visit."""
    values = _values(visit.request, error) | {"home": visit.link("/")}
    if visit.is_portal:
        values["home"] = visit.link("/endpoints")
    return await visit.show("error.html", values["status"], **values).finished()


def show_bare(
    request: Request, error: TillbellError, frame: dict[str, Any] | None = None
) -> Response:
    """Answer with the page of an error outside of any frame. `frame`: what that of a page needs."""
    values = _values(request, error) | (frame or {"bare": "bare.html"})
    return answer(render("error_bare.html", values), values["status"])


def _values(request: Request, error: TillbellError) -> dict[str, Any]:
    status = render_problem(error).status
    title = _TITLES.get(status, "This did not work")
    advice = _ADVICE.get(status, "Go back and try again.")
    if isinstance(error, ForeignForm):
        title, advice = "Nothing was changed", error.advice
    return {
        "status": status,
        "title": title,
        "text": str(error),
        "advice": advice,
        "request_id": request.scope.get(REQUEST_ID, ""),
        "home": "/",
    }


async def show_failure(request: Request, error: Exception) -> Response:
    """Answer with the page of a bug, which is logged and counted like one of the API."""
    gateway: Gateway = request.app.state.gateway
    request_id = request.scope.get(REQUEST_ID, "")
    route = request.scope.get(ROUTE)
    log_event("request.error", error, request_id=request_id, method=request.method, route=route)
    gateway.meters.request_failed()
    values = {
        "status": 500,
        "title": "This page failed",
        "text": "That is a mistake of ours, and it is in the log.",
        "advice": "Deliveries go on. Tell your operator the number below.",
        "request_id": request_id,
        "home": "/",
        "bare": "bare.html",
    }
    return answer(render("error_bare.html", values), 500)


async def _frame(request: Request) -> Visit | None:
    """Return what the frame needs; None for somebody unknown, or if that fails as well."""
    try:
        person = await signed_in(request)
        if person is None:
            return None
        gateway: Gateway = request.app.state.gateway
        return await visit_of(request, person, await first_application(gateway, person.rights))
    except TillbellError:
        return None
