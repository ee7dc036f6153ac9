"""The audit log: who did what to which resource, what it was before and after, and from where."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from tillbell.clock import Micros


class ActorKind(StrEnum):
    """What kind of actor somebody is."""

    PERSON = "person"  # who is signed in to the pages
    KEY = "key"  # an API key
    PORTAL = "portal"  # a portal token
    COMMAND = "command"  # who runs the `tillbell` command
    PROGRAM = "program"  # Tillbell itself
    NOBODY = "nobody"  # nobody was signed in


class Actor(NamedTuple):
    """Who acts, and from where."""

    id: str  # of the person or API key
    name: str  # at that time: of the key; the e-mail address of the person
    kind: ActorKind = ActorKind.PROGRAM
    role: str = ""  # of a person: the role; of a key: its scopes, separated by spaces
    request_id: str | None = None
    address: str | None = None  # of the client
    user_agent: str | None = None


SYSTEM = Actor("system", "Tillbell")
NOBODY = Actor("anonymous", "nobody is signed in", ActorKind.NOBODY)
USER_AGENT_MAX = 300  # characters that are kept


class AuditedAct(NamedTuple):
    """One change of a resource, look at a secret, export, or sign-in. No value is a secret."""

    id: str
    app_id: str  # "": it belongs to no application
    at: Micros
    actor: Actor
    action: str  # endpoint.create, source.update, api-key.delete, endpoint.read-secret
    target: str  # the id of the resource or person
    reason: str = ""  # why, where a person must say it
    changes: dict[str, Any] = {}  # member → [before, after]
    details: dict[str, Any] = {}  # more about a manual action, by its kind
    is_redacted: bool = False  # a person was erased from its target, reason, changes or details

    @property
    def target_kind(self) -> str:
        """Name what kind of resource it was done to: `endpoint`."""
        return self.action.partition(".")[0]
