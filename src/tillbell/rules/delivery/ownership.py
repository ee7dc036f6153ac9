"""Owning: which of several processes makes an endpoint's deliveries.

Rendezvous hashing: each process draws a number for each endpoint, and the highest has it. When
one comes or goes, only what it gets or had changes hands, and nobody needs to be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b


def owner_of(endpoint_id: str, senders: Sequence[str]) -> str | None:
    """Return the process that owns an endpoint; None if there is none that sends.

    >>> owner_of("ep_1", ["prc_a", "prc_b"]) in ("prc_a", "prc_b")
    True
    """
    return max(senders, key=lambda sender: _draw(sender, endpoint_id), default=None)


def _draw(sender: str, endpoint_id: str) -> tuple[bytes, str]:
    digest = blake2b(f"{sender}\0{endpoint_id}".encode(), digest_size=8).digest()
    return digest, sender
