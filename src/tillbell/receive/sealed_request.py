"""Sealed requests: tokens, passcodes and card numbers of callbacks are stored encrypted."""

from __future__ import annotations

import msgspec

from tillbell.providers.kit.base import Incoming
from tillbell.vault import Vault

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(Incoming).decode


def seal_request(vault: Vault, callback_id: str, incoming: Incoming) -> bytes:
    """Encrypt a request, byte for byte as it came, for the row of its callback."""
    return vault.seal_bytes(_encode(incoming), callback_id)


def open_request(vault: Vault, callback_id: str, sealed: bytes) -> Incoming:
    """Decrypt a request. `Misconfigured` as `Vault.open` raises it."""
    return _decode(vault.open_bytes(sealed, callback_id))
