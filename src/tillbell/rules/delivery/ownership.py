"""Ownership: which worker makes the deliveries of an endpoint.

Rendezvous hashing: each worker has a number for each endpoint, and the highest number owns it.
When a worker joins or leaves, only its own endpoints change owner. All processes compute the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b


def owner_of(endpoint_id: str, workers: Sequence[str]) -> str | None:
    """Return the worker that owns an endpoint; None if there are no workers.

    >>> owner_of("ep_1", ["prc_a", "prc_b"]) in ("prc_a", "prc_b")
    True
    """
    return max(workers, key=lambda worker: _weight(worker, endpoint_id), default=None)


def _weight(worker: str, endpoint_id: str) -> tuple[bytes, str]:
    digest = blake2b(f"{worker}\0{endpoint_id}".encode(), digest_size=8).digest()
    return digest, worker
