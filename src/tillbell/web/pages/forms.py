"""Forms of the pages: read strictly, and only if one of our own pages has sent them.

Three things must fit: where the browser says that the request comes from (`Sec-Fetch-Site`,
`Origin`), the cookie, and the token that the form holds, which only somebody who reads the cookie
can make. A template writes it with the macro `csrf` (macros/forms.html); scripts may send it as the
header `X-CSRF-Token`.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from tillbell.app import Gateway
from tillbell.errors import Forbidden, Malformed, UnsupportedEncoding
from tillbell.vault import form_token, form_token_fits
from tillbell.web.pages.cookies import form_cookie, token_of

SAFE_METHODS = frozenset({"GET", "HEAD"})
FIELD, HEADER = "csrf", "x-csrf-token"
_FIELDS_MAX = 500
_FORM = "application/x-www-form-urlencoded"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class ForeignForm(Forbidden):
    """A form was not sent by a page of ours, or that page is too old. `advice`: what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of several with one name the last. `Malformed` if it is none."""
    return dict(await read_fields(request))


async def read_fields(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form in their order. `Malformed` if it is none."""
    if not is_form(request):
        raise UnsupportedEncoding("A form is sent as application/x-www-form-urlencoded.")
    try:
        text = (await request.body()).decode("ascii")
        fields = parse_qsl(
            text, keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict"
        )
    except ValueError as error:  # UnicodeError is one
        raise Malformed("The form cannot be read.") from error
    if any("\0" in part for field in fields for part in field):
        raise Malformed("A form has no NUL.")
    return fields


def csrf_of(request: Request) -> str:
    """Return the token for the forms of a page, under a mask that is another one each time."""
    return form_token(form_cookie(request))


def check_origin(request: Request) -> None:
    """Raise `ForeignForm` unless the browser says that a page of ours sends this."""
    if not _is_from_here(request):
        raise ForeignForm(
            "The browser says that another site has sent this, or another address of this one.",
            "If it was you, open the page by the address in TILLBELL_PUBLIC_URL and repeat it.",
        )


async def check_sender(request: Request, cookie: str | None = None) -> None:
    """Raise `ForeignForm` unless a page of ours sends this, with the token of its cookie.

    The cookie is that of who is signed in, if none is given.
    """
    check_origin(request)
    sent = request.headers.get(HEADER)
    if sent is None:
        sent = (await read_form(request)).get(FIELD, "") if is_form(request) else ""
    cookie = token_of(request) if cookie is None else cookie
    if not cookie or not form_token_fits(sent, cookie):
        raise ForeignForm(
            "You have signed in or out since this page was opened, or no cookie was kept.",
            "Open the page again and repeat it.",
        )


def is_form(request: Request) -> bool:
    """Tell whether the body is that of a form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM


def _is_from_here(request: Request) -> bool:
    """Tell whether the browser says that the request comes from a page of ours.

    Browsers that are not quite old send at least one of the two.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    return site is not None if origin is None else origin_fits(request, origin)


def origin_fits(request: Request, origin: str) -> bool:
    """Tell whether an origin is that of this request, or the one that others know us by."""
    gateway: Gateway = request.app.state.gateway
    sender = urlsplit(origin)
    if sender.scheme not in _DEFAULT_PORTS:
        return False
    public = urlsplit(gateway.settings.public_url)
    hosts = {request.headers.get("host", "").lower(), public.netloc.lower()} - {""}
    default = _DEFAULT_PORTS[sender.scheme]
    return sender.netloc.lower().removesuffix(default) in {h.removesuffix(default) for h in hosts}
