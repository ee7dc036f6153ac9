"""Sources: accounts at providers, and how far their callbacks are trusted."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

from tillbell.model.endpoints import SigningSecret
from tillbell.model.records import Record


class Trust(IntEnum):
    """How well a callback proves who sent it. Only `SIGNED` may move money by itself."""

    NONE = 0
    NETWORK = 1  # by its address only
    SECRET = 2  # a shared token or password
    PARTIALLY_SIGNED = 3  # a signature that does not cover all that matters
    SIGNED = 4

    @property
    def word(self) -> str:
        """Return it as the API writes it: `partially-signed`."""
        return self.name.lower().replace("_", "-")


class ConfirmationPolicy(StrEnum):
    """What is done with news that is not proven well enough to move money by itself."""

    PULL = "pull"  # ask the provider, at the source's look-up
    REVIEW = "review"  # show it to a person
    TRUST = "trust"  # believe it: the owner's explicit choice


class Source(Record, frozen=True, kw_only=True):
    """One configured sender at one provider: account, secrets, mode, URL token."""

    name: str
    provider: str
    token: str  # sealed; the last segment of its URL
    token_hash: str  # by which a request finds it
    secrets: tuple[SigningSecret, ...] = ()  # newest first, sealed with the source's id as context
    config: dict[str, Any] = {}  # what the adapter understands, as its owner gave it
    sealed_config: dict[str, str] = {}  # those settings that are secrets, each sealed
    is_default: bool = False  # serves the provider's URL without a token
    is_enabled: bool = True
    metadata: dict[str, str] = {}
