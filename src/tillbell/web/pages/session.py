"""Who looks at a page."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

from tillbell.app import Gateway
from tillbell.configure.people import SignedIn, Visitor, actor_of, rights_of
from tillbell.model.audit import NOBODY, Actor
from tillbell.model.records import ApiKey
from tillbell.rules.accounts import owes_second_factor
from tillbell.rules.proxies import networks
from tillbell.rules.rights import Rights
from tillbell.web.edge.auth import Principal, Tenant
from tillbell.web.edge.limits import address_of
from tillbell.web.edge.paths import REQUEST_ID
from tillbell.web.pages.cookies import token_of


class Viewer(NamedTuple):
    """Somebody who may look at pages."""

    id: str
    name: str
    email: str
    rights: Rights

    @property
    def initials(self) -> str:
        """Return at most two letters for the round sign in the corner."""
        return "".join(word[0] for word in self.name.split()[:2]).upper() or "?"

    def roles(self, app_id: str | None) -> str:
        """Return the roles in the chosen application, for people."""
        return ", ".join(self.rights.roles(app_id)) or "no role"

    def principal(self, app_id: str | None, tenant: Tenant) -> Principal:
        """Return the person as who calls the API about the chosen application; None: all.

        A role in that application counts there alone, so it is like a key that is bound to it.
        """
        is_general = tenant is Tenant.OPERATOR or app_id not in self.rights.app_roles
        place = None if is_general and not self.rights.is_limited else app_id
        scopes = tuple(sorted(self.rights.scopes(place)))
        return Principal(
            ApiKey(id=self.id, name=self.email, hash="", last4="", scopes=scopes, app_id=place)
        )


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


def second_factor_rule(gateway: Gateway) -> str:
    """Return who needs a second factor beside a password; nobody where there are none."""
    return gateway.settings.second_factor if gateway.people.allows_passwords else "optional"


async def owes_factor(request: Request) -> bool:
    """Tell whether who looks must set up a second factor first."""
    gateway: Gateway = request.app.state.gateway
    stored = await session_of(request)
    rule = second_factor_rule(gateway)
    return stored is not None and owes_second_factor(stored.person, rule)


async def signed_in(request: Request) -> Viewer | None:
    """Return who looks; None: nobody who may. An API key opens no page."""
    stored = await session_of(request)
    if stored is None:
        return None
    person = stored.person
    return Viewer(person.id, person.name, person.email, rights_of(person))
