"""Carrying out the checks that a source's owner declared. Pure, and never raises.

Every comparison is in constant time, every secret of the source is tried. A check says how much
it proves:

| check | proves |
| --- | --- |
| `hmac`, `asymmetric` | `signed` if all that moves money is covered, else `partially-signed` |
| `field_hash` | `partially-signed`: a plain hash of joined values |
| `static_header`, `static_field`, `basic_auth`, `url_token`, `mtls` | `secret` |
| `ip_allowlist` | `network` |
| `pull`, `none` | `none` |

Of several that must all hold the strongest counts, of `any` the one that held. Beside a `pull`
nothing counts for more than `secret`: the look-up decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tillbell.model.sources import Trust
from tillbell.providers.custom.check_types import (
    AllOf,
    AnyCheck,
    AnyOf,
    Asymmetric,
    BasicAuth,
    FieldHash,
    Hmac,
    IpAllowlist,
    Mtls,
    NoProof,
    Pull,
    SecretCheck,
    Signature,
    StaticField,
    StaticHeader,
    UrlToken,
    each,
)
from tillbell.providers.custom.config import SourceDeclaration
from tillbell.providers.custom.locations import RequestContent, place
from tillbell.providers.custom.near_miss import near_miss
from tillbell.providers.custom.public_keys import verifier
from tillbell.providers.custom.signatures import (
    DECODERS,
    claimed_signature,
    field_hash,
    hmac_of,
    time_problem,
)
from tillbell.providers.custom.template import Ambiguous, template
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable, Verdict
from tillbell.providers.kit.proof import (
    NO_SECRET,
    from_base64,
    from_hex,
    is_from,
    is_one_of,
    key_bytes,
    same_text,
    signed,
    verify_with_secrets,
)

_TOKEN_PATH = re.compile(r"/api/webhooks/[^/]+/[^/]+\Z")


class CheckContext(NamedTuple):
    """What a check may look at."""

    content: RequestContent
    declared: SourceDeclaration
    setup: SourceSetup
    is_explained: bool = False  # also say what a near miss would need; takes long

    @property
    def incoming(self) -> Incoming:
        """The request as it came."""
        return self.content.incoming

    def secrets(self, check: SecretCheck | Hmac) -> tuple[str, ...]:
        """Return the secrets of a check: the credential it names, else the source's."""
        if check.secret is None:
            return self.setup.secrets
        found = self.declared.credentials.get(check.secret)
        return (found,) if found else ()


def verify(asked: CheckContext) -> Verdict:
    """Carry out all checks; the first that does not hold refuses."""
    if not asked.declared.checks:
        return Verdict(None, "No checks are declared, so nothing can be proven. Set checks.")
    return _all(asked, asked.declared.checks)


def declared_trust(asked: CheckContext, checks: tuple[AnyCheck, ...]) -> Trust | None:
    """Return how much these checks prove at least when they hold; None: they cannot hold."""
    found = [_promise(asked, check) for check in checks]
    return None if None in found else _strongest(checks, [one for one in found if one is not None])


def _promise(asked: CheckContext, check: AnyCheck) -> Trust | None:
    if isinstance(check, AllOf):
        return declared_trust(asked, check.of)
    if isinstance(check, AnyOf):
        found = [_promise(asked, one) for one in check.of]
        return min((one for one in found if one is not None), default=None)
    if isinstance(check, SecretCheck | Hmac) and not any(asked.secrets(check)):
        return None
    return _trust(asked, check)


def _trust(asked: CheckContext, check: AnyCheck) -> Trust:
    if isinstance(check, Hmac | Asymmetric):
        return _covered(asked.declared, check)
    return _TRUST[type(check)]


def _covered(declared: SourceDeclaration, check: Signature) -> Trust:
    """Tell whether all that decides about money is signed, and its borders too."""
    parts = template(check.template)
    needed = declared.money_places or (place("/all"),)
    whole = parts.is_parted and all(parts.covers(where) for where in needed)
    return Trust.SIGNED if whole else Trust.PARTIALLY_SIGNED


# ── the checks ───────────────────────────────────────────────────────────────────────────────────


def _all(asked: CheckContext, checks: tuple[AnyCheck, ...]) -> Verdict:
    held: list[Verdict] = []
    for check in checks:
        verdict = _held(asked, check)
        if verdict.trust is None:
            return verdict
        held.append(verdict)
    best = _strongest(checks, [one.trust for one in held if one.trust is not None])
    return Verdict(best, " ".join(one.why for one in held))


def _strongest(checks: tuple[AnyCheck, ...], found: list[Trust]) -> Trust | None:
    best = max(found, default=None)
    is_pulled = any(isinstance(one, Pull) for one in each(checks))
    return min(best, Trust.SECRET) if best is not None and is_pulled else best


def _any(asked: CheckContext, checks: tuple[AnyCheck, ...]) -> Verdict:
    found = [_held(asked, check) for check in checks]
    held = [one for one in found if one.trust is not None]
    if held:
        return max(held, key=lambda one: one.trust or Trust.NONE)
    return Verdict(None, "None of the checks holds: " + " ".join(one.why for one in found))


def _held(asked: CheckContext, check: AnyCheck) -> Verdict:
    if isinstance(check, AllOf):
        return _all(asked, check.of)
    if isinstance(check, AnyOf):
        return _any(asked, check.of)
    try:
        return _CHECKERS[type(check)](asked, check)
    except Ambiguous as error:
        return Verdict(None, f"The signature cannot be checked: {error}")
    except Unreadable as error:
        return Verdict(None, f"{error} Without it nothing can be proven.")


def _static_header(asked: CheckContext, check: StaticHeader) -> Verdict:
    name = check.header.lower()
    sent = asked.incoming.header(name)
    if sent is None:
        return Verdict(None, f"The header {name} is missing or stands twice.")
    if not sent.startswith(check.prefix):
        return Verdict(None, f"The header {name} does not begin with {check.prefix!r}.")
    return _carried(asked, check, sent.removeprefix(check.prefix), f"The header {name}")


def _static_field(asked: CheckContext, check: StaticField) -> Verdict:
    sent = asked.content.raw(place(check.at))
    if not sent:
        return Verdict(None, f"There is nothing at {check.at}, where the secret should stand.")
    return _carried(asked, check, sent, f"What stands at {check.at}")


def _carried(asked: CheckContext, check: SecretCheck, sent: str, what: str) -> Verdict:
    secrets = asked.secrets(check)
    return verify_with_secrets(secrets, lambda secret: same_text(sent, secret), what, Trust.SECRET)


def _basic_auth(asked: CheckContext, check: BasicAuth) -> Verdict:
    scheme, _, rest = (asked.incoming.header("authorization") or "").partition(" ")
    sent = from_base64(rest)
    if scheme.lower() != "basic" or not sent:
        return Verdict(None, "There is no Authorization: Basic with user and password.")
    user = key_bytes(check.user)

    def is_right(secret: str) -> bool:
        return is_one_of([sent], [user + b":" + key_bytes(secret)])

    return verify_with_secrets(asked.secrets(check), is_right, "User and password", Trust.SECRET)


def _url_token(asked: CheckContext, check: UrlToken) -> Verdict:
    """Who knows the path has found this source by its token; a default source has none."""
    del check
    if _TOKEN_PATH.search(asked.incoming.target.partition("?")[0]):
        return Verdict(Trust.SECRET, "It came to the source's own URL.")
    return Verdict(None, "It did not come to the source's own URL, the one with the token.")


def _hmac(asked: CheckContext, check: Hmac) -> Verdict:
    secrets = asked.secrets(check)
    if not any(secrets):
        return NO_SECRET
    made = claimed_signature(asked.content, check, asked.declared.event.id)
    if isinstance(made, Verdict):
        return made
    late = time_problem(made, check, asked.incoming.received_at)
    if late is not None:
        return Verdict(None, late)
    message = made.message(check)
    trust = _covered(asked.declared, check)

    def is_right(secret: str) -> bool:
        expected = hmac_of(check, secret, message)
        return expected is not None and is_one_of(made.given, [expected])

    verdict = verify_with_secrets(secrets, is_right, f"The HMAC at {check.at}", trust)
    if verdict.trust is not None:
        return verdict
    why = verdict.why if any(made.given) else f"What stands at {check.at} is no {check.output}."
    near = near_miss(made, check, secrets) if asked.is_explained else None
    return Verdict(None, why if near is None else f"{why} {near}")


def _asymmetric(asked: CheckContext, check: Asymmetric) -> Verdict:
    made = claimed_signature(asked.content, check, asked.declared.event.id)
    if isinstance(made, Verdict):
        return made
    late = time_problem(made, check, asked.incoming.received_at)
    if late is not None:
        return Verdict(None, late)
    try:
        verifies = verifier(check.algorithm, check.public_key)
    except ValueError as error:
        return Verdict(None, f"The public key {error}.")
    message = made.message(check)
    is_right = any(verifies(one, message) for one in made.given if one)
    if is_right:
        return signed(is_right=True, scheme=check.algorithm, trust=_covered(asked.declared, check))
    return Verdict(None, f"The {check.algorithm} signature does not match. Check the public key.")


def _field_hash(asked: CheckContext, check: FieldHash) -> Verdict:
    secrets = asked.secrets(check)
    if not any(secrets):
        return NO_SECRET
    written = asked.content.raw(place(check.at))
    given = DECODERS[check.output](written)
    if not given:
        return Verdict(None, f"There is no {check.output} at {check.at}.")

    def is_right(secret: str) -> bool:
        return is_one_of([given], [field_hash(asked.content, check, secret)])

    return verify_with_secrets(secrets, is_right, f"The hash at {check.at}", Trust.PARTIALLY_SIGNED)


def _ip_allowlist(asked: CheckContext, check: IpAllowlist) -> Verdict:
    if is_from(asked.incoming.peer, check.networks):
        return Verdict(Trust.NETWORK, "It comes from one of the source's networks.")
    where = asked.incoming.peer or "an unknown address"
    return Verdict(None, f"It comes from {where}, which is in none of the source's networks.")


def _mtls(asked: CheckContext, check: Mtls) -> Verdict:
    if not asked.incoming.is_proxied:
        return Verdict(None, "No trusted proxy handed it over, so nobody checked a certificate.")
    sent = from_hex((asked.incoming.header(check.header.lower()) or "").replace(":", ""))
    known = [from_hex(text.replace(":", "")) for text in check.fingerprints]
    if is_one_of([sent], known):
        return Verdict(Trust.SECRET, "The client's certificate is one of the source's.")
    return Verdict(None, f"The header {check.header} holds none of the source's fingerprints.")


def _pull(asked: CheckContext, check: Pull) -> Verdict:
    del asked, check
    return Verdict(Trust.NONE, "Nothing is proven here; a look-up must confirm it.")


def _no_proof(asked: CheckContext, check: NoProof) -> Verdict:
    del asked
    if not check.acknowledged:
        return Verdict(None, "Its owner has not acknowledged that nothing is proven.")
    return Verdict(Trust.NONE, "Nothing is proven: anybody could have sent it.")


_TRUST: Mapping[type, Trust] = MappingProxyType(
    {
        StaticHeader: Trust.SECRET,
        StaticField: Trust.SECRET,
        UrlToken: Trust.SECRET,
        BasicAuth: Trust.SECRET,
        Mtls: Trust.SECRET,
        FieldHash: Trust.PARTIALLY_SIGNED,
        IpAllowlist: Trust.NETWORK,
        Pull: Trust.NONE,
        NoProof: Trust.NONE,
    }
)
_CHECKERS: Mapping[type, Callable[[CheckContext, Any], Verdict]] = MappingProxyType(
    {
        StaticHeader: _static_header,
        StaticField: _static_field,
        UrlToken: _url_token,
        BasicAuth: _basic_auth,
        Hmac: _hmac,
        FieldHash: _field_hash,
        Asymmetric: _asymmetric,
        IpAllowlist: _ip_allowlist,
        Mtls: _mtls,
        Pull: _pull,
        NoProof: _no_proof,
    }
)
