"""The session of the portal: a cookie that holds a portal token and how its link wants to look.

A link has its token in the fragment, which browsers send to nobody. The page `/portal` posts it
once, and from then on the cookie has it, for the paths of its application alone. So several
portals can be open in one browser. The token is looked up at each request: once it is revoked or
has expired, its cookie opens nothing.

In a frame of another site, browsers keep and send a cookie only if it is partitioned, which needs
https or this machine. Such a cookie belongs to the site around the frame, and to no other.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from tillbell.app import Gateway
from tillbell.errors import Unauthenticated
from tillbell.web.edge.auth import Principal, authenticate
from tillbell.web.pages.cookies import placing
from tillbell.web.pages.portal_look import accent_of

ROOT = "/portal"
NAME = "tillbell-portal"
SECURE_NAME = f"__Secure-{NAME}"
_TOKEN = re.compile("[A-Za-z0-9_-]{1,128}")
_ZONE = re.compile("[A-Za-z0-9_+/-]{1,64}")
_MODES = ("light", "dark", "auto")


class PortalCookie(NamedTuple):
    """What the cookie holds."""

    token: str
    accent: str = ""
    mode: str = ""
    zone: str = ""

    def text(self) -> str:
        """Return the value of the cookie."""
        return "~".join(self)


def cookie_of(token: str, accent: str, mode: str, zone: str) -> PortalCookie:
    """Return what a cookie may hold of a token and the wishes of a link."""
    return PortalCookie(
        token if _TOKEN.fullmatch(token) else "",
        accent_of(accent),
        mode if mode in _MODES else "",
        zone if _ZONE.fullmatch(zone) else "",
    )


def cookie_text(request: Request) -> str:
    """Return the value of the cookie; "": there is none."""
    return request.cookies.get(SECURE_NAME) or request.cookies.get(NAME, "")


def read_cookie(request: Request) -> PortalCookie:
    """Return what the cookie of a request holds; an empty token if there is none."""
    parts = cookie_text(request).split("~")
    return cookie_of(*parts) if len(parts) == len(PortalCookie._fields) else PortalCookie("")


def principal_of(gateway: Gateway, token: str) -> Principal:
    """Return whose portal token this is. `Unauthenticated` if it is none, or none any more."""
    principal = authenticate(gateway, f"bearer {token}".encode("latin-1", "replace"))
    if not principal.is_portal:
        raise Unauthenticated("This is an API key; the portal is opened by a portal token.")
    return principal


def begin_session(request: Request, response: Response, app_id: str, cookie: PortalCookie) -> None:
    """Let the browser send the token with each request for the portal of an application."""
    response.headers.append("set-cookie", _header(request, app_id, cookie.text()))


def end_session(request: Request, response: Response, app_id: str) -> None:
    """Let the browser forget the token."""
    response.headers.append("set-cookie", f"{_header(request, app_id, '')}; Max-Age=0")


def _header(request: Request, app_id: str, value: str) -> str:
    placed = placing(request)
    name = SECURE_NAME if "Secure" in placed else NAME
    return "; ".join([f"{name}={value}", f"Path={ROOT}/{app_id}", "HttpOnly", *placed])
