"""Rights: which scopes a role has, what a scope allows, and what a person may do where.

`SCOPES_OF` is the one table of roles. The menu, the pages, the API, what an invitation or a key may
grant, and the sentence beside a disabled act are all made from it.

A scope is what an API key holds: `admin`, `write`, `read`, `view`, `publish`, or one resource with
an action, such as `endpoint:write`. `web/edge/access.py` says which resource and action each route
needs.

`source:write` and `callback:write` decide whose word about money is believed. A developer has them,
because connecting a provider is a developer's work: give that role for test applications, or to
people whom you trust with that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tillbell.model.people import Role
from tillbell.model.records import KeyScope


class Action(StrEnum):
    """What a route does."""

    READ = "read"
    EXPORT = "export"  # read many rows at once, as a file
    WRITE = "write"
    PUBLISH = "publish"
    ADMIN = "admin"


SCOPES_OF: dict[Role, frozenset[str]] = {
    Role.OWNER: frozenset({"admin"}),
    Role.ADMIN: frozenset({"write", "key:admin", "person:admin"}),
    Role.DEVELOPER: frozenset(
        {
            "read",
            "application:write",
            "attempt:write",
            "callback:write",
            "endpoint:write",
            "event-type:write",
            "inbox:write",
            "message:publish",
            "operational-webhook:write",
            "portal:write",
            "source:write",
        }
    ),
    Role.OPERATOR: frozenset(
        {
            "read",
            "attempt:write",
            "callback:write",
            "conflict:write",
            "suppression:write",
            "transaction:write",
        }
    ),
    Role.FINANCE: frozenset({"read"}),
    Role.VIEWER: frozenset({"view"}),
}

_ENOUGH = {
    Action.READ: {KeyScope.VIEW, KeyScope.READ, KeyScope.WRITE},
    Action.EXPORT: {KeyScope.READ, KeyScope.WRITE},
    Action.WRITE: {KeyScope.WRITE},
    Action.PUBLISH: {KeyScope.WRITE, KeyScope.PUBLISH},
    Action.ADMIN: set[KeyScope](),
}
_OF_RESOURCE = {  # which actions of its resource a scope of one resource is enough for
    Action.READ: {"read", "write"},
    Action.EXPORT: {"read", "write"},
    Action.WRITE: {"write"},
    Action.PUBLISH: {"publish", "write"},
    Action.ADMIN: {"admin"},
}


def allows(scopes: Collection[str], resource: str, action: Action) -> bool:
    """Tell whether scopes are enough for an action on a resource.

    >>> allows({"endpoint:write"}, "endpoint", Action.READ), allows({"view"}, "x", Action.EXPORT)
    (True, False)
    """
    if KeyScope.ADMIN in scopes or not _ENOUGH[action].isdisjoint(scopes):
        return True
    return any(f"{resource}:{own}" in scopes for own in _OF_RESOURCE[action])


def not_covered(held: Collection[str], wanted: Collection[str]) -> list[str]:
    """Return the scopes of `wanted` that allow more than `held`; so nobody grants what it lacks.

    >>> not_covered({"write"}, ["read", "endpoint:write", "key:admin"])
    ['key:admin']
    """
    return sorted(scope for scope in wanted if not _covers(held, scope))


def _covers(held: Collection[str], scope: str) -> bool:
    if KeyScope.ADMIN in held or scope in held:
        return True
    resource, _, action = scope.rpartition(":")
    if resource:
        return allows(held, resource, Action(action))
    return any(scope in _INCLUDED.get(each, ()) for each in held)


_INCLUDED = {
    KeyScope.WRITE.value: {KeyScope.READ, KeyScope.VIEW, KeyScope.PUBLISH},
    KeyScope.READ.value: {KeyScope.VIEW},
}


@dataclass(frozen=True, slots=True)
class Rights:
    """What a person may do: a role for all applications, and roles for single ones (by id)."""

    role: Role | None = None
    app_roles: Mapping[str, Role] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the roles as a person reads them: `viewer, operator of app_1`."""
        own = [f"{role} of {app_id}" for app_id, role in sorted(self.app_roles.items())]
        return ", ".join([self.role, *own] if self.role is not None else own) or "no role"

    @property
    def is_limited(self) -> bool:
        """Tell whether only some applications exist for this person."""
        return self.role is None

    def sees(self, app_id: str) -> bool:
        """Tell whether an application exists for this person."""
        return self.role is not None or app_id in self.app_roles

    def roles(self, app_id: str | None) -> list[Role]:
        """Return the roles in an application; None: those for all of them."""
        own = self.app_roles.get(app_id) if app_id is not None else None
        return [role for role in (self.role, own) if role is not None]

    def scopes(self, app_id: str | None) -> frozenset[str]:
        """Return the scopes in an application; None: those for all of them."""
        return frozenset[str]().union(*(SCOPES_OF[role] for role in self.roles(app_id)))

    def may(self, resource: str, action: Action, app_id: str | None) -> bool:
        """Tell whether this person may do something in an application; None: in all of them."""
        return allows(self.scopes(app_id), resource, action)


def roles_that_may(resource: str, action: Action) -> list[Role]:
    """Return the roles that may do something, the greatest first."""
    return [role for role, scopes in SCOPES_OF.items() if allows(scopes, resource, action)]


def refusal(rights: Rights, resource: str, action: Action, app_id: str | None) -> str:
    """Say why a person may not do something, and whom to ask.

    >>> refusal(Rights(Role.VIEWER), "endpoint", Action.WRITE, None)
    'Your role viewer may not do this. Owner, admin and developer may: ask an owner or admin.'
    """
    roles = rights.roles(app_id)
    if rights.role is None and not rights.app_roles:
        return "You have no role: ask an owner or admin."
    if not roles:
        own = "Your role may not do this, because it is not for all applications."
    else:
        named = " and ".join(roles)
        own = f"Your {'role' if len(roles) == 1 else 'roles'} {named} may not do this."
    able = [role.value for role in roles_that_may(resource, action)]
    first = able[0].capitalize()
    listed = f"{', '.join([first, *able[1:-1]])} and {able[-1]}" if able[1:] else f"Only {able[0]}"
    return f"{own} {listed} may: ask an owner or admin."
