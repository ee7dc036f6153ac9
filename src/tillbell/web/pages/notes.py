"""What an act says on the next page: one sentence in a cookie that this page deletes."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from tillbell.web.pages.cookies import placing

NAME = "tillbell_note"
_TEXT_MAX = 300  # characters
_LIFE_S = 60


def note_after(request: Request, response: Response, text: str) -> None:
    """Let the next page say a sentence."""
    response.headers.append("set-cookie", _header(request, quote(text[:_TEXT_MAX]), _LIFE_S))


def note_of(request: Request) -> str:
    """Return the sentence that this page says; "" for none."""
    return unquote(request.cookies.get(NAME, ""))[:_TEXT_MAX]


def forget_note(request: Request, response: Response) -> None:
    """Let the browser forget the sentence that a page has said."""
    if NAME in request.cookies:
        response.headers.append("set-cookie", _header(request, "", 0))


def _header(request: Request, value: str, life_s: int) -> str:
    attributes = ["Path=/", f"Max-Age={life_s}", "HttpOnly", *placing(request)]
    return "; ".join([f"{NAME}={value}", *attributes])
