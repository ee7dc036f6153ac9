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
    """A case, what it is, and our status that it means (None: no status)."""

    about: str
    case: SimulationCase
    status: str | None = None
    config: Mapping[str, Any] = {}  # settings that the case needs


class _FixtureCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A case as it stands in its file."""

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
    return {name: _sample(fixture) for name, fixture in _decode(file.read_bytes()).items()}


def _sample(fixture: _FixtureCase) -> SampleCallback:
    case = SimulationCase(fixture.fields, fixture.method, fixture.query, fixture.headers)
    return SampleCallback(fixture.about, case, fixture.status, fixture.config)
