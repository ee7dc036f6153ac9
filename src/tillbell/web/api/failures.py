"""Answers failures of the framework in the shapes of our API."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tillbell.errors import TillbellError
from tillbell.web.edge.asgi_types import HttpAnswer
from tillbell.web.edge.problems import as_problem, render_code, render_invalid, render_problem

_CODES = {404: "not_found", 405: "method_not_allowed"}


def install(api: FastAPI) -> None:
    """Make the framework answer in our shapes. A bug is answered by `ApiGate`."""
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


async def _on_framework_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "error")
    detail = "There is no such page." if code == "not_found" else str(error.detail)
    allow = (error.headers or {}).get("Allow")
    headers = [(b"allow", allow.encode())] if allow else []
    return _response(render_code(error.status_code, code, detail, headers))
