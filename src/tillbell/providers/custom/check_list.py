"""The list of checks of a custom source: how it is read, carried out and how much it proves.

All checks of the list must hold; `{"check": "any", "of": […]}` is content with one of several.
Nothing here raises, every comparison is in constant time, every secret of the source is tried.

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

from collections.abc import Iterator
from typing import get_args

from tillbell.model.sources import Trust
from tillbell.providers.custom.asymmetric import Asymmetric
from tillbell.providers.custom.check import LIST_MAX, Check, CheckContext, Problem
from tillbell.providers.custom.draft import RequestDraft
from tillbell.providers.custom.field_hash import FieldHash
from tillbell.providers.custom.hmac_check import Hmac
from tillbell.providers.custom.plain_checks import (
    BasicAuth,
    IpAllowlist,
    Mtls,
    NoProof,
    Pull,
    StaticField,
    StaticHeader,
    UrlToken,
)
from tillbell.providers.custom.template import Ambiguous
from tillbell.providers.kit.base import Unreadable, Verdict

DEPTH_MAX = 4


class CheckGroup(Check, frozen=True, kw_only=True):
    """Several checks that count as one."""

    of: tuple[AnyCheck, ...]


class AllOf(CheckGroup, frozen=True, kw_only=True, tag="all"):
    """Each of these must hold."""

    def verify(self, context: CheckContext) -> Verdict:
        """Carry out each; the first that does not hold refuses."""
        return verify_all(context, self.of)

    def declared_trust(self, context: CheckContext) -> Trust | None:
        """Return how much they prove together; None if one cannot hold."""
        return declared_trust(context, self.of)


class AnyOf(CheckGroup, frozen=True, kw_only=True, tag="any"):
    """One of these must hold."""

    def verify(self, context: CheckContext) -> Verdict:
        """Carry out all; of those that hold, the strongest counts."""
        verdicts = [_verify(context, check) for check in self.of]
        held = [verdict for verdict in verdicts if verdict.trust is not None]
        if held:
            return max(held, key=lambda verdict: verdict.trust or Trust.NONE)
        reasons = " ".join(verdict.why for verdict in verdicts)
        return Verdict(None, f"None of the checks holds: {reasons}")

    def declared_trust(self, context: CheckContext) -> Trust | None:
        """Return how much the weakest that can hold proves; None if none can hold."""
        trusts = [check.declared_trust(context) for check in self.of]
        return min((trust for trust in trusts if trust is not None), default=None)


AnyCheck = (
    StaticHeader
    | StaticField
    | UrlToken
    | BasicAuth
    | Hmac
    | FieldHash
    | Asymmetric
    | IpAllowlist
    | Mtls
    | Pull
    | NoProof
    | AnyOf
    | AllOf
)
NAMES = ", ".join(str(check.__struct_config__.tag) for check in get_args(AnyCheck))


def verify_all(context: CheckContext, checks: tuple[AnyCheck, ...]) -> Verdict:
    """Carry out all checks; the first that does not hold refuses."""
    trusts: list[Trust] = []
    reasons: list[str] = []
    for check in checks:
        verdict = _verify(context, check)
        if verdict.trust is None:
            return verdict
        trusts.append(verdict.trust)
        reasons.append(verdict.why)
    return Verdict(_strongest(checks, trusts), " ".join(reasons))


def declared_trust(context: CheckContext, checks: tuple[AnyCheck, ...]) -> Trust | None:
    """Return how much these checks prove at least when they hold; None if they cannot hold."""
    trusts = [check.declared_trust(context) for check in checks]
    held = [trust for trust in trusts if trust is not None]
    return _strongest(checks, held) if len(held) == len(trusts) else None


def sign(draft: RequestDraft, checks: tuple[AnyCheck, ...]) -> RequestDraft:
    """Write what all checks want to see; of `any` what its first one wants.

    What needs another's private key, address or certificate cannot be made: that check refuses.
    """
    singles = [single for check in checks for single in _singles(check)]
    # An HMAC may cover what the other checks write, so it comes last.
    for check in sorted(singles, key=lambda check: isinstance(check, Hmac)):
        draft = check.sign(draft)
    return draft


def each(checks: tuple[AnyCheck, ...]) -> Iterator[AnyCheck]:
    """Go through all checks, those in groups too."""
    for check in checks:
        yield check
        if isinstance(check, CheckGroup):
            yield from each(check.of)


def checks_problem(checks: tuple[AnyCheck, ...], depth: int = 1) -> Problem | None:
    """Say what is wrong with a list of checks, and where: `[0].template`."""
    if not 0 < len(checks) <= LIST_MAX:
        return "", f"must be a list of 1 to {LIST_MAX} checks: {NAMES}"
    if depth > DEPTH_MAX:
        return "", f"nests deeper than {DEPTH_MAX}"
    for number, check in enumerate(checks):
        if isinstance(check, CheckGroup):
            if inner := checks_problem(check.of, depth + 1):
                return f"[{number}].of{inner[0]}", inner[1]
        elif problem := check.problem():
            return f"[{number}].{problem[0]}", problem[1]
    return None


def _verify(context: CheckContext, check: AnyCheck) -> Verdict:
    try:
        return check.verify(context)
    except Ambiguous as error:
        return Verdict(None, f"The signature cannot be checked: {error}")
    except Unreadable as error:
        return Verdict(None, f"{error} Without it nothing can be proven.")


def _strongest(checks: tuple[AnyCheck, ...], trusts: list[Trust]) -> Trust | None:
    strongest = max(trusts, default=None)
    is_pulled = any(isinstance(check, Pull) for check in each(checks))
    return min(strongest, Trust.SECRET) if strongest is not None and is_pulled else strongest


def _singles(check: AnyCheck) -> list[AnyCheck]:
    if isinstance(check, AllOf):
        return [single for member in check.of for single in _singles(member)]
    return _singles(check.of[0]) if isinstance(check, AnyOf) else [check]
