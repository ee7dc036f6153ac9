"""Errors as HTTP answers: the only place that knows their status codes.

Two shapes, those of the Svix API, so that its SDKs can raise them as their own errors:

- 422: `{"detail": [{"loc", "msg", "type"}]}` as `application/json`;
- everything else: `{"code", "detail"}` as `application/problem+json` (RFC 9457 allows
  further members to be left out and `code` to be added).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from tillbell.errors import (
    Conflict,
    Forbidden,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotFound,
    Problem,
    TillbellError,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    UnsupportedEncoding,
)

Headers = list[tuple[bytes, bytes]]

STATUSES: Mapping[type[TillbellError], int] = {
    Malformed: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    TooLarge: 413,
    UnsupportedEncoding: 415,
    Invalid: 422,
    TooMany: 429,
    Unavailable: 503,
}
JSON = b"application/json"
PROBLEM = b"application/problem+json"
PROBLEMS_MAX = 50
RETRY_S = 1

_CODES = {404: "not_found", 405: "method_not_allowed", 500: "internal"}


def render_problem(error: TillbellError) -> tuple[int, bytes, Headers]:
    """Write an error as status, body and headers."""
    status = _status(error)
    if isinstance(error, Invalid):
        return status, render_invalid(error.problems), [(b"content-type", JSON)]
    headers = [(b"content-type", PROBLEM)]
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if isinstance(error, TooMany):
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if isinstance(error, Unavailable):
        headers.append((b"retry-after", b"%d" % RETRY_S))
    return status, _body(error.code, str(error)), headers


def render_invalid(problems: tuple[Problem, ...]) -> bytes:
    """Write the body of a 422."""
    detail = [{"loc": p.loc, "msg": p.msg, "type": p.type} for p in problems[:PROBLEMS_MAX]]
    return msgspec.json.encode({"detail": detail})


def _status(error: TillbellError) -> int:
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def _body(code: str, detail: str) -> bytes:
    return msgspec.json.encode({"code": code, "detail": detail})


def invalid_from(error: ValidationError, *prefix: str) -> Invalid:
    """Turn pydantic's finding into ours."""
    return Invalid(*(_problem(found, prefix) for found in error.errors(include_url=False)))


def _problem(found: Any, prefix: tuple[str, ...] = ()) -> Problem:
    loc = tuple(_printable(part) for part in (*prefix, *found["loc"]))
    return Problem(loc, _printable(found["msg"]).removeprefix("Value error, "), found["type"])


def _printable(text: Any) -> Any:
    """Names come from the caller and may hold half a surrogate pair, which has no UTF-8."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


# ── for the framework ────────────────────────────────────────────────────────────────────────────


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
    problems = tuple(_problem(found) for found in error.errors())
    return _answer(422, render_invalid(problems), [(b"content-type", JSON)])


async def _on_framework(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "error")
    allow = (error.headers or {}).get("Allow")
    extra: Headers = [(b"allow", allow.encode())] if allow else []
    detail = "There is no such page." if code == "not_found" else str(error.detail)
    return _answer(error.status_code, _body(code, detail), [(b"content-type", PROBLEM), *extra])


async def _on_bug(_: Request, __: Exception) -> Response:
    # The framework raises it again after this answer, so the server logs it with its trace.
    return _answer(500, _body("internal", "The server failed."), [(b"content-type", PROBLEM)])
