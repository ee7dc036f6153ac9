"""Sources: accounts at providers, and how well their callbacks prove who sent them."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

from tillbell.model.endpoints import SigningSecret
from tillbell.model.records import Record


class Trust(IntEnum):
    """How well a callback proves who sent it. Only `SIGNED` may move money by itself."""

    SIMULATED = -1  # made by a test of its source: nothing that it says is processed
    NONE = 0
    NETWORK = 1  # by its address only
    SECRET = 2  # a shared token or password
    PARTIALLY_SIGNED = 3  # a signature that does not cover everything that matters
    SIGNED = 4

    @property
    def word(self) -> str:
        """Return it as the API writes it: `partially-signed`."""
        return self.name.lower().replace("_", "-")


class ConfirmationPolicy(StrEnum):
    """How a notice is confirmed that is not proven well enough to move money by itself."""

    PULL = "pull"  # the provider is asked, with the source's look-up
    REVIEW = "review"  # a person is asked
    TRUST = "trust"  # it is believed: the owner chose so


class Source(Record, frozen=True, kw_only=True):
    """One configured sender of callbacks at one provider: account, secrets, URL token."""

    name: str
    provider: str
    token: str  # encrypted; the last segment of its URL
    token_hash: str  # hash of the token, by which a request finds its source
    secrets: tuple[SigningSecret, ...] = ()  # newest first, encrypted
    config: dict[str, Any] = {}  # settings of the adapter, as the owner gave them
    sealed_config: dict[str, str] = {}  # the settings that are secrets, each encrypted
    is_default: bool = False  # it serves the provider's URL without a token
    is_enabled: bool = True
    metadata: dict[str, str] = {}
