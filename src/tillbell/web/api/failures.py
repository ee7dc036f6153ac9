"""Answers failures of the framework in the shapes of our API."""

from __future__ import annotations

import re
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from tillbell.errors import MethodNotAllowed, NotFound, TillbellError
from tillbell.web.api import described
from tillbell.web.edge.asgi_types import HttpAnswer
from tillbell.web.edge.paths import BASE
from tillbell.web.edge.problems import as_problem, render_code, render_invalid, render_problem

# What SDKs ask for that only Svix's hosted product has.
_HOSTED = re.compile(
    rf"{BASE}/(?:stats/|environment/|ingest/|stream(?:/|$)|connector|destination|transformation"
    r"|event-type/import/|auth/(?:whoami|stream)"
    r"|app/[^/]+/(?:integration|destination|autoconfig|events)"
    r"|app/[^/]+/endpoint/[^/]+/(?:transformation|mtls|oauth))"
)
_OFFERS_NOT = "Tillbell does not offer this part of the Svix API: docs/svix.md lists what it has."
_NO_PAGE = "There is no such page."


def install(api: FastAPI) -> None:
    """Make the framework answer in our shapes. A bug is answered by `HttpExchange`."""
    api.add_exception_handler(TillbellError, _on_tillbell_error)
    api.add_exception_handler(RequestValidationError, _on_invalid_request)
    api.add_exception_handler(HTTPException, _on_framework_error)


def _response(answer: HttpAnswer) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers)


async def _on_tillbell_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, TillbellError)
    return _response(render_problem(error))


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _response(render_invalid(tuple(as_problem(line) for line in error.errors())))


async def _on_framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    is_hosted = _HOSTED.match(request.url.path) is not None
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and not is_hosted:
        return _response(render_problem(MethodNotAllowed(_allowed(request))))
    if is_hosted or error.status_code == HTTPStatus.NOT_FOUND:
        return _response(render_problem(NotFound(_OFFERS_NOT if is_hosted else _NO_PAGE)))
    return _response(render_code(error.status_code, "malformed", str(error.detail), []))


def _allowed(request: Request) -> tuple[str, ...]:
    """Return the methods of all routes of the path. The framework names those of one route."""
    methods: set[str] = set()
    for route in (*request.app.routes, *described.router.routes):
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    if "GET" in methods:
        methods.add("HEAD")
    return tuple(sorted(methods))
