"""The most common proof: a header holds the HMAC of the body, keyed with the secret's text.

There is no time in it, so a captured request stays valid for ever. Each event counts once, which
makes a repeat harmless.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Verdict
from tillbell.providers.kit.proof import (
    NO_SECRET,
    from_base64,
    from_hex,
    mac,
    same,
    verify_with_secrets,
)
from tillbell.providers.kit.requests import JSON, json_body, request

_READ: Mapping[str, Callable[[str | None], bytes]] = {"hex": from_hex, "base64": from_base64}


class BodyMac(NamedTuple):
    """Where the signature stands and how it is computed."""

    header: str  # lower case
    algorithm: str  # as hashlib names it
    encoding: str = "hex"  # or "base64"
    prefix: str = ""  # what stands before it: `sha256=`

    def verify(self, incoming: Incoming, setup: SourceSetup) -> Verdict:
        """Compare with each secret's signature; an empty secret proves nothing."""
        if not any(setup.secrets):
            return NO_SECRET
        written = incoming.header(self.header)
        if written is None:
            return Verdict(None, f"The header {self.header} is missing or stands twice.")
        claimed = self._read(written)
        if not claimed:
            return Verdict(None, f"The header {self.header} holds no {self._form}.")
        return verify_with_secrets(
            setup.secrets,
            lambda secret: same(claimed, self._digest(secret, incoming.body)),
            self.header,
        )

    def signature(self, secret: str, body: bytes) -> str:
        """Write the header's value."""
        digest = self._digest(secret, body)
        text = digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode()
        return self.prefix + text

    def sign(
        self, case: SimulationCase, setup: SourceSetup, url: str, headers: Mapping[str, str] = {}
    ) -> Incoming:
        """Build the request as the provider sends it: signed JSON, with further headers."""
        body = json_body(case.fields)
        signature = self.signature(setup.secrets[0], body)
        return request(case, url, body, {"content-type": JSON, self.header: signature, **headers})

    @property
    def _form(self) -> str:
        before = f"{self.prefix} and " if self.prefix else ""
        return f"{before}{self.encoding}"

    def _read(self, written: str) -> bytes:
        if not written.startswith(self.prefix):
            return b""
        return _READ[self.encoding](written.removeprefix(self.prefix))

    def _digest(self, secret: str, body: bytes) -> bytes:
        # Half a surrogate pair in a secret must not be an error.
        return mac(self.algorithm, secret.encode("utf-8", "surrogatepass"), body)
