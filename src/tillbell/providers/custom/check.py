"""What every check is: a declaration that a custom source's owner writes, with its methods.

`problem` says what is wrong with it, `verify` carries it out, `declared_trust` says how much it
can prove, `sign` writes a request that it accepts. No secret stands in a check: it takes the
source's secrets, or the credential that it names with `secret`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import msgspec

from tillbell.model.sources import Trust
from tillbell.providers.custom.draft import RequestDraft
from tillbell.providers.custom.locations import RequestContent, RequestPlace
from tillbell.providers.kit.base import Incoming, SourceSetup, Verdict

LIST_MAX = 20  # checks, fingerprints; ten times as many networks
Problem = tuple[str, str]  # member and what is wrong with it


class DeclarationPart(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """A part of the declaration. Its members are in camel case; an unknown one is refused."""


class CheckContext(NamedTuple):
    """What a check may look at: the request, the secrets and the rest of the declaration."""

    content: RequestContent
    setup: SourceSetup
    credentials: Mapping[str, str] = {}
    id_at: str | None = None  # place of the event's id
    money_places: tuple[RequestPlace, ...] = ()  # on which it depends what money does
    is_explained: bool = False  # also say what a near miss would need; takes long

    @property
    def incoming(self) -> Incoming:
        """The request as it came."""
        return self.content.incoming

    def secrets(self, name: str | None) -> tuple[str, ...]:
        """Return the credential of that name, if there is one; without a name the source's."""
        if name is None:
            return self.setup.secrets
        credential = self.credentials.get(name)
        return (credential,) if credential else ()


class Check(DeclarationPart, frozen=True, kw_only=True, tag_field="check"):
    """One check."""

    proves: ClassVar[Trust] = Trust.NONE

    def problem(self) -> Problem | None:
        """Say what the types do not show to be wrong; None if nothing is."""
        return None

    def verify(self, context: CheckContext) -> Verdict:
        """Carry the check out. Raises `Ambiguous` and `Unreadable`."""
        raise NotImplementedError

    def declared_trust(self, context: CheckContext) -> Trust | None:
        """Return how much it proves when it holds; None if it cannot hold."""
        del context
        return self.proves

    def sign(self, draft: RequestDraft) -> RequestDraft:
        """Write into a request what the check wants to see; nothing if we cannot make it."""
        return draft


class SecretCheck(Check, frozen=True, kw_only=True):
    """A check that needs a secret: the source's, or the credential named here."""

    secret: str | None = None

    def declared_trust(self, context: CheckContext) -> Trust | None:
        """Return how much it proves; None without a secret."""
        return self.proves if any(context.secrets(self.secret)) else None


def named_problem(member: str, wrong: str | None) -> Problem | None:
    """Return a problem of that member; None if nothing is wrong."""
    return (member, wrong) if wrong is not None else None
