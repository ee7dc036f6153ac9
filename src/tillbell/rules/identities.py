"""What an identity provider says of somebody, and what follows: may this person come in, as what.

Claims are the members of a token that the provider has signed; they are checked before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tillbell.model.people import Person, Role
from tillbell.rules.accounts import NAME_MAX, email_problem, normal_email

EVERYBODY = "*"
_ID_MAX = 1_000


class IdentityRules(NamedTuple):
    """Who may sign in by the identity provider, and the roles that it gives."""

    domains: tuple[str, ...] = ()  # of e-mail addresses; (): all
    role_claim: str = ""  # a name or a path; "": no claim gives a role
    roles: Mapping[str, Role] = {}  # by the values of the claim, or `*`
    trusts_email: bool = False  # also an address that is not called verified


class Identity(NamedTuple):
    """Somebody as an identity provider knows it."""

    id: str  # issuer and subject
    email: str  # in lower case; "": none that is verified
    name: str
    claimed_role: Role | None  # None: the claims give none


def identity_rules(
    domains: tuple[str, ...], role_claim: str, roles: tuple[str, ...], *, trusts_email: bool
) -> IdentityRules:
    """Return the rules of the settings; `roles` are texts such as `value=viewer`.

    >>> identity_rules((), "groups", ("a=b=admin",), trusts_email=False).roles
    {'a=b': <Role.ADMIN: 'admin'>}
    """
    pairs = (text.rpartition("=") for text in roles)
    by_value = {value: Role(role) for value, _, role in pairs}
    lower = tuple(domain.lower().lstrip("@") for domain in domains)
    return IdentityRules(lower, role_claim, by_value, trusts_email)


def identity_of(claims: Mapping[str, Any], rules: IdentityRules) -> Identity:
    """Return whom checked claims are about."""
    email = claims.get("email")
    is_verified = rules.trusts_email or claims.get("email_verified") in (True, "true")
    address = normal_email(email) if isinstance(email, str) and is_verified else ""
    name = claims.get("name")
    printable = "".join(c for c in str(name or "") if c.isprintable()).strip()
    return Identity(
        id=f"{claims['iss']} {claims['sub']}",
        email=address,
        name=printable[:NAME_MAX] or address.partition("@")[0],
        claimed_role=_claimed_role(claims, rules),
    )


def identity_problem(identity: Identity, rules: IdentityRules) -> str | None:
    """Return why nobody may sign in with this identity; None: somebody may.

    >>> anna = Identity("https://id.example 7", "anna@shop.example", "Anna", None)
    >>> identity_problem(anna, IdentityRules())
    >>> identity_problem(anna, IdentityRules(("other.example",)))
    'Addresses of shop.example may not sign in this way.'
    """
    if not identity.email:
        return "The identity provider does not say that your e-mail address is verified."
    if email_problem(identity.email) or len(identity.id) > _ID_MAX:
        return "The identity provider gave no usable e-mail address."
    domain = identity.email.rpartition("@")[2]
    if rules.domains and domain not in rules.domains:
        return f"Addresses of {domain} may not sign in this way."
    return None


def general_role(person: Person | None, identity: Identity, rules: IdentityRules) -> Role | None:
    """Return the role for all applications after a sign-in; None: none. `person` None: a new one.

    With a claim for roles, the provider decides at each sign-in. Without one, it decides about new
    people alone.
    """
    if person is not None and not rules.role_claim:
        return person.role
    return identity.claimed_role or rules.roles.get(EVERYBODY)


def may_come_as_owner(person: Person, issuer: str, rules: IdentityRules) -> bool:
    """Tell whether an owner can sign in by the identity provider, as far as we know.

    >>> anna = Person("per_1", "anna@shop.example", "Anna", "", Role.OWNER, 0)
    >>> may_come_as_owner(anna, "https://id.example", IdentityRules())
    True
    >>> may_come_as_owner(anna, "https://id.example", IdentityRules(("other.example",)))
    False
    """
    if person.role is not Role.OWNER or person.disabled_at is not None:
        return False
    if person.oidc_id:
        return person.oidc_id.partition(" ")[0].rstrip("/") == issuer.rstrip("/")
    return not rules.domains or person.email.rpartition("@")[2] in rules.domains


def _claimed_role(claims: Mapping[str, Any], rules: IdentityRules) -> Role | None:
    """Return the greatest role that a value of the claim gives."""
    value = _at(claims, rules.role_claim) if rules.role_claim else None
    values = value if isinstance(value, list) else [value]
    claimed = {role for name, role in rules.roles.items() if name in values and name != EVERYBODY}
    return next((role for role in Role if role in claimed), None)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim by its name, which may have dots in it, or else by its path."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
