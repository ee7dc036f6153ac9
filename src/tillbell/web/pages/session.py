"""Who looks at a page."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

from tillbell.app import Gateway
from tillbell.errors import Forbidden, Unauthenticated
from tillbell.web.edge.auth import Access, Action, Tenant, authenticate

_READS_ALL = Access("dashboard", Action.READ, Tenant.OPERATOR)


class Viewer(NamedTuple):
    """Somebody who may look at pages."""

    id: str
    name: str
    role: str

    @property
    def initials(self) -> str:
        """Return at most two letters for the round sign in the corner."""
        return "".join(word[0] for word in self.name.split()[:2]).upper() or "?"


async def signed_in(request: Request) -> Viewer | None:
    """Return who asks; None: nobody who may look. An API key that may read everything is enough."""
    gateway: Gateway = request.app.state.gateway
    sent = request.headers.get("authorization")
    try:
        principal = authenticate(gateway, sent.encode("latin-1") if sent is not None else None)
        principal.require(_READS_ALL)
    except (Unauthenticated, Forbidden):
        return None
    return Viewer(principal.key.id, principal.key.name, "API key")
