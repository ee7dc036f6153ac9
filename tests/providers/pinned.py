"""A certificate as PayPal would have one, made anew for each run; nobody's key is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

FROM = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 3_650


@cache
def pinned() -> dict[str, str]:
    """Return the settings of a source whose PayPal is simulated."""
    return _settings()


@cache
def another() -> dict[str, str]:
    """Return those of another one."""
    return _settings()


def _settings() -> dict[str, str]:
    key = generate_private_key(public_exponent=65_537, key_size=2_048)
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = _certificate(key).public_bytes(Encoding.PEM)
    return {"certificate": pem.decode(), "simulatorKey": written.decode()}


def _certificate(key: RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "certs.paypal.example")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(FROM + timedelta(days=DAYS))
        .sign(key, SHA256())
    )
