"""Authentication and access: who asks, and whether the key may do that.

`web/edge/access.py` says which `Access` each route needs.

| scope of a key | may |
| --- | --- |
| `admin` | everything, keys included |
| `write` | read and change everything but keys; create messages |
| `read` | read and export everything but signing secrets, keys and people |
| `view` | read that, but export nothing |
| `publish` | create messages, nothing else |
| `<resource>:write`, `<resource>:read` | that on one resource, e.g. `endpoint:write` |
| `key:admin`, `person:admin` | make and revoke keys; invite, change and remove people |

A key may be bound to one application; what belongs to others does not exist for it (404). A
portal token is such a key with capabilities in place of scopes (the Svix names).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from tillbell.app import Gateway
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import Forbidden, KeyExpired, Unauthenticated
from tillbell.model.records import ApiKey, EventType
from tillbell.rules.rights import Action, allows
from tillbell.vault import hash_key
from tillbell.web.edge.asgi_types import Receive, Scope

PRINCIPAL = "tillbell.principal"  # its place in the ASGI scope

_BEARER = b"bearer "
_TOKEN_MAX = 256


class Tenant(StrEnum):
    """Whose data a route touches."""

    APPLICATION = "application"  # that of `{app_id}` in the path
    OPERATOR = "operator"  # the whole installation: not for keys bound to an application
    SHARED = "shared"  # the same for everybody, e.g. event types
    OWN = "own"  # the handler shows only what belongs to the key


class Capability(StrEnum):
    """What the holder of a portal token may do; names are those of Svix."""

    VIEW_BASE = "ViewBase"
    VIEW_SECRET = "ViewEndpointSecret"  # noqa: S105 - a name
    MANAGE_SECRET = "ManageEndpointSecret"  # noqa: S105 - a name
    MANAGE_TRANSFORMATIONS = "ManageTransformations"  # accepted; there is nothing to manage
    CREATE_ATTEMPTS = "CreateAttempts"
    MANAGE_ENDPOINT = "ManageEndpoint"


_INCLUDES = {
    Capability.MANAGE_ENDPOINT: {Capability.MANAGE_SECRET, Capability.VIEW_SECRET},
    Capability.MANAGE_SECRET: {Capability.VIEW_SECRET},
}


class Access(NamedTuple):
    """What a key needs to use a route."""

    resource: str
    action: Action
    tenant: Tenant
    portal: Capability | None = None  # what a portal token needs; None: never


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: an API key that exists and has not expired."""

    key: ApiKey

    @property
    def is_portal(self) -> bool:
        """Tell whether this is a portal token."""
        return self.key.capabilities is not None

    def may_see(self, app_id: str) -> bool:
        """Tell whether this application exists for the key. The reserved one does for none."""
        is_reserved = app_id == OPERATIONAL
        return not is_reserved and (self.key.app_id is None or self.key.app_id == app_id)

    def may_see_type(self, event_type: EventType | None) -> bool:
        """Tell whether a registered event type is not hidden from this portal token."""
        flags = event_type.feature_flags if event_type is not None else None
        if not flags or not self.is_portal:
            return True
        return not set(flags).isdisjoint(self.key.feature_flags)

    def require(self, access: Access) -> None:
        """Raise `Forbidden`, which names the missing right, unless the key may do this."""
        if access.tenant is Tenant.OPERATOR and self.key.app_id is not None:
            raise Forbidden("This key is bound to one application.")
        if self.is_portal:
            if access.portal is None:
                raise Forbidden("Portal tokens may not do this; use an API key.")
            if access.portal not in self._capabilities():
                raise Forbidden(f"This portal token lacks the capability {access.portal}.")
        elif not allows(self.key.scopes, access.resource, access.action):
            raise Forbidden(
                f"This key lacks the scope {access.action} (or {access.resource}:{access.action})."
            )

    def _capabilities(self) -> set[Capability]:
        held = {Capability(name) for name in self.key.capabilities or ()}
        return held.union(*(_INCLUDES.get(capability, set()) for capability in held))


class ApiRequest(NamedTuple):
    """A request to the API whose key is valid and whose body is read."""

    scope: Scope
    receive: Receive  # for what follows the body
    principal: Principal
    body: bytes


@lru_cache(maxsize=1024)
def _hash_of(authorization: bytes) -> str:
    """Return the hash of the key in a header; most requests have one that came before."""
    return hash_key(authorization[7:].decode("latin-1"))


def authenticate(gateway: Gateway, authorization: bytes | None) -> Principal:
    """Return who asks. `Unauthenticated` if the key is missing, unknown, revoked or expired.

    Keys are looked up by the hash of their text, so that timing reveals nothing.
    """
    if authorization is None or authorization[:7].lower() != _BEARER:
        raise Unauthenticated
    if len(authorization) > _TOKEN_MAX:
        raise Unauthenticated("Authentication failed: unknown API key.")
    key = gateway.config_cache.cached_api_key(_hash_of(authorization))
    if key is None:
        raise Unauthenticated("Authentication failed: unknown API key.")
    if key.expires_at is not None and key.expires_at <= gateway.clock.now():
        raise KeyExpired
    return Principal(key)


def is_valid(gateway: Gateway, key: ApiKey) -> bool:
    """Tell whether a key that was authenticated is still neither revoked nor expired."""
    is_expired = key.expires_at is not None and key.expires_at <= gateway.clock.now()
    return not is_expired and gateway.config_cache.cached_api_key(key.hash) is not None
