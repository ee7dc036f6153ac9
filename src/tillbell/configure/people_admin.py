"""What administrators do about people: invite, give roles, let in again, disable and remove.

Nobody gives or takes a role that allows more than its own, and there is always an owner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tillbell.clock import DAY, HOUR, Clock, Micros
from tillbell.configure.people import rights_of
from tillbell.deliver.audit import AuditWriter
from tillbell.errors import ConflictError, Forbidden, Invalid, NotFound, Problem
from tillbell.ids import IdMaker
from tillbell.model.audit import AuditedAct
from tillbell.model.people import LinkPurpose, OneTimeLink, Person, Role
from tillbell.rules.accounts import email_problem, normal_email
from tillbell.rules.rights import SCOPES_OF, not_covered
from tillbell.storage.ports.people import PeopleStore, PersonChange
from tillbell.vault import hash_key, new_token

INVITATION_LIFE: Micros = 7 * DAY
PASSWORD_LINK_LIFE: Micros = DAY
RECOVERY_LINK_LIFE: Micros = HOUR


class Granter(NamedTuple):
    """Who gives roles: what it may do itself, and where."""

    scopes: tuple[str, ...]
    app_id: str | None = None  # the only application that it is about; None: all

    def sees(self, person: Person) -> bool:
        """Tell whether a person exists for this granter."""
        return self.app_id is None or self.app_id in person.app_roles

    def check(self, role: Role, app_id: str | None) -> None:
        """Raise `Forbidden` unless it may give or take a role; `app_id` None: of all."""
        if self.app_id is not None and app_id != self.app_id:
            raise Forbidden("You may give and take roles in your own application only.")
        if not_covered(self.scopes, SCOPES_OF[role]):
            raise Forbidden(f"The role {role} may do more than you may, so you cannot change it.")

    def check_all(self, person: Person) -> None:
        """Raise `Forbidden` unless it may take all roles of a person."""
        for role, app_id in _roles(person):
            self.check(role, app_id)


EVERYTHING = Granter(("admin",))  # who has the machine
PersonEdit = Callable[[Person], Person]


class Invitation(NamedTuple):
    """A person who is invited, and the token of the link, which is not stored."""

    person: Person
    token: str


class PeopleAdmin:
    """Changes of people by others."""

    def __init__(
        self, store: PeopleStore, clock: Clock, ids: IdMaker, *, allows_passwords: bool = True
    ) -> None:
        self.allows_passwords = allows_passwords
        self._store = store
        self._clock = clock
        self._ids = ids
        self._audit = AuditWriter(clock, ids)

    async def person(self, granter: Granter, id_: str) -> Person:
        """Return a person. `NotFound` if it does not exist for the granter."""
        person = await self._store.person(id_)
        if person is None or not granter.sees(person):
            raise NotFound("There is no such person.")
        return person

    async def person_of_email(self, email: str) -> Person:
        """Return the person with an e-mail address."""
        person = await self._store.person_of_email(normal_email(email))
        if person is None:
            raise NotFound(f"Nobody has the e-mail address {email}.")
        return person

    async def invite(
        self, granter: Granter, email: str, role: Role | None, app_roles: Mapping[str, Role]
    ) -> Invitation:
        """Store a person with roles, and return a link that works once, for seven days.

        `ConflictError` if somebody has the address, `Forbidden` for roles above one's own.
        """
        email = normal_email(email)
        problem = email_problem(email)
        if problem is not None:
            raise Invalid(Problem(("body", "email"), problem))
        now = self._clock.now()
        id_ = self._ids.new("per", now)
        person = Person(id_, email, "", "", role, now, app_roles=dict(app_roles))
        _check_some_role(person)
        granter.check_all(person)
        token, link = self._link(LinkPurpose.INVITATION, person, INVITATION_LIFE)
        changes = {"email": [None, email], "roles": [None, str(rights_of(person))]}
        entry = self._audit.act("person.invite", id_, changes=changes)
        if not await self._store.add_person(person, link, [entry]):
            raise ConflictError(f"Somebody has the address {email} already.")
        return Invitation(person, token)

    async def new_link(self, granter: Granter, person: Person) -> Invitation:
        """Return a new link: to accept the invitation, or to choose a new password.

        An invitation ends the link before it. `ConflictError` if nobody signs in with a password.
        """
        granter.check_all(person)
        _check_enabled(person)
        if person.password_hash or person.oidc_id:
            if not self.allows_passwords:
                raise ConflictError(
                    "Nobody signs in with a password here: the identity provider lets people in,"
                    " and `tillbell people recovery-link` an owner, once.",
                    code="passwords_off",
                )
            token, link = self._link(LinkPurpose.PASSWORD, person, PASSWORD_LINK_LIFE)
            entry = self._entry("password-link", person)
        else:
            token, link = self._link(LinkPurpose.INVITATION, person, INVITATION_LIFE)
            entry = self._entry("invite-again", person)
        await self._store.add_link(link, [entry])
        return Invitation(person, token)

    async def recovery_link(self, person: Person) -> Invitation:
        """Return a link that signs an owner in once, within an hour, without a password.

        Only whoever has the machine makes one. `ConflictError` if the person is no owner.
        """
        _check_enabled(person)
        if person.role is not Role.OWNER:
            raise ConflictError(f"{person.email} is no owner: an owner lets others in.")
        token, link = self._link(LinkPurpose.RECOVERY, person, RECOVERY_LINK_LIFE)
        await self._store.add_link(link, [self._entry("recovery-link", person)])
        return Invitation(person, token)

    async def set_roles(
        self, granter: Granter, person: Person, role: Role | None, app_roles: Mapping[str, Role]
    ) -> Person:
        """Give a person other roles. Each that comes or goes must be within the granter's own."""
        after = person._replace(role=role, app_roles=dict(app_roles))
        _check_some_role(after)
        for changed, app_id in set(_roles(person)) ^ set(_roles(after)):
            granter.check(changed, app_id)
        return await self._change("set-roles", person, after)

    async def disable(self, granter: Granter, person: Person) -> Person:
        """Keep a person out, at once and on every process; its sessions end."""
        granter.check_all(person)
        if person.disabled_at is not None:
            return person
        after = person._replace(disabled_at=self._clock.now())
        return await self._change("disable", person, after, ends_sessions=True)

    async def enable(self, granter: Granter, person: Person) -> Person:
        """Let a disabled person sign in again."""
        granter.check_all(person)
        if person.disabled_at is None:
            return person
        return await self._change("enable", person, person._replace(disabled_at=None))

    async def remove(self, granter: Granter, person: Person) -> None:
        """Delete a person; the audit log keeps what it has done."""
        granter.check_all(person)
        entry = self._entry("remove", person, {"email": [person.email, None]})
        _conclude(await self._store.remove_person(person, [entry]))

    async def sign_out_everywhere(self, granter: Granter, person: Person) -> int:
        """End all sessions of a person; return how many."""
        granter.check_all(person)
        entry = self._entry("sign-out-everywhere", person)
        return await self._store.revoke_sessions_of(person.id, self._clock.now(), [entry])

    async def reset_totp(self, granter: Granter, person: Person) -> Person:
        """Turn off the second factor of a person who has lost it; its sessions end.

        `ConflictError` if there is none.
        """
        granter.check_all(person)
        if not person.totp_secret:
            raise ConflictError("This person has no second factor.", code="no_second_factor")
        after = person._replace(totp_secret="", recovery_codes=())
        return await self._change("reset-totp", person, after, ends_sessions=True)

    async def unlink_identity(self, granter: Granter, person: Person) -> Person:
        """Let an identity of the provider sign a person in no more; its sessions end.

        The next sign-in with the person's verified address links another one. `ConflictError` if
        there is none, or the last owner would have no way in.
        """
        granter.check_all(person)
        if not person.oidc_id:
            raise ConflictError("This person has no identity to unlink.", code="no_identity")
        after = person._replace(oidc_id="")
        return await self._change("unlink-identity", person, after, ends_sessions=True)

    async def _change(
        self, verb: str, before: Person, after: Person, *, ends_sessions: bool = False
    ) -> Person:
        changes = _changes(before, after)
        if not changes:
            return before
        entry = self._entry(verb, before, changes)
        now = self._clock.now()
        _conclude(
            await self._store.change_person(
                before, after, now, [entry], ends_sessions=ends_sessions
            )
        )
        return after._replace(version=before.version + 1)

    def _entry(
        self, verb: str, person: Person, changes: dict[str, list[object]] | None = None
    ) -> AuditedAct:
        return self._audit.act(f"person.{verb}", person.id, changes=changes)

    def _link(self, purpose: LinkPurpose, person: Person, life: Micros) -> tuple[str, OneTimeLink]:
        token, now = new_token(), self._clock.now()
        return token, OneTimeLink(hash_key(token), purpose, person.id, now, now + life)


def _roles(person: Person) -> list[tuple[Role, str | None]]:
    general: list[tuple[Role, str | None]] = [(person.role, None)] if person.role else []
    return [*general, *((role, app_id) for app_id, role in person.app_roles.items())]


def _check_enabled(person: Person) -> None:
    if person.disabled_at is not None:
        raise ConflictError("This person is disabled: enable the account first.")


def _check_some_role(person: Person) -> None:
    if not _roles(person):
        raise Invalid(Problem(("body", "role"), "give a role for all applications or for one"))


def _changes(before: Person, after: Person) -> dict[str, list[object]]:
    shown: dict[str, list[object]] = {
        "roles": [str(rights_of(person)) for person in (before, after)],
        "second factor": [bool(person.totp_secret) for person in (before, after)],
        "identity": [person.oidc_id or None for person in (before, after)],
        "disabled": [person.disabled_at is not None for person in (before, after)],
    }
    return {name: [old, new] for name, (old, new) in shown.items() if old != new}


def _conclude(change: PersonChange) -> None:
    if change is PersonChange.MOVED:
        raise ConflictError("Somebody has changed this person meanwhile: look again.")
    if change is PersonChange.LAST_OWNER:
        raise ConflictError(
            "This is the last owner. Make somebody else owner first: without one nobody could."
        )
