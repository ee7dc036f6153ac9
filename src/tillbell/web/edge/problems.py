"""Errors as HTTP answers: the only place that knows their status codes.

Two shapes, those of the Svix API, so that its SDKs can raise them as their own errors:

- 422: `{"detail": [{"loc", "msg", "type"}]}` as `application/json`;
- everything else: `{"code", "detail"}` as `application/problem+json` (RFC 9457 allows
  further members to be left out and `code` to be added).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from tillbell.errors import (
    ConflictError,
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

if TYPE_CHECKING:
    from pydantic import ValidationError

Headers = list[tuple[bytes, bytes]]

STATUSES: Mapping[type[TillbellError], int] = {
    Malformed: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    ConflictError: 409,
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
    return status, render_code(error.code, str(error)), headers


def render_invalid(problems: tuple[Problem, ...]) -> bytes:
    """Write the body of a 422."""
    detail = [{"loc": p.loc, "msg": p.msg, "type": p.type} for p in problems[:PROBLEMS_MAX]]
    return msgspec.json.encode({"detail": detail})


def _status(error: TillbellError) -> int:
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def render_code(code: str, detail: str) -> bytes:
    """Write the body of any other refusal."""
    return msgspec.json.encode({"code": code, "detail": detail})


def invalid_from(error: ValidationError, *prefix: str) -> Invalid:
    """Turn pydantic's finding into ours."""
    return Invalid(*(as_problem(found, prefix) for found in error.errors(include_url=False)))


def as_problem(found: Any, prefix: tuple[str, ...] = ()) -> Problem:
    """Turn one line of pydantic's finding into ours."""
    loc = tuple(_printable(part) for part in (*prefix, *found["loc"]))
    return Problem(loc, _printable(found["msg"]).removeprefix("Value error, "), found["type"])


def _printable(text: Any) -> Any:
    """Names come from the caller and may hold half a surrogate pair, which has no UTF-8."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text
