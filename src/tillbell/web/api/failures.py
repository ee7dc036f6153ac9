"""The framework's failures as answers of ours, whatever fails."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tillbell.errors import TillbellError
from tillbell.web.edge.problems import (
    JSON,
    PROBLEM,
    Headers,
    as_problem,
    render_code,
    render_invalid,
    render_problem,
)

_CODES = {404: "not_found", 405: "method_not_allowed", 500: "internal"}


def install(api: FastAPI) -> None:
    """Make the framework answer with our shapes, whatever fails."""
    api.add_exception_handler(TillbellError, _on_ours)
    api.add_exception_handler(RequestValidationError, _on_validation)
    api.add_exception_handler(HTTPException, _on_framework)
    api.add_exception_handler(Exception, _on_bug)


def _answer(status: int, body: bytes, headers: Headers) -> Response:
    named = {name.decode(): value.decode() for name, value in headers}
    return Response(body, status, named)


async def _on_ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, TillbellError)
    return _answer(*render_problem(error))


async def _on_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = tuple(as_problem(found) for found in error.errors())
    return _answer(422, render_invalid(problems), [(b"content-type", JSON)])


async def _on_framework(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "error")
    allow = (error.headers or {}).get("Allow")
    headers: Headers = [(b"content-type", PROBLEM)]
    if allow:
        headers.append((b"allow", allow.encode()))
    detail = "There is no such page." if code == "not_found" else str(error.detail)
    return _answer(error.status_code, render_code(code, detail), headers)


async def _on_bug(_: Request, __: Exception) -> Response:
    # The framework raises it again after this answer, so the server logs it with its trace.
    return _answer(500, render_code("internal", "The server failed."), [(b"content-type", PROBLEM)])
