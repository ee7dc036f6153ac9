"""What an act says on the next page: one sentence in a cookie that this page deletes."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from tillbell.web.pages.cookies import is_https

NAME = "tillbell_note"
_TEXT_MAX = 300  # characters
_LIFE_S = 60


def note_after(request: Request, response: Response, text: str) -> None:
    """Let the next page say a sentence."""
    response.set_cookie(
        NAME,
        quote(text[:_TEXT_MAX]),
        max_age=_LIFE_S,
        httponly=True,
        samesite="lax",
        secure=is_https(request),
    )


def note_of(request: Request) -> str:
    """Return the sentence that this page says; "" for none."""
    return unquote(request.cookies.get(NAME, ""))[:_TEXT_MAX]


def forget_note(request: Request, response: Response) -> None:
    """Let the browser forget the sentence that a page has said."""
    if NAME in request.cookies:
        response.delete_cookie(NAME)
