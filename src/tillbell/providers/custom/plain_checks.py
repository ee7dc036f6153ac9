"""Checks without a signature: a secret that travels along, an address, a certificate, or nothing.

Secrets are compared in constant time, and each secret of the source is tried.
"""

from __future__ import annotations

import base64
import re
from ipaddress import ip_network
from typing import ClassVar

from tillbell.model.sources import Trust
from tillbell.providers.custom.check import (
    LIST_MAX,
    Check,
    CheckContext,
    Problem,
    SecretCheck,
    named_problem,
)
from tillbell.providers.custom.draft import RequestDraft
from tillbell.providers.custom.locations import RequestPlace, place, place_problem
from tillbell.providers.kit import networks
from tillbell.providers.kit.base import Verdict
from tillbell.providers.kit.proof import (
    from_base64,
    from_hex,
    is_one_of,
    key_bytes,
    same_text,
    verify_with_secrets,
)

NETWORKS_MAX = LIST_MAX * 10
_TOKEN_PATH = re.compile(r"/api/webhooks/[^/]+/[^/]+\Z")


class _CarriedSecret(SecretCheck, frozen=True, kw_only=True):
    """A check of a secret that the request carries as it stands."""

    proves: ClassVar[Trust] = Trust.SECRET

    def compare(self, context: CheckContext, carried: str, where: str) -> Verdict:
        """Compare what the request carries with each secret."""
        secrets = context.secrets(self.secret)
        return verify_with_secrets(
            secrets, lambda secret: same_text(carried, secret), where, self.proves
        )


class StaticHeader(_CarriedSecret, frozen=True, kw_only=True, tag="static_header"):
    """A header that carries the secret itself."""

    header: str
    prefix: str = ""  # `Bearer `

    def problem(self) -> Problem | None:
        """Say whether the header's name is wrong."""
        return _header_problem(self.header)

    def verify(self, context: CheckContext) -> Verdict:
        """Compare what follows the prefix."""
        name = self.header.lower()
        value = context.incoming.header(name)
        if value is None:
            return Verdict(None, f"The header {name} is missing or stands twice.")
        if not value.startswith(self.prefix):
            return Verdict(None, f"The header {name} does not begin with {self.prefix!r}.")
        return self.compare(context, value.removeprefix(self.prefix), f"The header {name}")

    def sign(self, draft: RequestDraft) -> RequestDraft:
        """Write the header."""
        where = RequestPlace("header", self.header.lower())
        return draft.put(where, self.prefix + draft.secret(self.secret))


class StaticField(_CarriedSecret, frozen=True, kw_only=True, tag="static_field"):
    """A field or parameter that carries the secret itself."""

    at: str

    def problem(self) -> Problem | None:
        """Say whether the place is wrong."""
        return named_problem("at", place_problem(self.at))

    def verify(self, context: CheckContext) -> Verdict:
        """Compare the field."""
        value = context.content.raw(place(self.at))
        if not value:
            return Verdict(None, f"There is nothing at {self.at}, where the secret should stand.")
        return self.compare(context, value, f"What stands at {self.at}")

    def sign(self, draft: RequestDraft) -> RequestDraft:
        """Write the field."""
        return draft.put(place(self.at), draft.secret(self.secret))


class BasicAuth(SecretCheck, frozen=True, kw_only=True, tag="basic_auth"):
    """HTTP Basic authentication (RFC 7617). The password is the secret."""

    proves: ClassVar[Trust] = Trust.SECRET
    user: str

    def verify(self, context: CheckContext) -> Verdict:
        """Compare user and password."""
        scheme, _, encoded = (context.incoming.header("authorization") or "").partition(" ")
        carried = from_base64(encoded)
        if scheme.lower() != "basic" or not carried:
            return Verdict(None, "There is no Authorization: Basic with user and password.")
        return verify_with_secrets(
            context.secrets(self.secret),
            lambda secret: is_one_of([carried], [self._user_and(secret)]),
            "User and password",
            self.proves,
        )

    def sign(self, draft: RequestDraft) -> RequestDraft:
        """Write the header."""
        encoded = base64.b64encode(self._user_and(draft.secret(self.secret))).decode()
        return draft.put(RequestPlace("header", "authorization"), f"Basic {encoded}")

    def _user_and(self, password: str) -> bytes:
        return key_bytes(f"{self.user}:{password}")


class UrlToken(Check, frozen=True, kw_only=True, tag="url_token"):
    """The token at the end of the source's URL, which only the sender knows.

    The request came to this source because the token is right; a default source has none.
    """

    proves: ClassVar[Trust] = Trust.SECRET

    def verify(self, context: CheckContext) -> Verdict:
        """Look for the token in the path."""
        if _TOKEN_PATH.search(context.incoming.target.partition("?")[0]):
            return Verdict(self.proves, "It came to the source's own URL.")
        return Verdict(None, "It did not come to the source's own URL, the one with the token.")


class IpAllowlist(Check, frozen=True, kw_only=True, tag="ip_allowlist"):
    """Networks that the sender calls from."""

    proves: ClassVar[Trust] = Trust.NETWORK
    networks: tuple[str, ...]

    def problem(self) -> Problem | None:
        """Say whether there are too many networks, or one is none."""
        if not 0 < len(self.networks) <= NETWORKS_MAX:
            return "networks", f"must be 1 to {NETWORKS_MAX} networks, like 192.0.2.0/24"
        for number, network in enumerate(self.networks):
            try:
                ip_network(network, strict=False)
            except ValueError:
                return f"networks[{number}]", "is no address or network, like 192.0.2.0/24"
        return None

    def verify(self, context: CheckContext) -> Verdict:
        """Compare the client's address."""
        return networks.verify_address(context.incoming, self.networks)


class Mtls(Check, frozen=True, kw_only=True, tag="mtls"):
    """The fingerprint of the client's certificate, in a header that a trusted proxy sets."""

    proves: ClassVar[Trust] = Trust.SECRET
    header: str
    fingerprints: tuple[str, ...]  # hex of SHA-1 or SHA-256, with or without colons

    def problem(self) -> Problem | None:
        """Say whether a fingerprint or the header's name is wrong."""
        if not 0 < len(self.fingerprints) <= LIST_MAX:
            return "fingerprints", f"must be 1 to {LIST_MAX}"
        for number, text in enumerate(self.fingerprints):
            if len(_fingerprint(text)) not in (20, 32):
                return f"fingerprints[{number}]", "is no SHA-1 or SHA-256 fingerprint in hex"
        return _header_problem(self.header)

    def verify(self, context: CheckContext) -> Verdict:
        """Compare the header; only a trusted proxy may have set it."""
        if not context.incoming.is_proxied:
            return Verdict(
                None, "No trusted proxy handed it over, so nobody checked a certificate."
            )
        presented = _fingerprint(context.incoming.header(self.header.lower()) or "")
        if is_one_of([presented], [_fingerprint(text) for text in self.fingerprints]):
            return Verdict(self.proves, "The client's certificate is one of the source's.")
        return Verdict(None, f"The header {self.header} holds none of the source's fingerprints.")


class Pull(Check, frozen=True, kw_only=True, tag="pull"):
    """No proof: what the callback says must be confirmed by a look-up."""

    def verify(self, context: CheckContext) -> Verdict:
        """Hold without proof."""
        del context
        return Verdict(self.proves, "Nothing is proven here; a look-up must confirm it.")


class NoProof(Check, frozen=True, kw_only=True, tag="none"):
    """No proof at all, which the owner must acknowledge."""

    acknowledged: bool = False

    def problem(self) -> Problem | None:
        """Say whether the acknowledgement is missing."""
        if self.acknowledged:
            return None
        text = 'anybody could send it; if that is meant, add "acknowledged": true'
        return "acknowledged", text

    def verify(self, context: CheckContext) -> Verdict:
        """Hold without proof, if the owner acknowledged that."""
        del context
        if not self.acknowledged:
            return Verdict(None, "Its owner has not acknowledged that nothing is proven.")
        return Verdict(self.proves, "Nothing is proven: anybody could have sent it.")


def _fingerprint(text: str) -> bytes:
    return from_hex(text.replace(":", ""))


def _header_problem(name: str) -> Problem | None:
    if name and name.isascii() and name.replace("-", "").replace("_", "").isalnum():
        return None
    return "header", "must be the name of a header, like X-Webhook-Secret"
