"""Errors as HTTP answers: the only place that knows their status codes.

One shape: `{"code", "detail", "requestId"}`. Where the Svix API has another, its SDKs need it:

- 422: `detail` is a list, `[{"loc", "msg", "type"}]`, and the type is `application/json`;
- everything else: `detail` is a text, and the type is `application/problem+json` (RFC 9457 allows
  further members to be left out and `code` to be added).

The request id is added when the answer is sent (`exchange.py`), so that an answer which is stored
for an idempotency key names the request that gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from tillbell.error_codes import ErrorCode
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
from tillbell.web.edge.asgi_types import Headers, HttpAnswer
from tillbell.web.edge.patterns import RULES

if TYPE_CHECKING:
    from pydantic import ValidationError

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
PROBLEMS_MAX = 50
RETRY_S = 1
_JSON = b"application/json"
_PROBLEM = b"application/problem+json"


def render_problem(error: TillbellError) -> HttpAnswer:
    """Write an error as an answer."""
    if isinstance(error, Invalid):
        return render_invalid(error.problems)
    status = _status(error)
    headers: Headers = []
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if isinstance(error, TooMany):
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if isinstance(error, Unavailable):
        headers.append((b"retry-after", b"%d" % RETRY_S))
    return render_code(status, error.code, str(error), headers)


def render_invalid(problems: tuple[Problem, ...]) -> HttpAnswer:
    """Write a 422."""
    detail = [
        {"loc": [str(part) for part in p.loc], "msg": p.msg, "type": p.type} | _place(p)
        for p in problems[:PROBLEMS_MAX]
    ]
    body = msgspec.json.encode({"code": Invalid.code, "detail": detail})
    return HttpAnswer(HTTPStatus.UNPROCESSABLE_ENTITY, [(b"content-type", _JSON)], body)


def _place(problem: Problem) -> dict[str, Any]:
    return asdict(problem.place) if problem.place is not None else {}


def render_code(status: int, code: ErrorCode, detail: str, headers: Headers) -> HttpAnswer:
    """Write any other refusal."""
    body = msgspec.json.encode({"code": code, "detail": detail})
    return HttpAnswer(status, [(b"content-type", _PROBLEM), *headers], body)


def _status(error: TillbellError) -> int:
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


# The body of the request may not have been read, so the connection is not used again.
INTERNAL = render_code(
    500,
    "internal",
    "The server failed.",
    [(b"connection", b"close"), (b"cache-control", b"no-store")],
)


def name_request(answer: HttpAnswer, request_id: str) -> HttpAnswer:
    """Return an error with the id of its request in the body; any other answer as it is."""
    media = next((value for name, value in answer.headers if name == b"content-type"), b"")
    is_invalid = answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and media == _JSON
    if media != _PROBLEM and not is_invalid:
        return answer
    document = msgspec.json.decode(answer.body)
    return answer._replace(body=msgspec.json.encode(document | {"requestId": request_id}))


def invalid_from(error: ValidationError, *prefix: str) -> Invalid:
    """Turn pydantic's error into `Invalid`; `prefix` goes before each place."""
    return Invalid(*(as_problem(line, prefix) for line in error.errors(include_url=False)))


def as_problem(line: Any, prefix: tuple[str, ...] = ()) -> Problem:
    """Turn one line of pydantic's error into a `Problem`."""
    place = tuple(_printable(part) for part in (*prefix, *line["loc"]))
    rule = RULES.get(line.get("ctx", {}).get("pattern", "")) or _rule_of(line["type"], place)
    text = rule or _printable(line["msg"]).removeprefix("Value error, ")
    return Problem(place, text, line["type"])


def _rule_of(kind: str, place: tuple[Any, ...]) -> str | None:
    """Return the rule where pydantic's words do not help; None where they do."""
    if kind.startswith(("datetime_", "timezone_")):
        return "must be a time such as 2026-11-30T10:00:00Z"
    if place == ("body",) and kind in ("missing", "model_attributes_type"):
        return "must be a JSON object; {} if there is nothing to say"
    return None


def _printable(text: Any) -> Any:
    """Names come from the caller and may hold an unpaired surrogate, which has no UTF-8."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text
