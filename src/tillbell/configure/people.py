"""People: how the first one comes in, and how they sign in and out.

A session is known by a random token. The browser holds it in a cookie, the store only its hash; the
same is true of one-time links. A session is looked up in the store for each page, so it ends in
every process at the moment in which it is revoked.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tillbell.clock import DAY, HOUR, MINUTE, Clock, Micros
from tillbell.configure.passwords import Passwords
from tillbell.configure.sign_in_throttle import TRIES_OF_ADDRESS, WAIT, SignInThrottle, SignInTry
from tillbell.deliver.audit import AuditWriter
from tillbell.errors import (
    ConflictError,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    Unauthenticated,
    Unavailable,
)
from tillbell.ids import IdMaker
from tillbell.logs import log_event
from tillbell.model.audit import NOBODY, USER_AGENT_MAX, Actor, ActorKind, AuditedAct
from tillbell.model.people import LinkPurpose, OneTimeLink, Person, Role, Session
from tillbell.rules.accounts import (
    EMAIL_MAX,
    PASSWORD_MAX,
    email_problem,
    name_problem,
    normal_email,
    password_problem,
)
from tillbell.rules.rights import Rights
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.people import CheckedPassword, PeopleStore, PersonChange
from tillbell.vault import hash_key, new_token

SESSION_LIFE: Micros = 7 * DAY
IDLE_LIFE: Micros = 12 * HOUR
NOTE_USE_EVERY: Micros = 5 * MINUTE
LINK_LIFE: Micros = DAY
SECOND_STEP_LIFE: Micros = 5 * MINUTE
_PAGE = 500


class WrongPassword(Unauthenticated):
    """E-mail or password is wrong."""


class PasswordsOff(Forbidden):
    """Nobody signs in with a password here: the identity provider lets people in."""


class LinkGone(NotFound):
    """This link was used already, has expired, or never existed. Ask for a new one."""


class Visitor(NamedTuple):
    """Where a request comes from."""

    address: str
    user_agent: str = ""
    request_id: str | None = None

    def acting_as(self, actor: Actor) -> Actor:
        """Return an actor who acts from here."""
        return actor._replace(
            request_id=self.request_id,
            address=self.address,
            user_agent=self.user_agent[:USER_AGENT_MAX] or None,
        )


class SignedIn(NamedTuple):
    """A person with the session of a request."""

    person: Person
    session: Session


class NewSession(NamedTuple):
    """A session that begins, and its token, which is not stored."""

    person: Person
    token: str


class SecondStep(NamedTuple):
    """A sign-in whose password was right, and that needs a code: the token to go on with."""

    token: str


class NewAccount(NamedTuple):
    """What the first person says of itself."""

    email: str
    name: str
    password: str


class People:
    """Accounts and sessions of people."""

    def __init__(
        self,
        store: PeopleStore,
        clock: Clock,
        ids: IdMaker,
        passwords: Passwords,
        *,
        allows_passwords: bool = True,
    ) -> None:
        self.allows_passwords = allows_passwords
        self._store = store
        self._clock = clock
        self._ids = ids
        self._audit = AuditWriter(clock, ids)
        self._passwords = passwords
        self._throttle = SignInThrottle(clock)
        self._writing: set[asyncio.Task[None]] = set()  # entries of failed sign-ins

    async def wait_idle(self) -> None:
        """Wait until every failed sign-in is in the audit log."""
        while self._writing:
            await asyncio.wait(set(self._writing))

    # ── one-time links ───────────────────────────────────────────────────────────────────────────

    async def new_setup_link(self) -> str | None:
        """Return the token of a link to make the first account; None if a person exists."""
        token, link = self._new_link(LinkPurpose.SETUP, "")
        entry = self._audit.act("person.setup-link", "")
        return token if await self._store.add_link(link, [entry]) else None

    async def link(self, token: str) -> OneTimeLink:
        """Return a link that can be used now. `LinkGone` if it cannot."""
        link = await self._store.one_time_link(hash_key(token))
        if link is None or link.expires_at <= self._clock.now():
            raise LinkGone
        return link

    async def create_first(self, token: str, account: NewAccount, visitor: Visitor) -> NewSession:
        """Create the owner by a set-up link, and sign in. It has no password if there are none.

        `Invalid` names the fields that are wrong. `LinkGone` if the link is, also because another
        one was faster.
        """
        await self.link(token)
        email, name = normal_email(account.email), account.name.strip()
        problem = password_problem(account.password, email, name) if self.allows_passwords else None
        _check(email=email_problem(email), name=name_problem(name), password=problem)
        hashed = ""
        if self.allows_passwords:
            hashed = await self._passwords.hash(account.password)
        now = self._clock.now()
        id_ = self._ids.new("per", now)
        person = Person(id_, email, name, hashed, Role.OWNER, now, last_sign_in_at=now)
        session_token, session = new_session(person, visitor, self._clock.now())
        entry = self._entry(
            actor_of(person, visitor),
            "person.create",
            person.id,
            {"email": [None, email], "name": [None, name], "role": [None, Role.OWNER.value]},
        )
        if not await self._store.add_first_person(person, hash_key(token), session, [entry]):
            raise LinkGone
        return NewSession(person, session_token)

    async def accept_invitation(
        self, token: str, name: str, password: str, visitor: Visitor
    ) -> NewSession:
        """Give an invited person a name and a password, and sign the person in.

        `Invalid` names the fields that are wrong. `LinkGone` if the link is.
        """
        self._need_passwords()
        link = await self.link(token)
        person = await self._store.person(link.person_id)
        if link.purpose is not LinkPurpose.INVITATION or person is None:
            raise LinkGone
        name = name.strip()
        _check(name=name_problem(name), password=password_problem(password, person.email, name))
        hashed = await self._passwords.hash(password)
        session_token, session = new_session(person, visitor, self._clock.now())
        changes: dict[str, list[object]] = {"name": [None, name]}
        entry = self._entry(actor_of(person, visitor), "person.accept", person.id, changes)
        if not await self._store.accept_invitation(link.id, name, hashed, session, [entry]):
            raise LinkGone
        return NewSession(person._replace(name=name, password_hash=hashed), session_token)

    async def choose_password(
        self, token: str, password: str, visitor: Visitor
    ) -> NewSession | SecondStep:
        """Change the password of a person by a link, end all its sessions, and sign in.

        `SecondStep` if the person has a second factor.
        """
        session = await self._set_password(token, password, visitor)
        if not session.person.totp_secret:
            return session
        await self._store.revoke_session(hash_key(session.token), self._clock.now(), [])
        return await self._second_step(session.person)

    async def recover(self, token: str, visitor: Visitor) -> NewSession | SecondStep:
        """Sign an owner in by a recovery link. `SecondStep` if there is a second factor."""
        link = await self.link(token)
        person = await self._store.person(link.person_id)
        if link.purpose is not LinkPurpose.RECOVERY or person is None:
            raise LinkGone
        now = self._clock.now()
        by: dict[str, list[object]] = {"by": [None, "recovery link"]}
        entry = self._entry(actor_of(person, visitor), "person.sign-in", person.id, by)
        if person.totp_secret:
            step, begins = self._new_link(LinkPurpose.SECOND_STEP, person.id)
            begins = begins._replace(expires_at=now + SECOND_STEP_LIFE)
            if not await self._store.sign_in_by_link(link.id, begins, []):
                raise LinkGone
            return SecondStep(step)
        session_token, session = new_session(person, visitor, now)
        if not await self._store.sign_in_by_link(link.id, session, [entry]):
            raise LinkGone
        return NewSession(person, session_token)

    async def _set_password(self, token: str, password: str, visitor: Visitor) -> NewSession:
        self._need_passwords()
        link = await self.link(token)
        person = await self._store.person(link.person_id)
        if link.purpose is not LinkPurpose.PASSWORD or person is None:
            raise LinkGone
        _check(password=password_problem(password, person.email, person.name))
        hashed = await self._passwords.hash(password)
        session_token, session = new_session(person, visitor, self._clock.now())
        entry = self._entry(actor_of(person, visitor), "person.new-password", person.id)
        if not await self._store.set_password(link.id, hashed, session, [entry]):
            raise LinkGone
        return NewSession(person, session_token)

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────

    async def sign_in(
        self, email: str, password: str, visitor: Visitor, replaces: str = ""
    ) -> NewSession | SecondStep:
        """Sign a person in; the session with the token `replaces` ends.

        `SecondStep` if the person has a second factor: `SecondFactors.sign_in` goes on.
        `WrongPassword` says the same whether the person exists, and takes as long. `TooMany` after
        too many of them. `PasswordsOff` if the settings let nobody in by a password.
        """
        self._need_passwords()
        email = normal_email(email)[: EMAIL_MAX + 1]
        person = await self._store.person_of_email(email)
        person_id = "" if person is None else person.id
        is_known = await self._store.is_known_address(person_id, visitor.address)
        attempt = self._throttle.begin(email, visitor.address, is_known=is_known)
        stored = None if person is None or person.disabled_at is not None else person.password_hash
        # One character more than any password has is wrong as well.
        check = await self._passwords.check(stored, password[: PASSWORD_MAX + 1])
        if person is not None and stored is not None and check.is_right:
            if person.totp_secret:
                self._throttle.succeeded(attempt)
                return await self._second_step(person)
            token, session = new_session(person, visitor, self._clock.now())
            checked = CheckedPassword(stored, check.hash)
            entry = self._entry(actor_of(person, visitor), "person.sign-in", person.id)
            replaced = hash_key(replaces) if replaces else ""
            if await self._store.add_session(session, checked, replaced, [entry]):
                self._throttle.succeeded(attempt)
                return NewSession(person, token)
        self._note_failure(attempt, person, visitor)
        raise WrongPassword(f"E-mail or password is wrong. {_warning(attempt.left)}")

    async def _second_step(self, person: Person) -> SecondStep:
        token, link = self._new_link(LinkPurpose.SECOND_STEP, person.id)
        expires_at = link.created_at + SECOND_STEP_LIFE
        await self._store.add_link(link._replace(expires_at=expires_at), [])
        return SecondStep(token)

    async def change_password(
        self, signed_in: SignedIn, old: str, new: str, visitor: Visitor
    ) -> NewSession:
        """Change the password of somebody who knows the old one; all other sessions end.

        `Invalid` names the fields that are wrong, `TooMany` after too many wrong ones.
        """
        self._need_passwords()
        person = signed_in.person
        _check(new=password_problem(new, person.email, person.name))
        await self._check_password("old", person, old, visitor)
        token, link = self._new_link(LinkPurpose.PASSWORD, person.id)
        await self._store.add_link(link, [])
        return await self._set_password(token, new, visitor)

    async def unlink_identity(
        self, signed_in: SignedIn, password: str, visitor: Visitor
    ) -> NewSession:
        """Let the identity provider sign a person in no more; all other sessions end.

        Only who knows the password, which is the way in then: `Invalid` if it is wrong, `TooMany`
        after too many of them. `ConflictError` if there is no identity, or no other way in.
        """
        person = signed_in.person
        reason = self.only_way_in(person)
        if reason is not None:
            raise ConflictError(reason)
        checked = await self._check_password("password", person, password, visitor)
        changes: dict[str, list[object]] = {"identity": [person.oidc_id, None]}
        entry = self._entry(actor_of(person, visitor), "person.unlink-identity", person.id, changes)
        now = self._clock.now()
        after = person._replace(oidc_id="")
        change = await self._store.change_person(person, after, now, [entry], ends_sessions=True)
        token, session = new_session(after, visitor, now)
        if change is not PersonChange.DONE or not await self._store.add_session(
            session, checked, "", []
        ):
            raise ConflictError("Your account has changed meanwhile: look again.")
        return NewSession(after, token)

    def only_way_in(self, person: Person) -> str | None:
        """Return why a person cannot do without the identity provider; None: it can."""
        if not person.oidc_id:
            return "Your account is not linked to the identity provider."
        if not self.allows_passwords:
            return "It is your only way in: nobody signs in with a password here."
        if not person.password_hash:
            return "It is your only way in. Ask an admin for a link to choose a password first."
        return None

    async def _check_password(
        self, field: str, person: Person, password: str, visitor: Visitor
    ) -> CheckedPassword:
        """Check the password of somebody who is signed in; `field` is the one that is wrong."""
        attempt = self._throttle.begin(person.email, visitor.address, is_known=True)
        check = await self._passwords.check(person.password_hash, password[: PASSWORD_MAX + 1])
        if not check.is_right:
            text = f"This is not your password. {_warning(attempt.left)}"
            raise Invalid(Problem((field,), text))
        self._throttle.succeeded(attempt)
        return CheckedPassword(person.password_hash, check.hash)

    async def sessions(self, person: Person) -> list[Session]:
        """Return the sessions of a person that have not ended, the last used first."""
        now = self._clock.now()
        return sorted(
            (
                session
                for session in await self._store.sessions_of(person.id)
                if session.revoked_at is None
                and min(session.expires_at, session.idle_expires_at) > now
            ),
            key=lambda session: session.last_used_at,
            reverse=True,
        )

    async def end_session(self, signed_in: SignedIn, session_id: str, visitor: Visitor) -> None:
        """End another session of the same person. `NotFound` if it is of somebody else."""
        person = signed_in.person
        if session_id not in {each.id for each in await self.sessions(person)}:
            raise NotFound("This session has ended already.")
        entry = self._entry(actor_of(person, visitor), "person.end-session", person.id)
        await self._store.revoke_session(session_id, self._clock.now(), [entry])

    async def end_all_sessions(self, signed_in: SignedIn, visitor: Visitor) -> None:
        """End all sessions of a person, this one too."""
        person = signed_in.person
        entry = self._entry(actor_of(person, visitor), "person.sign-out-everywhere", person.id)
        await self._store.revoke_sessions_of(person.id, self._clock.now(), [entry])

    async def signed_in(self, token: str) -> SignedIn | None:
        """Return the person of a session's token; None if there is none, or it has ended."""
        signed_in = await self._valid_session(token)
        if signed_in is None:
            return None
        session, now = signed_in.session, self._clock.now()
        if now - session.last_used_at >= NOTE_USE_EVERY:
            await self._store.note_session_use(session.id, now, now + IDLE_LIFE)
        return signed_in

    async def rights_of_session(self, token: str) -> Rights | None:
        """Return what the person of a session may do; None if it has ended.

        Asking does not prolong it.
        """
        signed_in = await self._valid_session(token)
        return None if signed_in is None else rights_of(signed_in.person)

    async def _valid_session(self, token: str) -> SignedIn | None:
        stored = await self._store.session(hash_key(token))
        if stored is None:
            return None
        session, person = stored
        ends_at = min(session.expires_at, session.idle_expires_at)
        is_ended = session.revoked_at is not None or ends_at <= self._clock.now()
        return None if is_ended or person.disabled_at is not None else SignedIn(person, session)

    async def sign_out(self, signed_in: SignedIn, visitor: Visitor) -> None:
        """End a session."""
        person, session = signed_in
        entry = self._entry(actor_of(person, visitor), "person.sign-out", person.id)
        await self._store.revoke_session(session.id, self._clock.now(), [entry])

    async def everybody(self) -> list[Person]:
        """Return all people in the order in which they came."""
        people: list[Person] = []
        while True:
            after = people[-1].id if people else None
            page = await self._store.all_people(Page(limit=_PAGE, iterator=after, ascending=True))
            people += page
            if len(page) < _PAGE:
                return people

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    def _need_passwords(self) -> None:
        if not self.allows_passwords:
            raise PasswordsOff("Signing in with a password is switched off here.")

    def _new_link(self, purpose: LinkPurpose, person_id: str) -> tuple[str, OneTimeLink]:
        token, now = new_token(), self._clock.now()
        return token, OneTimeLink(hash_key(token), purpose, person_id, now, now + LINK_LIFE)

    def _note_failure(self, attempt: SignInTry, person: Person | None, visitor: Visitor) -> None:
        """Write into the audit log that somebody failed: at first, and when they have to wait.

        Of an e-mail address that nobody has only the wait of its sender is written. What was typed
        is not: it may be a password. The answer does not wait for it, or its time would say
        whether there is such a person.
        """
        is_noted = attempt.of_account == 1 or attempt.left == 0
        if attempt.of_address < TRIES_OF_ADDRESS and (person is None or not is_noted):
            return
        target = "" if person is None else person.id
        tries = attempt.of_address if person is None else attempt.of_account
        actor = visitor.acting_as(NOBODY)
        entry = self._entry(actor, "person.sign-in-failed", target, {"tries": [None, tries]})
        task = asyncio.get_running_loop().create_task(self._store.add_audit_entries([entry]))
        self._writing.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Unavailable):
            log_event("chore.postponed", chore="failed_sign_in", error=str(error))

    def _entry(
        self, actor: Actor, action: str, target: str, changes: dict[str, list[object]] | None = None
    ) -> AuditedAct:
        return self._audit.act(action, target, changes=changes, actor=actor)


def new_session(person: Person, visitor: Visitor, now: Micros) -> tuple[str, Session]:
    """Return the token of a session that begins, and the session; nothing is stored."""
    token = new_token()
    return token, Session(
        id=hash_key(token),
        person_id=person.id,
        created_at=now,
        last_used_at=now,
        expires_at=now + SESSION_LIFE,
        idle_expires_at=now + IDLE_LIFE,
        address=visitor.address,
        user_agent=visitor.user_agent[:USER_AGENT_MAX],
    )


def rights_of(person: Person) -> Rights:
    """Return what a person may do."""
    return Rights(person.role, person.app_roles)


def actor_of(person: Person, visitor: Visitor) -> Actor:
    """Return a person as the actor of what a request does."""
    actor = Actor(person.id, person.email, ActorKind.PERSON, str(rights_of(person)))
    return visitor.acting_as(actor)


def _check(**problems: str | None) -> None:
    """Raise `Invalid` with the problems of the fields that have one."""
    wrong = [Problem((field,), text) for field, text in problems.items() if text is not None]
    if wrong:
        raise Invalid(*wrong)


def _warning(left: int) -> str:
    minutes = WAIT // MINUTE
    if left == 0:
        return f"That was the last try; try again in {minutes} minutes."
    tries = "1 more try" if left == 1 else f"{left} more tries"
    return f"After {tries} we wait {minutes} minutes."
