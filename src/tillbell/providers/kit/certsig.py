"""Signatures made with a certificate's private key: RSA, PKCS#1 v1.5, usually SHA-256.

The source's owner pins the certificate. No address in a request decides which key is used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tillbell.clock import Micros, from_datetime

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

PEM_MAX = 65_536  # characters of all pinned certificates together


SHA_256 = SHA256()


def is_signed_by(
    pem: str, signature: bytes, message: bytes, at: Micros, algorithm: HashAlgorithm = SHA_256
) -> bool:
    """Tell whether one of the certificates signed the message and is valid at that time."""
    return any(
        _is_valid(certificate, at) and _verifies(certificate, signature, message, algorithm)
        for certificate in certificates(pem)
    )


@lru_cache(maxsize=64)
def certificates(pem: str) -> tuple[Certificate, ...]:
    """Read PEM with one certificate or several; () if it is no PEM."""
    if len(pem) > PEM_MAX:
        return ()
    from cryptography.x509 import load_pem_x509_certificates  # 10 MiB, for who pins a certificate

    try:
        return tuple(load_pem_x509_certificates(pem.encode("ascii", "replace")))
    except ValueError:
        return ()


def sign_with(key_pem: str, message: bytes, algorithm: HashAlgorithm = SHA_256) -> bytes:
    """Sign as the holder of the certificate's key does. Raises `ValueError` if it is no PEM."""
    return _private_key(key_pem).sign(message, PKCS1v15(), algorithm)


@lru_cache(maxsize=1)  # reading checks the primes, which takes ten times as long as signing
def _private_key(pem: str) -> RSAPrivateKey:
    key = load_pem_private_key(pem.encode("ascii"), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("The key is not an RSA private key in PEM.")
    return key


def _is_valid(certificate: Certificate, at: Micros) -> bool:
    first = from_datetime(certificate.not_valid_before_utc)
    return first <= at <= from_datetime(certificate.not_valid_after_utc)


def _verifies(
    certificate: Certificate, signature: bytes, message: bytes, algorithm: HashAlgorithm
) -> bool:
    try:
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            return False
        key.verify(signature, message, PKCS1v15(), algorithm)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True
