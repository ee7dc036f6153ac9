"""Who looks at a page."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

from tillbell.app import Gateway
from tillbell.configure.people import SignedIn, Visitor, actor_of
from tillbell.model.audit import NOBODY, Actor
from tillbell.model.records import ApiKey, KeyScope
from tillbell.rules.proxies import networks
from tillbell.web.edge.auth import Principal
from tillbell.web.edge.limits import address_of
from tillbell.web.edge.paths import REQUEST_ID
from tillbell.web.pages.cookies import token_of


class Viewer(NamedTuple):
    """Somebody who may look at pages."""

    id: str
    name: str
    role: str

    @property
    def initials(self) -> str:
        """Return at most two letters for the round sign in the corner."""
        return "".join(word[0] for word in self.name.split()[:2]).upper() or "?"


READS_ALL = Principal(ApiKey(id="", name="", hash="", last4="", scopes=(KeyScope.READ,)))
"""Whoever is signed in reads everything: for functions of the API that want to know who asks."""


def principal_of(viewer: Viewer) -> Principal:
    """Return as whom a person calls the API: by the person's id, as an API key would."""
    scopes = (KeyScope.ADMIN,)
    return Principal(ApiKey(id=viewer.id, name=viewer.name, hash="", last4="", scopes=scopes))


async def session_of(request: Request) -> SignedIn | None:
    """Return the person and the session of the cookie; None: nobody is signed in.

    It is looked up in the store once for each request.
    """
    if not hasattr(request.state, "signed_in"):
        gateway: Gateway = request.app.state.gateway
        token = token_of(request)
        request.state.signed_in = await gateway.people.signed_in(token) if token else None
    signed_in: SignedIn | None = request.state.signed_in
    return signed_in


def visitor_of(request: Request) -> Visitor:
    """Return where a request comes from."""
    gateway: Gateway = request.app.state.gateway
    return Visitor(
        address_of(request.scope, networks(gateway.settings.trusted_proxies)),
        request.headers.get("user-agent", ""),
        request.scope.get(REQUEST_ID),
    )


async def actor_of_session(request: Request) -> Actor:
    """Return who acts by a request, for the audit log."""
    signed_in, visitor = await session_of(request), visitor_of(request)
    if signed_in is None:
        return visitor.acting_as(NOBODY)
    return actor_of(signed_in.person, visitor)


async def signed_in(request: Request) -> Viewer | None:
    """Return who looks; None: nobody who may. An API key opens no page."""
    stored = await session_of(request)
    if stored is None:
        return None
    person = stored.person
    return Viewer(person.id, person.name, person.role.value)
