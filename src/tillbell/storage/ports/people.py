"""The port to the database for people, their sessions and one-time links.

It promises what outbound.py promises: one write method is one commit. Every write method also
stores what the audit log says of it; if it changes nothing, it writes no entry.

Each promise below has a test of that name in tests/store, which runs over every database.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from tillbell.clock import Micros
from tillbell.model.audit import AuditedAct
from tillbell.model.people import OneTimeLink, Person, Session
from tillbell.storage.ports.outbound import Page

Audit = Sequence[AuditedAct]


class CheckedPassword(NamedTuple):
    """A password hash that was checked, and the one to store: of newer parameters, or the same."""

    checked: str
    stored: str


class UsedCode(NamedTuple):
    """What the use of a code of a second factor leaves."""

    kind: str  # totp or recovery code
    step: int  # of the last code that was used
    recovery_codes: tuple[str, ...]  # hashes of those that are not used
    link_id: str = ""  # of the link that asked for the code


class PersonChange(StrEnum):
    """How a change of a person ended."""

    DONE = "done"
    MOVED = "moved"  # the person has changed meanwhile, or is gone; nothing is stored
    LAST_OWNER = "last-owner"  # nobody would be owner of everything; nothing is stored


class SignOn(NamedTuple):
    """A sign-in by an identity provider, as it is stored."""

    before: Person | None  # None: somebody new
    after: Person
    ended: OneTimeLink  # of the way to the provider and back, which ends once
    begins: Session | OneTimeLink  # the session, or the link of the second step
    replaces: str = ""  # the session that ends; "": none


class SignOnEnd(StrEnum):
    """How a sign-in by an identity provider ended."""

    DONE = "done"
    REPLAYED = "replayed"  # it has ended before; nothing is stored
    MOVED = "moved"  # somebody changed the person, or took the address; nothing is stored
    LAST_OWNER = "last-owner"  # nobody would be owner of everything; nothing is stored


class PeopleStore(Protocol):
    """Reads and writes of people. Every process sees a write as soon as it has returned."""

    # ── reads ────────────────────────────────────────────────────────────────────────────────────

    async def all_people(self, page: Page) -> list[Person]:
        """List people in the order of their ids."""
        ...

    async def person(self, id_: str) -> Person | None:
        """Return a person."""
        ...

    async def person_of_email(self, email: str) -> Person | None:
        """Return the person with this e-mail address, which is in lower case."""
        ...

    async def person_of_identity(self, oidc_id: str) -> Person | None:
        """Return the person with this identity at the identity provider."""
        ...

    async def session(self, id_: str) -> tuple[Session, Person] | None:
        """Return a session with its person, also if it has ended."""
        ...

    async def sessions_of(self, person_id: str) -> list[Session]:
        """Return all sessions of a person that are stored, in no order."""
        ...

    async def is_known_address(self, person_id: str, address: str) -> bool:
        """Return whether a session of this person began at this address."""
        ...

    async def one_time_link(self, id_: str) -> OneTimeLink | None:
        """Return a link that is not used yet, also if it has expired."""
        ...

    # ── writes ───────────────────────────────────────────────────────────────────────────────────

    async def add_link(self, link: OneTimeLink, audit: Audit) -> bool:
        """Store a link. Earlier links stay valid; but an invitation ends those before it.

        False, and nothing is stored, if it is to make the first account and a person exists.
        """
        ...

    async def add_first_person(
        self, person: Person, link_id: str, session: Session, audit: Audit
    ) -> bool:
        """Store the first person, who is signed in, and use up all links to make an account.

        False, and nothing is stored, if the link is gone or has expired when the person is created,
        or if a person exists who may sign in. An invitation to the same address ends. Of two at the
        same time, one wins.
        """
        ...

    async def add_person(self, person: Person, link: OneTimeLink | None, audit: Audit) -> bool:
        """Store a person who is invited. False, and nothing is stored, if the e-mail is taken."""
        ...

    async def accept_invitation(
        self, link_id: str, name: str, password_hash: str, session: Session, audit: Audit
    ) -> bool:
        """Give the invited person of the session a name and a password, and sign the person in.

        False, and nothing is stored, if the link is gone or of another person, has expired when the
        session begins, or the person is disabled or has a password.
        """
        ...

    async def change_person(
        self,
        before: Person,
        after: Person,
        now: Micros,
        audit: Audit,
        *,
        ends_sessions: bool = False,
    ) -> PersonChange:
        """Change name, roles, second factor, identity or disabling, if nobody did since `before`.

        The version rises by one. `ends_sessions`: all sessions and links of the person end.
        """
        ...

    async def remove_person(self, before: Person, audit: Audit) -> PersonChange:
        """Delete a person, its sessions and links, if nobody has changed the person since."""
        ...

    async def add_session(
        self, session: Session, password: CheckedPassword, replaces: str, audit: Audit
    ) -> bool:
        """Sign a person in; the session `replaces` ("": none) ends.

        False, and nothing is stored, if the person's password is not the checked one any more, or
        the person is disabled.
        """
        ...

    async def add_session_by_code(
        self, person: Person, used: UsedCode, session: Session, replaces: str, audit: Audit
    ) -> bool:
        """Sign a person in by a second factor; the session `replaces` ("": none) ends.

        False, and nothing is stored, if the link is gone or has expired, the person is disabled or
        has changed the password or factor, or a code was used since `person` was read. So of two
        uses of one code at the same time, one wins.
        """
        ...

    async def sign_on(self, step: SignOn, audit: Audit) -> SignOnEnd:
        """Sign somebody in by an identity provider, and store the person if it is new or changed.

        The links of who accepts an invitation so end. Of two with the same way at the same time,
        one is done.
        """
        ...

    async def set_password(
        self, link_id: str, password_hash: str, session: Session, audit: Audit
    ) -> bool:
        """Change a person's password by a link, and sign the person in.

        All earlier sessions and links of the person end. False, and the password stays, if the link
        is gone or of another person, has expired when the session begins, or the person is
        disabled.
        """
        ...

    async def sign_in_by_link(
        self, link_id: str, begins: Session | OneTimeLink, audit: Audit
    ) -> bool:
        """Sign a person in by a recovery link, or ask for the code of the second factor.

        False, and nothing is stored, if the link is gone or of another person, has expired when the
        session begins, or the person is disabled.
        """
        ...

    async def note_session_use(
        self, id_: str, last_used_at: Micros, idle_expires_at: Micros
    ) -> None:
        """Move on the idle expiry of a session, unless it is revoked."""
        ...

    async def revoke_session(self, id_: str, now: Micros, audit: Audit) -> bool:
        """End a session; False if it had ended so before."""
        ...

    async def revoke_sessions_of(self, person_id: str, now: Micros, audit: Audit) -> int:
        """End all sessions of a person; return how many."""
        ...

    async def add_audit_entries(self, audit: Audit) -> None:
        """Store entries of the audit log that belong to no other write: failed sign-ins."""
        ...

    async def purge_people(self, *, now: Micros, limit: int) -> int:
        """Delete at most `limit` sessions, and as many links, that have expired; return how many.

        A revoked session is deleted when it would have expired.
        """
        ...
