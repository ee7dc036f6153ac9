"""People who sign in to the pages, their sessions, and the links that let somebody in once."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tillbell.clock import Micros


class Role(StrEnum):
    """What a person may do."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    OPERATOR = "operator"
    FINANCE = "finance"
    VIEWER = "viewer"


class Person(NamedTuple):
    """Somebody who may sign in."""

    id: str
    email: str  # in lower case; no other person has it
    name: str
    password_hash: str
    role: Role
    created_at: Micros
    last_sign_in_at: Micros | None = None
    disabled_at: Micros | None = None  # since then the person may not sign in


class Session(NamedTuple):
    """One sign-in of a person on one browser. It ends at the earlier of its two limits."""

    id: str  # the hash of its token, which only the browser holds
    person_id: str
    created_at: Micros
    last_used_at: Micros  # to some minutes
    expires_at: Micros
    idle_expires_at: Micros  # moved on with each use
    address: str
    user_agent: str
    revoked_at: Micros | None = None


class LinkPurpose(StrEnum):
    """What a one-time link is for."""

    SETUP = "setup"  # to make the first account
    PASSWORD = "password"  # noqa: S105 - to choose a new one


class OneTimeLink(NamedTuple):
    """A link that is used at most once."""

    id: str  # the hash of its token, which only the link holds
    purpose: LinkPurpose
    person_id: str  # "": of nobody yet
    created_at: Micros
    expires_at: Micros
