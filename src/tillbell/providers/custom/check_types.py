"""The checks that the owner of a custom source may declare, each strictly read.

`checks` is a list of which all must hold; `{"check": "any", "of": […]}` is content with one.
A check that needs a secret takes the source's secrets, or the credential that it names with
`secret`: no secret stands in a check itself. What they mean: checking.py, docs/providers.md.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal

import msgspec

from tillbell.providers.custom.locations import place_problem
from tillbell.providers.custom.public_keys import verifier
from tillbell.providers.custom.template import template, template_problem
from tillbell.providers.kit.proof import from_hex

LIST_MAX = 20  # checks, networks, fingerprints, excluded names
DEPTH_MAX = 4
PREFIX_MAX = 50
TOLERANCE_MAX_S = 86_400

Algorithm = Literal["sha256", "sha512", "sha384", "sha1"]
AnyAlgorithm = Literal["sha256", "sha512", "sha384", "sha1", "md5"]
Output = Literal["hex", "base64", "base64url"]
KeyForm = Literal["utf8", "hex", "base64", "whsec"]
Unit = Literal["s", "ms", "http", "iso"]
Scheme = Literal["ed25519", "rsa-sha256", "rsa-pss-sha256"]


class DeclarationPart(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """How every part of the declaration is read: strictly, in camel case."""


class Check(DeclarationPart, frozen=True, kw_only=True, tag_field="check"):
    """One check. `problem` says what is wrong with it: member and text."""

    def problem(self) -> tuple[str, str] | None:
        """Say what cannot be seen from the types; None if nothing is wrong."""
        return None


class Timestamp(DeclarationPart, frozen=True, kw_only=True):
    """A signed time, and how far it may be off."""

    at: str
    prefix: str = ""  # of its element, where it stands in a list with the signature: `t=`
    unit: Unit = "s"
    past_seconds: int = 300
    future_seconds: int = 300


class SecretCheck(Check, frozen=True, kw_only=True):
    """A check with a secret: the source's, or a member of `credentials`."""

    secret: str | None = None


class StaticHeader(SecretCheck, frozen=True, kw_only=True, tag="static_header"):
    """A header that carries the very secret."""

    header: str
    prefix: str = ""  # `Bearer `

    def problem(self) -> tuple[str, str] | None:
        """Say what is wrong with it."""
        return _header_problem(self.header)


class StaticField(SecretCheck, frozen=True, kw_only=True, tag="static_field"):
    """A field or parameter that carries the very secret."""

    at: str

    def problem(self) -> tuple[str, str] | None:
        """Say what is wrong with it."""
        return _named("at", place_problem(self.at))


class UrlToken(Check, frozen=True, kw_only=True, tag="url_token"):
    """The token at the end of the source's URL, which nobody else knows."""


class BasicAuth(SecretCheck, frozen=True, kw_only=True, tag="basic_auth"):
    """HTTP Basic authentication (RFC 7617); the password is the secret."""

    user: str


class Signature(Check, frozen=True, kw_only=True):
    """Where a signature stands, what it covers, how it is written."""

    at: str
    template: str = "{body}"
    output: Output = "hex"
    prefix: str = (
        ""  # before the signature: `sha256=`, `v1,`; what does not begin so is passed over
    )
    separator: str = ""  # between several signatures: a space, a comma
    timestamp: Timestamp | None = None

    def problem(self) -> tuple[str, str] | None:
        """Say what is wrong with it."""
        return (
            _named("at", place_problem(self.at))
            or _named("template", template_problem(self.template))
            or self._template_problem()
            or self._time_problem()
        )

    def _template_problem(self) -> tuple[str, str] | None:
        parts = template(self.template)
        if parts.uses("secret"):
            return "template", "may not hold {secret}, which is the key; see field_hash"
        if not any(part.kind for part in parts.parts):
            return "template", "holds no variable, so the signature would cover nothing"
        is_inside = not self.at.startswith(("header:", "query:"))
        if is_inside and any(part.kind.endswith(("body", "body)")) for part in parts.parts):
            return "at", "a signature inside the body cannot cover {body}; list the {field:…}s"
        if self.at.startswith("query:") and (parts.uses("url") or parts.uses("target")):
            return "at", "a signature in the query cannot cover {url} or {target}; use {path}"
        if parts.uses("timestamp") and self.timestamp is None:
            return "timestamp", 'is needed for {timestamp}: {"at": "header:X-Timestamp"}'
        return None

    def _time_problem(self) -> tuple[str, str] | None:
        time = self.timestamp
        if time is None:
            return None
        parts = template(self.template)
        if wrong := place_problem(time.at):
            return "timestamp.at", wrong
        limits = (time.past_seconds, time.future_seconds)
        if not all(1 <= limit <= TOLERANCE_MAX_S for limit in limits):
            return "timestamp.pastSeconds", f"and futureSeconds are 1 to {TOLERANCE_MAX_S}"
        kind, _, name = time.at.partition(":")
        is_in = f"{{{kind}:{name}}}".lower() in self.template.lower() or "{body}" in self.template
        if not parts.uses("timestamp") and not is_in:
            return "template", "does not hold {timestamp}, so the time would not be signed"
        return None


class Hmac(Signature, frozen=True, kw_only=True, tag="hmac"):
    """A keyed hash over the template."""

    secret: str | None = None  # as of every check with a secret
    algorithm: Algorithm = "sha256"
    key: KeyForm = "utf8"


class Asymmetric(Signature, frozen=True, kw_only=True, tag="asymmetric"):
    """A signature of the sender's private key."""

    algorithm: Scheme
    public_key: str  # PEM of a key or certificate, or `whpk_…`
    output: Output = "base64"

    def problem(self) -> tuple[str, str] | None:
        """Say what is wrong with it."""
        return super().problem() or _named("publicKey", _key_problem(self))


class FieldHash(SecretCheck, frozen=True, kw_only=True, tag="field_hash"):
    """A plain hash of fields and the secret: by a template, or of all values sorted by name."""

    at: str
    algorithm: AnyAlgorithm = "sha256"
    template: str | None = None
    separator: str = ""  # between sorted values
    excluded: tuple[str, ...] = ()  # names of fields that are not hashed
    omit_blanks: bool = False
    secret_at: Literal["end", "start"] = "end"  # noqa: S105 - a side, not a secret
    output: Output = "hex"

    def problem(self) -> tuple[str, str] | None:
        """Say what is wrong with it."""
        if wrong := place_problem(self.at):
            return "at", wrong
        if self.template is None:
            return None
        if wrong := template_problem(self.template):
            return "template", wrong
        if not template(self.template).uses("secret"):
            return "template", "holds no {secret}, so anybody could compute the hash"
        if template(self.template).uses("timestamp"):
            return "template", "may not hold {timestamp}; name its field: {field:/time}"
        return None


class IpAllowlist(Check, frozen=True, kw_only=True, tag="ip_allowlist"):
    """Networks that it calls from."""

    networks: tuple[str, ...]

    def problem(self) -> tuple[str, str] | None:
        """Say what is wrong with it."""
        if not 0 < len(self.networks) <= LIST_MAX * 10:
            return "networks", f"must be 1 to {LIST_MAX * 10} networks, like 192.0.2.0/24"
        for number, network in enumerate(self.networks):
            try:
                ip_network(network, strict=False)
            except ValueError:
                return f"networks[{number}]", "is no address or network, like 192.0.2.0/24"
        return None


class Mtls(Check, frozen=True, kw_only=True, tag="mtls"):
    """The fingerprint of the client's certificate, told by a trusted proxy in a header."""

    header: str
    fingerprints: tuple[str, ...]  # hex of SHA-1 or SHA-256, with or without colons

    def problem(self) -> tuple[str, str] | None:
        """Say what is wrong with it."""
        if not 0 < len(self.fingerprints) <= LIST_MAX:
            return "fingerprints", f"must be 1 to {LIST_MAX}"
        for number, text in enumerate(self.fingerprints):
            if len(from_hex(text.replace(":", ""))) not in (20, 32):
                return f"fingerprints[{number}]", "is no SHA-1 or SHA-256 fingerprint in hex"
        return _header_problem(self.header)


class Pull(Check, frozen=True, kw_only=True, tag="pull"):
    """No proof here: what it says must be confirmed by a look-up."""


class NoProof(Check, frozen=True, kw_only=True, tag="none"):
    """No proof at all. Its owner must have said so."""

    acknowledged: bool = False

    def problem(self) -> tuple[str, str] | None:
        """Say what is wrong with it."""
        if self.acknowledged:
            return None
        told = 'anybody could send it; if that is meant, add "acknowledged": true'
        return "acknowledged", told


class AllOf(Check, frozen=True, kw_only=True, tag="all"):
    """Each of these must hold."""

    of: tuple[AnyCheck, ...]


class AnyOf(Check, frozen=True, kw_only=True, tag="any"):
    """One of these must hold."""

    of: tuple[AnyCheck, ...]


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
    | AllOf
    | AnyOf
)
NAMES = (
    "static_header, static_field, url_token, basic_auth, hmac, field_hash, asymmetric, "
    "ip_allowlist, mtls, pull, none, any, all"
)


def each(checks: tuple[AnyCheck, ...]) -> tuple[AnyCheck, ...]:
    """Return all checks, those in groups too."""
    found: list[AnyCheck] = []
    for check in checks:
        found.append(check)
        if isinstance(check, AllOf | AnyOf):
            found.extend(each(check.of))
    return tuple(found)


def checks_problem(checks: tuple[AnyCheck, ...], depth: int = 1) -> tuple[str, str] | None:
    """Say what is wrong with a list of checks, and where: `[0].template`."""
    if not 0 < len(checks) <= LIST_MAX:
        return "", f"must be a list of 1 to {LIST_MAX} checks: {NAMES}"
    if depth > DEPTH_MAX:
        return "", f"nests deeper than {DEPTH_MAX}"
    for number, check in enumerate(checks):
        if isinstance(check, AllOf | AnyOf):
            inner = checks_problem(check.of, depth + 1)
            if inner is not None:
                return f"[{number}].of{inner[0]}", inner[1]
        elif found := check.problem():
            return f"[{number}].{found[0]}", found[1]
    return None


def _named(member: str, wrong: str | None) -> tuple[str, str] | None:
    return (member, wrong) if wrong is not None else None


def _header_problem(name: str) -> tuple[str, str] | None:
    if name and name.isascii() and name.replace("-", "").replace("_", "").isalnum():
        return None
    return "header", "must be the name of a header, like X-Webhook-Secret"


def _key_problem(check: Asymmetric) -> str | None:
    try:
        verifier(check.algorithm, check.public_key)
    except ValueError as error:
        return str(error)
    return None
