"""Keys and certificates as providers would have them, made anew for each run; none is kept.

For adapters whose owner pins what the provider shows of its key.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

FROM = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = 3_650


TOPIC = "arn:aws:sns:eu-west-1:111122223333:mail"


@cache
def pinned(provider: str = "paypal") -> dict[str, str]:
    """Return the settings of a source whose provider is simulated; none if it needs none."""
    return _settings(provider)


@cache
def another(provider: str = "paypal") -> dict[str, str]:
    """Return those of another one."""
    return _settings(provider)


def _settings(provider: str) -> dict[str, str]:
    if provider == "sendgrid":
        return _key_pair()
    if provider not in ("paypal", "amazon-ses"):
        return {}
    key = generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = _certificate(key).public_bytes(Encoding.PEM)
    topic = {"topicArn": TOPIC} if provider == "amazon-ses" else {}
    return {"certificate": pem.decode(), "simulatorKey": _written(key), **topic}


def _key_pair() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"publicKey": base64.b64encode(public).decode(), "simulatorKey": _written(key)}


def _written(key: RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


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
