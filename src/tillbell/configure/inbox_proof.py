"""Who may have sent a request to an inbox: it is verified as a source of that sender would.

The secrets are used for this one check. They are neither stored nor shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any, NamedTuple

from tillbell.configure.source_checks import check_config, check_provider, check_secrets
from tillbell.errors import Invalid
from tillbell.model.sources import Source
from tillbell.providers.kit.base import Incoming, Provider
from tillbell.receive.source_cache import ALLOWED_NETWORKS, CompiledSource, settings_of
from tillbell.receive.verify_and_parse import CallbackReading, add_advice, parse, verify


class ClaimedSender(NamedTuple):
    """A provider with the secrets and settings that its source would have."""

    provider: str
    secrets: Sequence[str] = ()
    config: Mapping[str, Any] = {}


def compiled_sender(sender: ClaimedSender, providers: Mapping[str, Provider]) -> CompiledSource:
    """Return a sender as a source that is stored nowhere. `Invalid` if something is wrong."""
    problems = check_provider(sender.provider, providers)
    if problems:
        raise Invalid(*problems)
    provider = providers[sender.provider]
    problems = [
        *check_secrets(provider, sender.secrets, "secrets"),
        *check_config(provider, sender.config),
    ]
    if problems:
        raise Invalid(*problems)
    defaults = {s.name: s.default for s in settings_of(provider) if s.default is not None}
    config = {**defaults, **sender.config}
    return CompiledSource(
        source=Source(id="", name="", provider=provider.name, token="", token_hash=""),
        provider=provider,
        secrets=tuple((text, None) for text in sender.secrets),
        config=config,
        allowed_networks=tuple(
            ip_network(network, strict=False) for network in config.get(ALLOWED_NETWORKS.name, ())
        ),
    )


async def read_by(
    compiled: CompiledSource, incoming: Incoming, *, only_verify: bool = False
) -> CallbackReading:
    """Verify a request, and read it unless it is only to be verified; with advice if it fails."""

    def reading() -> CallbackReading:
        verified = verify(compiled, incoming)
        if verified.outcome is None and not only_verify:
            verified = parse(compiled, incoming, verified)
        return add_advice(compiled, incoming, verified)

    return await asyncio.to_thread(reading)
