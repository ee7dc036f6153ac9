"""Realistic callbacks of each provider, kept as files beside the adapters (`fixtures/`).

For trying a source without its provider, for the simulator, and for tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import msgspec

from tillbell.providers.kit.base import SimulationCase


class SampleCallback(NamedTuple):
    """One case, what it is, and the status of ours that it means (None: no status)."""

    about: str
    case: SimulationCase
    status: str | None = None
    config: Mapping[str, Any] = {}  # settings under which that is so


class _FixtureCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A case as its file has it."""

    about: str
    fields: Any
    status: str | None = None
    method: str = "POST"
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    config: dict[str, Any] = {}


_decode = msgspec.json.Decoder(dict[str, _FixtureCase]).decode


@cache
def samples(provider: str) -> Mapping[str, SampleCallback]:
    """Return a provider's cases by name; none if it has no file."""
    file = resources.files("tillbell.providers") / "fixtures" / f"{provider}.json"
    if not file.is_file():
        return {}
    return {name: _sample(kept) for name, kept in _decode(file.read_bytes()).items()}


def _sample(kept: _FixtureCase) -> SampleCallback:
    case = SimulationCase(kept.fields, kept.method, kept.query, kept.headers)
    return SampleCallback(kept.about, case, kept.status, kept.config)
