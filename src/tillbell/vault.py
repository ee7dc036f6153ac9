"""Vault: encrypts secrets that must be read again, hashes keys that are only compared.

Signing secrets and header values are needed in clear text to send, so they are sealed: encrypted
with AES-256-GCM under the master key. The context (the id of the record that owns the secret) is
authenticated with it, so a sealed text that is copied to another row does not open. Of API keys
only a hash is stored.

The master key is never in the database. A copy of the database without it reveals no secret. If
the master key is lost, every secret must be set again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tillbell.errors import Misconfigured

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_SQLITE_HEAD = b"SQLite format 3\0"
KEY_BYTES = 32
_VERSION = "v1"
_NONCE_BYTES = 12
_SEALED = re.compile(rf"{_VERSION}\.[0-9a-f]{{8}}\.[A-Za-z0-9_-]+")
_HEAD_BYTES = len(_VERSION) + 8  # of sealed bytes: the version, then the key's fingerprint
_KEY_FILE = "master.key"
_OPENED = 8_192  # secrets cached in clear text; each takes some hundred bytes
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_EASY_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 that are not mistaken for another
_LEAST_DISTINCT = 16  # 32 random bytes have fewer distinct ones once in 10^20 keys


class Secret:
    """A text that prints as `***`. `reveal()` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


class KeySettings(Protocol):
    """The settings that name the master key."""

    @property
    def data_dir(self) -> Path:
        """Folder of `master.key`."""
        ...

    @property
    def sqlite_path(self) -> Path:
        """The database whose secrets the key opens."""
        ...

    @property
    def master_key(self) -> Secret | None:
        """The key as configured."""
        ...


class WrongMasterKey(Misconfigured):
    """A secret was sealed under another master key."""


class SealMismatch(Misconfigured):
    """A sealed secret was altered, or belongs to another record."""


class Vault:
    """Seals and opens texts and bytes.

    The first master key seals; older ones only open, until `rewrap` has sealed everything again.
    A sealed text is `v1.<key id>.<base64url of nonce and ciphertext>`. The key id is a fingerprint
    of the master key, which distinguishes a wrong key from a damaged secret.
    """

    def __init__(self, master_key: bytes, *older: bytes) -> None:
        self._ciphers = {key_id(key): _cipher(key) for key in (*older, master_key)}
        self._current = key_id(master_key)
        self._opened: Callable[[str, str], str] = lru_cache(_OPENED)(self._decrypt)

    @classmethod
    def from_settings(cls, settings: KeySettings) -> Vault:
        """Return the vault of this installation.

        The key is the configured one (older ones after a comma), else that in `master.key` in the
        data folder, which is created at the first start and readable by its owner only.
        `Misconfigured` if a key is weak or not readable.
        """
        if settings.master_key is None:
            return cls(_stored_key(settings.data_dir / _KEY_FILE, settings.sqlite_path))
        return cls(*[parse_key(key.strip()) for key in settings.master_key.reveal().split(",")])

    def seal(self, text: str, context: str) -> str:
        """Encrypt a text for a context. The same text has another result each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        associated = _associated(self._current, context)
        sealed = self._ciphers[self._current].encrypt(nonce, text.encode(), associated)
        packed = base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")
        return f"{_VERSION}.{self._current}.{packed}"

    def open(self, sealed: str, context: str) -> str:
        """Return the text. Some thousand texts are cached.

        `WrongMasterKey` if it was sealed under a key we lack; `SealMismatch` if it was sealed
        for another context or altered.
        """
        return self._opened(sealed, context)

    def seal_bytes(self, content: bytes, context: str) -> bytes:
        """Encrypt bytes that are stored as bytes: the requests of providers."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        associated = _associated(self._current, context)
        sealed = self._ciphers[self._current].encrypt(nonce, content, associated)
        return b"".join((_VERSION.encode(), self._current.encode(), nonce, sealed))

    def open_bytes(self, sealed: bytes, context: str) -> bytes:
        """Return the bytes; raises the errors of `open`."""
        version, key_name, packed = sealed[:2], sealed[2:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        if version != _VERSION.encode():
            raise SealMismatch("not bytes that were sealed by a vault")
        return self._opened_raw(key_name.decode("ascii", "replace"), packed, context)

    def rewrap(self, sealed: str, context: str) -> str:
        """Return a secret sealed under the current key; unchanged if it is already."""
        if _key_id_of(sealed) == self._current:
            return sealed
        return self.seal(self._decrypt(sealed, context), context)

    def rewrap_bytes(self, sealed: bytes, context: str) -> bytes:
        """Do the same for bytes."""
        if sealed[2:_HEAD_BYTES] == self._current.encode():
            return sealed
        return self.seal_bytes(self.open_bytes(sealed, context), context)

    def _decrypt(self, sealed: str, context: str) -> str:
        packed = _unpack(sealed.rpartition(".")[2])
        return self._opened_raw(_key_id_of(sealed), packed, context).decode()

    def _opened_raw(self, key_name: str, packed: bytes, context: str) -> bytes:
        from cryptography.exceptions import InvalidTag

        cipher = self._ciphers.get(key_name)
        if cipher is None:
            raise WrongMasterKey(
                f"the secret of {context} was sealed under master key {key_name}, but this process "
                f"has {', '.join(self._ciphers)}; set TILLBELL_MASTER_KEY to the key that sealed it"
            )
        nonce, ciphertext = packed[:_NONCE_BYTES], packed[_NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, _associated(key_name, context))
        except (InvalidTag, ValueError) as error:
            raise SealMismatch(
                f"the secret of {context} was altered or belongs to another record"
            ) from error


def is_sealed(text: str) -> bool:
    """Tell whether a text looks like one that a vault has sealed."""
    return _SEALED.fullmatch(text) is not None


def key_id(master_key: bytes) -> str:
    """Return the fingerprint that names a master key in sealed texts."""
    return hashlib.sha256(b"tillbell master key id\0" + master_key).hexdigest()[:8]


def _cipher(master_key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(master_key)


def _associated(key_name: str, context: str) -> bytes:
    return f"{_VERSION}.{key_name}.{context}".encode()


def _key_id_of(sealed: str) -> str:
    version, *rest = sealed.split(".")
    if version != _VERSION or len(rest) != 2:
        raise SealMismatch("not a secret that was sealed by a vault")
    return rest[0]


def _unpack(packed: str) -> bytes:
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b""  # decrypts to nothing: reported as altered


# ── the master key ───────────────────────────────────────────────────────────────────────────────


def parse_key(text: str) -> bytes:
    """Return the master key of a text: 32 random bytes as base64 or hex, else `Misconfigured`."""
    key = _decoded(text)
    if len(key) != KEY_BYTES:
        raise Misconfigured(
            "master_key: must be 32 bytes as base64 or hex; `openssl rand -base64 32` makes one"
        )
    if len(set(key)) < _LEAST_DISTINCT or all(32 <= byte < 127 for byte in key):
        raise Misconfigured(
            "master_key: is not random (text or a pattern); `openssl rand -base64 32` makes one"
        )
    return key


def _decoded(text: str) -> bytes:
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text)
        padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
        return base64.b64decode(padded, validate=True)
    except ValueError:
        return b""


def _check_database(path: Path) -> None:
    """Raise `Misconfigured` if a file is no SQLite database: its key is not what is missing."""
    with path.open("rb") as file:
        head = file.read(len(_SQLITE_HEAD))
    if head and head != _SQLITE_HEAD:
        raise Misconfigured(f"{path} is not a database; restore it from a backup")


def _stored_key(path: Path, database: Path) -> bytes:
    try:
        return parse_key(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        if database.exists():  # a new key could not open its secrets
            _check_database(database)
            raise Misconfigured(
                f"the master key of {database} is missing: put {path} back or set "
                "TILLBELL_MASTER_KEY"
            ) from None
        return _make_key(path)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"cannot read the master key {path}: {error}") from error


def _make_key(path: Path) -> bytes:
    """Write a new key. A crash leaves either no file or a complete one."""
    key = secrets.token_bytes(KEY_BYTES)
    part = path.with_suffix(".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(base64.b64encode(key).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise Misconfigured(f"cannot write the master key {path}: {error.strerror}") from error
    return key


# ── API keys ─────────────────────────────────────────────────────────────────────────────────────


def new_api_key() -> str:
    """Return the text of a new API key: `tb_` and 40 letters and digits, 238 random bits."""
    return "tb_" + "".join(secrets.choice(_LETTERS) for _ in range(40))


def new_token() -> str:
    """Return the token of a session or one-time link: 256 random bits, for a cookie or a URL."""
    return secrets.token_urlsafe(KEY_BYTES)


def new_totp_secret() -> bytes:
    """Return the secret of a second factor: 160 random bits, as RFC 4226 recommends."""
    return secrets.token_bytes(20)


def new_recovery_code() -> str:
    """Return a recovery code: 75 random bits as `abcde-fghij-klmno`, easy to read and type."""
    letters = "".join(secrets.choice(_EASY_LETTERS) for _ in range(15))
    return f"{letters[:5]}-{letters[5:10]}-{letters[10:]}"


def form_token(cookie: str) -> str:
    """Return what a form must send beside a cookie: nobody can work it out without the cookie.

    It is under a mask that is another one each time. So the answer that holds it may be compressed:
    its length tells nothing about the token.
    """
    token = _form_secret(cookie)
    mask = secrets.token_bytes(len(token))
    return (mask + _mixed(mask, token)).hex()


def form_token_fits(sent: str, cookie: str) -> bool:
    """Tell whether this is the form token of a cookie under any mask."""
    token = _form_secret(cookie)
    try:
        parts = bytes.fromhex(sent)
    except ValueError:
        return False
    mask, masked = parts[: len(token)], parts[len(token) :]
    return len(masked) == len(token) and hmac.compare_digest(_mixed(mask, masked), token)


def _form_secret(cookie: str) -> bytes:
    return hmac.new(cookie.encode(), b"tillbell form", hashlib.sha256).digest()


def _mixed(mask: bytes, text: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(mask, text, strict=True))


def hash_key(text: str) -> str:
    """Return the hash of an API key or token. SHA-256 is enough, because the text is random.

    >>> hash_key("tb_x")[:8]
    'b37a8681'
    """
    return hashlib.sha256(text.encode()).hexdigest()
