"""Signatures of the sender's private key, verified with a public key that the owner pinned.

The key is PEM of a key or certificate, or `whpk_…`. It is never fetched, and no address in a
request decides which one is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tillbell import ed25519
from tillbell.providers.custom.check import CheckContext, Problem, named_problem
from tillbell.providers.custom.signature import ClaimedSignature, Output, Signature
from tillbell.providers.custom.template import template
from tillbell.providers.kit.base import Verdict
from tillbell.providers.kit.certsig import PEM_MAX, certificates

RSA_BITS_MIN = 2_048
_RSA_PADDINGS = {
    "rsa-sha256": PKCS1v15(),
    "rsa-pss-sha256": PSS(MGF1(SHA256()), salt_length=PSS.AUTO),
}
Scheme = Literal["ed25519", "rsa-sha256", "rsa-pss-sha256"]
Verifier = Callable[[bytes, bytes], bool]  # signature, message


class Asymmetric(Signature, frozen=True, kw_only=True, tag="asymmetric"):
    """A signature of the sender's private key."""

    algorithm: Scheme
    public_key: str  # PEM of a key or certificate, or `whpk_…`
    output: Output = "base64"

    def problem(self) -> Problem | None:
        """Say whether the signature or the key is wrong."""
        return super().problem() or named_problem("publicKey", self._key_problem())

    def compare(self, context: CheckContext, claimed: ClaimedSignature) -> Verdict:
        """Verify each signature with the key."""
        try:
            verifies = _verifier(self.algorithm, self.public_key)
        except ValueError as error:
            return Verdict(None, f"The public key {error}.")
        message = claimed.render(template(self.template))
        if any(verifies(signature, message) for signature in claimed.signatures if signature):
            return Verdict(self.covered_trust(context), f"{self.algorithm} matches.")
        return Verdict(
            None, f"The {self.algorithm} signature does not match. Check the public key."
        )

    def _key_problem(self) -> str | None:
        try:
            _verifier(self.algorithm, self.public_key)
        except ValueError as error:
            return str(error)
        return None


@lru_cache(maxsize=64)
def _verifier(algorithm: str, text: str) -> Verifier:
    """Return what verifies signatures of a key; `ValueError` says what is wrong with the key."""
    if algorithm == "ed25519" and text.startswith(ed25519.PUBLIC_PREFIX):
        return ed25519.verifier(text)
    key = _loaded(text)
    if algorithm == "ed25519":
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("is no ed25519 key: PEM (-----BEGIN PUBLIC KEY-----) or whpk_…")
        return partial(_verifies, key, ())
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError(f"is no RSA key of {RSA_BITS_MIN} bits or more in PEM")
    return partial(_verifies, key, (_RSA_PADDINGS[algorithm], SHA256()))


def _loaded(text: str) -> object:
    if pinned := certificates(text):
        return pinned[0].public_key()
    if len(text) > PEM_MAX:
        return None
    try:
        return load_pem_public_key(text.encode("ascii", "replace"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("is no key or certificate in PEM (-----BEGIN PUBLIC KEY-----)") from error


def _verifies(
    key: Ed25519PublicKey | RSAPublicKey, scheme: tuple[Any, ...], signature: bytes, message: bytes
) -> bool:
    try:
        key.verify(signature, message, *scheme)
    except InvalidSignature:
        return False
    return True
