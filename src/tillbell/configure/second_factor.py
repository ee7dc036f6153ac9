"""The second factor: a code of a phone (TOTP) or a recovery code, besides the password.

A code works once. A secret is stored sealed, recovery codes as hashes; both are shown once, when
the factor is turned on.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

from tillbell.clock import SECOND, Clock
from tillbell.configure.people import (
    LinkGone,
    NewSession,
    SignedIn,
    Visitor,
    actor_of,
    new_session,
)
from tillbell.configure.sign_in_throttle import SignInThrottle
from tillbell.deliver.audit import AuditWriter
from tillbell.errors import ConflictError, Misconfigured, Unauthenticated
from tillbell.ids import IdMaker
from tillbell.model.audit import AuditedAct
from tillbell.model.people import LinkPurpose, Person
from tillbell.rules.totp import accepted_step, enrolment_uri, secret_of, secret_text
from tillbell.storage.ports.people import PeopleStore, PersonChange, UsedCode
from tillbell.vault import Vault, hash_key, new_recovery_code, new_totp_secret

ISSUER = "Tillbell"
RECOVERY_CODES = 10


class WrongCode(Unauthenticated):
    """This code is wrong, or was used before. A phone shows a new one every 30 seconds."""


class TotpEnrolment(NamedTuple):
    """A secret that a phone is to learn. It counts when a code of it was sent back."""

    sealed: str  # the secret as the form brings it back
    text: str  # to type
    uri: str  # to read from a picture


class SecondFactors:
    """Turns second factors on and off, and checks their codes."""

    def __init__(self, store: PeopleStore, clock: Clock, ids: IdMaker, vault: Vault) -> None:
        self._store = store
        self._clock = clock
        self._vault = vault
        self._audit = AuditWriter(clock, ids)
        self._throttle = SignInThrottle(clock)

    def enrolment(self, person: Person) -> TotpEnrolment:
        """Return a new secret for a person; nothing is stored."""
        secret = new_totp_secret()
        return self._enrolment(person, secret)

    def shown_again(self, person: Person, sealed: str) -> TotpEnrolment:
        """Return the secret of a form that was sent with a wrong code; another if it is none."""
        try:
            return self._enrolment(person, secret_of(self._vault.open(sealed, _context(person))))
        except Misconfigured:
            return self.enrolment(person)

    async def turn_on(
        self, signed_in: SignedIn, sealed: str, code: str, visitor: Visitor
    ) -> list[str]:
        """Turn the factor on with a code of the new secret; return the recovery codes.

        `WrongCode` if the code is not of this secret, or of another person's form.
        """
        person = signed_in.person
        try:
            secret = self._vault.open(sealed, _context(person))
        except Misconfigured:
            raise WrongCode from None
        step = accepted_step(secret_of(secret), _plain(code), self._now_s(), 0)
        if step is None:
            raise WrongCode
        codes = [new_recovery_code() for _ in range(RECOVERY_CODES)]
        after = person._replace(
            totp_secret=self._vault.seal(secret, person.id),
            totp_step=step,
            recovery_codes=tuple(hash_key(_plain(text)) for text in codes),
        )
        await self._change(person, after, self._entry("turn-on-totp", person, visitor))
        return codes

    async def turn_off(self, signed_in: SignedIn, code: str, visitor: Visitor) -> None:
        """Turn the factor off with a code of it. `WrongCode`, `TooMany` after too many."""
        person = signed_in.person
        used = self._used_code(person, code, visitor)
        if used is None:
            raise WrongCode
        after = person._replace(totp_secret="", totp_step=used.step, recovery_codes=())
        await self._change(person, after, self._entry("turn-off-totp", person, visitor))

    async def sign_in(
        self, token: str, code: str, visitor: Visitor, replaces: str = ""
    ) -> NewSession:
        """Go on with a sign-in whose password was right. The session `replaces` ends.

        `WrongCode`, `TooMany` after too many, `LinkGone` after five minutes or another use.
        """
        link = await self._store.one_time_link(hash_key(token))
        person = None if link is None else await self._store.person(link.person_id)
        is_gone = link is None or link.expires_at <= self._clock.now()
        if link is None or person is None or is_gone:
            raise LinkGone("This took too long. Sign in again.")
        if link.purpose is not LinkPurpose.SECOND_STEP or not person.totp_secret:
            raise LinkGone
        used = self._used_code(person, code, visitor)
        if used is None:
            raise WrongCode
        session_token, session = new_session(person, visitor, self._clock.now())
        entry = self._entry("sign-in", person, visitor, {"by": [None, used.kind]})
        replaced = hash_key(replaces) if replaces else ""
        if not await self._store.add_session_by_code(
            person, used._replace(link_id=link.id), session, replaced, [entry]
        ):
            raise WrongCode
        return NewSession(person, session_token)

    def _used_code(self, person: Person, code: str, visitor: Visitor) -> UsedCode | None:
        """Return what a right code uses up; None if it is wrong. Tries are counted."""
        attempt = self._throttle.begin(f"code {person.id}", visitor.address, is_known=False)
        plain = _plain(code)
        used = self._totp(person, plain) or _recovery(person, plain)
        if used is not None:
            self._throttle.succeeded(attempt)
        return used

    def _totp(self, person: Person, code: str) -> UsedCode | None:
        secret = secret_of(self._vault.open(person.totp_secret, person.id))
        step = accepted_step(secret, code, self._now_s(), person.totp_step)
        return None if step is None else UsedCode("totp", step, person.recovery_codes)

    async def _change(self, before: Person, after: Person, entry: AuditedAct) -> None:
        now = self._clock.now()
        change = await self._store.change_person(before, after, now, [entry])
        if change is not PersonChange.DONE:
            raise ConflictError("Your account has changed meanwhile: look again.")

    def _entry(
        self,
        verb: str,
        person: Person,
        visitor: Visitor,
        changes: dict[str, list[object]] | None = None,
    ) -> AuditedAct:
        actor = actor_of(person, visitor)
        return self._audit.act(f"person.{verb}", person.id, changes=changes, actor=actor)

    def _enrolment(self, person: Person, secret: bytes) -> TotpEnrolment:
        text = secret_text(secret)
        sealed = self._vault.seal(text, _context(person))
        return TotpEnrolment(sealed, text, enrolment_uri(secret, ISSUER, person.email))

    def _now_s(self) -> int:
        return self._clock.now() // SECOND


def _recovery(person: Person, code: str) -> UsedCode | None:
    hashed = hash_key(code)
    others = tuple(each for each in person.recovery_codes if not hmac.compare_digest(each, hashed))
    if len(others) == len(person.recovery_codes):
        return None
    return UsedCode("recovery code", person.totp_step, others)


def _plain(code: str) -> str:
    """Return a code without the spaces and hyphens that people read it by."""
    return "".join(code.split()).replace("-", "").lower()


def _context(person: Person) -> str:
    """Return what the secret of a form is sealed for: this person, and no stored row."""
    return f"{person.id} enrolment"
