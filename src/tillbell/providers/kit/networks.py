"""Providers that sign nothing: only the address they call from can be checked.

An address proves little and nothing of the content, so it never moves money by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming, ProviderSetting, SourceSetup, Verdict
from tillbell.providers.kit.proof import is_from

NETWORKS = ProviderSetting(
    "networks",
    "Networks that it calls from, like 192.0.2.0/24; what comes from elsewhere is refused.",
    "array",
)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Refuse other addresses; where the source lists no networks, anybody may be the sender."""
    networks = setup.config.get(NETWORKS.name)
    if not networks:
        return Verdict(Trust.NONE, "It is not signed, so anybody could have sent it.")
    listed = networks if isinstance(networks, list) else []
    return verify_address(incoming, [str(network) for network in listed])


def verify_address(incoming: Incoming, networks: Iterable[str]) -> Verdict:
    """Refuse what comes from none of these networks."""
    if is_from(incoming.peer, networks):
        return Verdict(Trust.NETWORK, "It comes from one of the source's networks.")
    where = incoming.peer or "an unknown address"
    return Verdict(None, f"It comes from {where}, which is in none of the source's networks.")


def dedupe_key(key: str, setup: SourceSetup) -> str | None:
    """Return the key if the sender is known at least by address, else None (the bytes).

    Without networks anybody could send an event first and make the true one its duplicate.
    """
    return key if setup.config.get(NETWORKS.name) else None
