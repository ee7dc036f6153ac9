"""The cookie of the pages, which holds a random token and nothing else; and that of a sign-on.

Before somebody has signed in, it is only what forms are bound to; at each sign-in it becomes the
token of a new session. With https its name begins with `__Host-`, so that no other host, path or
plain connection can set it.

While somebody is at the identity provider, a second cookie holds, sealed, what the sign-in is bound
to. It is `Lax`, because the way back begins at the provider.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from tillbell.app import Gateway
from tillbell.clock import SECOND
from tillbell.configure.people import SESSION_LIFE
from tillbell.configure.sign_on import SIGN_ON_LIFE
from tillbell.rules.proxies import is_in, networks
from tillbell.vault import new_token

NAME = "tillbell"
SECURE_NAME = "__Host-tillbell"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def token_of(request: Request) -> str:
    """Return what the cookie holds; "": there is none."""
    return request.cookies.get(_name(request), "")


def form_cookie(request: Request) -> str:
    """Return what forms of this answer are bound to: the cookie, or a new one for it."""
    if not hasattr(request.state, "form_cookie"):
        request.state.form_cookie = token_of(request) or new_token()
    cookie: str = request.state.form_cookie
    return cookie


def keep_form_cookie(request: Request, response: Response) -> None:
    """Set the cookie that forms are bound to, if the browser has none; it ends with the browser."""
    if not token_of(request):
        _set(request, response, form_cookie(request), life_s=None)


def begin_session(request: Request, response: Response, token: str) -> None:
    """Give the browser the token of a new session in place of whatever it had."""
    _set(request, response, token, life_s=SESSION_LIFE // SECOND)


def sign_on_of(request: Request) -> str:
    """Return what the cookie of a sign-on holds; "": there is none."""
    return request.cookies.get(_sign_on_name(request), "")


def keep_sign_on(request: Request, response: Response, sealed: str) -> None:
    """Let the browser keep what its way to the identity provider is bound to."""
    _set(request, response, sealed, life_s=SIGN_ON_LIFE // SECOND, name=_sign_on_name(request))


def forget_sign_on(request: Request, response: Response) -> None:
    """Let the browser forget its way to the identity provider."""
    _set(request, response, "", life_s=0, name=_sign_on_name(request))


def end_session(request: Request, response: Response) -> None:
    """Let the browser forget its token."""
    _set(request, response, "", life_s=0)


def is_https(request: Request) -> bool:
    """Tell whether the browser speaks https, with us or with our proxy.

    `X-Forwarded-Proto` counts if a trusted proxy sends it. Without it, https is what the setting
    `public_url` says, if that is the host that was asked.
    """
    settings = _gateway(request).settings
    peer = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-proto")
    if forwarded is not None and is_in(peer, networks(settings.trusted_proxies)):
        return forwarded.rpartition(",")[2].strip().lower() == "https"
    public = urlsplit(settings.public_url)
    if (
        public.scheme == "https"
        and public.netloc.lower() == request.headers.get("host", "").lower()
    ):
        return True
    return request.url.scheme == "https"


def placing(request: Request) -> list[str]:
    """Return the attributes that say where a browser keeps a cookie, and to whom it sends it.

    In a frame of another site it keeps and sends one only if it is partitioned, which needs https
    or this machine. `request.state.is_framable` says whether the answer may stand in a frame.
    """
    is_secure = is_https(request)
    is_framable = getattr(request.state, "is_framable", False)
    if is_framable and (is_secure or _is_on_this_machine(request)):
        return ["Secure", "SameSite=None", "Partitioned"]
    return ["Secure", "SameSite=Lax"] if is_secure else ["SameSite=Lax"]


def _is_on_this_machine(request: Request) -> bool:
    """Tell whether browsers trust the host without https, as they do with their own machine."""
    return urlsplit(f"//{request.headers.get('host', '')}").hostname in _LOOPBACK


def _name(request: Request) -> str:
    return SECURE_NAME if is_https(request) else NAME


def _sign_on_name(request: Request) -> str:
    return f"{_name(request)}-sign-on"


def _set(
    request: Request, response: Response, value: str, *, life_s: int | None, name: str = ""
) -> None:
    response.set_cookie(
        name or _name(request),
        value,
        max_age=life_s,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_https(request),
    )


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway
