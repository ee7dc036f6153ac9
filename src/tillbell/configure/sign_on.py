"""Sign-in by an identity provider: from our page to the provider's, and back.

What a sign-in is bound to travels in a cookie, sealed: so only the browser that began it can end
it. It ends once.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

import msgspec

from tillbell.clock import MINUTE, Clock, Micros
from tillbell.configure.identity_provider import Flow, IdentityProvider, SignOnRefused
from tillbell.configure.people import (
    SECOND_STEP_LIFE,
    NewSession,
    SecondStep,
    Visitor,
    actor_of,
    new_session,
    rights_of,
)
from tillbell.configure.sign_in_throttle import SignInThrottle
from tillbell.deliver.audit import AuditWriter
from tillbell.errors import Misconfigured
from tillbell.ids import IdMaker
from tillbell.model.audit import NOBODY, AuditedAct
from tillbell.model.people import LinkPurpose, OneTimeLink, Person, Role
from tillbell.rules.identities import (
    Identity,
    general_role,
    identity_of,
    identity_problem,
    may_come_as_owner,
)
from tillbell.storage.ports.people import PeopleStore, SignOn, SignOnEnd
from tillbell.vault import Vault, hash_key, new_token

SIGN_ON_LIFE: Micros = 10 * MINUTE
_SEALED_FOR = "sign-on"


class Departure(NamedTuple):
    """Where to send a browser, and what it brings back in a cookie."""

    url: str
    sealed: str


class Arrival(NamedTuple):
    """Somebody who is let in, and the page that was asked for."""

    session: NewSession | SecondStep
    way: str


class _Sealed(msgspec.Struct):
    flow: Flow
    way: str
    expires_at: Micros


class SignOns:
    """Signs people in by the identity provider of the settings."""

    def __init__(
        self,
        provider: IdentityProvider,
        store: PeopleStore,
        clock: Clock,
        ids: IdMaker,
        vault: Vault,
    ) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._ids = ids
        self._vault = vault
        self._rules = provider.rules
        self._audit = AuditWriter(clock, ids)
        self._throttle = SignInThrottle(clock)

    def lets_owner_in(self, people: list[Person], issuer: str) -> bool:
        """Tell whether somebody can come as owner by the provider, as far as we know."""
        if Role.OWNER in self._rules.roles.values():
            return True
        return any(may_come_as_owner(person, issuer, self._rules) for person in people)

    async def close(self) -> None:
        """Close the connections to the provider."""
        await self._provider.close()

    async def begin(self, redirect_uri: str, way: str) -> Departure:
        """Return where to send a browser. `SignOnRefused` if the provider cannot be asked."""
        flow = Flow(redirect_uri, new_token(), new_token(), new_token())
        url = await self._provider.authorization_url(flow)
        sealed = _Sealed(flow, way, self._clock.now() + SIGN_ON_LIFE)
        text = msgspec.json.encode(sealed).decode()
        return Departure(url, self._vault.seal(text, _SEALED_FOR))

    async def finish(
        self, sealed: str, state: str, code: str, visitor: Visitor, replaces: str = ""
    ) -> Arrival:
        """Sign in whom the provider has sent back; the session with the token `replaces` ends.

        `SignOnRefused` says why not, `TooMany` after too many refusals.
        """
        begun = self._opened(sealed)
        if begun is None or not hmac.compare_digest(begun.flow.state.encode(), state.encode()):
            raise SignOnRefused(
                "This sign-in was not begun in this browser, or it took too long. Begin again."
            )
        attempt = self._throttle.begin(
            f"sign-on {visitor.address}", visitor.address, is_known=False
        )
        try:
            claims = await self._provider.claims(code, begun.flow)
            session = await self._let_in(
                identity_of(claims, self._rules),
                begun,
                visitor,
                hash_key(replaces) if replaces else "",
            )
        except SignOnRefused as error:
            await self._store.add_audit_entries([self._refusal(str(error), visitor)])
            raise
        self._throttle.succeeded(attempt)
        return Arrival(session, begun.way)

    async def _let_in(
        self, identity: Identity, begun: _Sealed, visitor: Visitor, replaces: str
    ) -> NewSession | SecondStep:
        problem = identity_problem(identity, self._rules)
        if problem is not None:
            raise SignOnRefused(problem)
        before = await self._person_of(identity)
        after = self._after(before, identity)
        end = await self._commit(before, after, begun, visitor, replaces)
        if end is SignOnEnd.LAST_OWNER and before is not None:
            after = after._replace(role=before.role)
            end = await self._commit(before, after, begun, visitor, replaces)
        if isinstance(end, SignOnEnd):
            raise SignOnRefused(
                "This sign-in was used already, or your account changed. Begin again."
            )
        return end

    async def _person_of(self, identity: Identity) -> Person | None:
        """Return the person of an identity: known by it, or by the verified address.

        `SignOnRefused` if the person may not come in this way.
        """
        person = await self._store.person_of_identity(identity.id)
        if person is None:
            person = await self._store.person_of_email(identity.email)
            if person is not None and person.oidc_id:
                raise SignOnRefused(
                    f"{identity.email} belongs to another account of the identity provider. "
                    "Ask an owner or admin."
                )
        if person is not None and person.disabled_at is not None:
            raise SignOnRefused("Your account here is disabled. Ask an owner or admin.")
        return person

    def _after(self, before: Person | None, identity: Identity) -> Person:
        """Return a person as it is after this sign-in. `SignOnRefused` if it has no role then."""
        role, now = general_role(before, identity, self._rules), self._clock.now()
        if role is None and (before is None or not before.app_roles):
            raise SignOnRefused(
                f"{identity.email} is not invited here. Ask an owner or admin for an invitation."
                if before is None
                else "The identity provider gives you no role here. Ask its administrator."
            )
        if before is None:
            id_ = self._ids.new("per", now)
            return Person(
                id_, identity.email, identity.name, "", role, now, now, oidc_id=identity.id
            )
        name = before.name or identity.name
        return before._replace(role=role, name=name, oidc_id=identity.id)

    async def _commit(
        self,
        before: Person | None,
        after: Person,
        begun: _Sealed,
        visitor: Visitor,
        replaces: str,
    ) -> NewSession | SecondStep | SignOnEnd:
        """Store the sign-in; return what begins, or why nothing does."""
        now = self._clock.now()
        ended = OneTimeLink(
            hash_key(begun.flow.state), LinkPurpose.SIGN_ON, "", now, begun.expires_at
        )
        token, session = new_session(after, visitor, now)
        begins = session if not after.totp_secret else _second_step(token, after, now)
        step = SignOn(before, after, ended, begins, replaces)
        end = await self._store.sign_on(step, self._entries(before, after, visitor))
        if end is not SignOnEnd.DONE:
            return end
        return SecondStep(token) if after.totp_secret else NewSession(after, token)

    def _opened(self, sealed: str) -> _Sealed | None:
        try:
            text = self._vault.open(sealed, _SEALED_FOR)
        except Misconfigured:  # not ours, or of a key that we no longer have
            return None
        begun = msgspec.json.decode(text, type=_Sealed)
        return begun if begun.expires_at > self._clock.now() else None

    def _entries(self, before: Person | None, after: Person, visitor: Visitor) -> list[AuditedAct]:
        actor = actor_of(after, visitor)
        changes = _changes(before, after)
        verb = "create" if before is None else "sign-on"
        entries = [self._audit.act(f"person.{verb}", after.id, changes=changes, actor=actor)]
        if not changes:
            entries.clear()
        if not after.totp_secret:
            by: dict[str, list[object]] = {"by": [None, "identity provider"]}
            entries.append(self._audit.act("person.sign-in", after.id, changes=by, actor=actor))
        return entries

    def _refusal(self, reason: str, visitor: Visitor) -> AuditedAct:
        changes: dict[str, list[object]] = {
            "by": [None, "identity provider"],
            "reason": [None, reason],
        }
        actor = visitor.acting_as(NOBODY)
        return self._audit.act("person.sign-in-failed", "", changes=changes, actor=actor)


def _second_step(token: str, person: Person, now: Micros) -> OneTimeLink:
    return OneTimeLink(
        hash_key(token), LinkPurpose.SECOND_STEP, person.id, now, now + SECOND_STEP_LIFE
    )


def _changes(before: Person | None, after: Person) -> dict[str, list[object]]:
    """Return what a sign-in has changed of a person, for the audit log."""
    pairs: dict[str, list[object]] = {
        name: [old, new]
        for (name, new), old in zip(_shown(after).items(), _shown(before).values(), strict=True)
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _shown(person: Person | None) -> dict[str, object]:
    if person is None:
        return dict.fromkeys(("email", "name", "roles", "identity"))
    identity = person.oidc_id or None
    roles = str(rights_of(person))
    return {"email": person.email, "name": person.name, "roles": roles, "identity": identity}
