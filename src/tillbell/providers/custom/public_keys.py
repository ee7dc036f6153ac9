"""Public keys that the owner of a source pinned: PEM of a key or certificate, or `whpk_…`.

A key is never fetched, and no address in a request decides which one is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tillbell import ed25519
from tillbell.providers.kit.certsig import PEM_MAX, certificates

RSA_BITS_MIN = 2_048
_RSA = {
    "rsa-sha256": PKCS1v15(),
    "rsa-pss-sha256": PSS(MGF1(SHA256()), salt_length=PSS.AUTO),
}
Verifier = Callable[[bytes, bytes], bool]  # signature, message


@lru_cache(maxsize=64)
def verifier(algorithm: str, text: str) -> Verifier:
    """Return what verifies signatures of a key; `ValueError` says what is wrong with it."""
    if algorithm == "ed25519" and text.startswith(ed25519.PUBLIC_PREFIX):
        return ed25519.verifier(text)
    key = _loaded(text)
    if algorithm == "ed25519":
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("is no ed25519 key: PEM (-----BEGIN PUBLIC KEY-----) or whpk_…")
        return partial(_verifies_ed25519, key)
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError(f"is no RSA key of {RSA_BITS_MIN} bits or more in PEM")
    return partial(_verifies_rsa, algorithm, key)


def _loaded(text: str) -> object:
    if found := certificates(text):
        return found[0].public_key()
    if len(text) > PEM_MAX:
        return None
    try:
        return load_pem_public_key(text.encode("ascii", "replace"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("is no key or certificate in PEM (-----BEGIN PUBLIC KEY-----)") from error


def _verifies_ed25519(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _verifies_rsa(algorithm: str, key: RSAPublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, _RSA[algorithm], SHA256())
    except InvalidSignature:
        return False
    return True
