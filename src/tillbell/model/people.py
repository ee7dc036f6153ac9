"""People who sign in to the pages, their sessions, and the links that let somebody in once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from tillbell.clock import Micros


class Role(StrEnum):
    """What a person may do (rules/rights.py), the greatest first."""

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
    password_hash: str  # "": there is no password to sign in with
    role: Role | None  # for all applications
    created_at: Micros
    last_sign_in_at: Micros | None = None
    disabled_at: Micros | None = None  # since then the person may not sign in
    app_roles: Mapping[str, Role] = {}  # for single applications, by their ids
    totp_secret: str = ""  # sealed; "": there is no second factor
    totp_step: int = 0  # of the last code that was used; no earlier one works
    recovery_codes: tuple[str, ...] = ()  # hashes of those that are not used
    oidc_id: str = ""  # issuer and subject at the identity provider; "": none
    version: int = 1  # raised by every change of what an administrator may change


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
    RECOVERY = "recovery"  # to sign in once without a password, for owners
    INVITATION = "invitation"  # to accept an invitation
    SECOND_STEP = "second-step"  # to go on with a sign-in whose password was right
    SIGN_ON = "sign-on"  # a sign-in by an identity provider that has ended: it ends once


class OneTimeLink(NamedTuple):
    """A link that is used at most once."""

    id: str  # the hash of its token, which only the link holds
    purpose: LinkPurpose
    person_id: str  # "": of nobody yet
    created_at: Micros
    expires_at: Micros
