"""Presets of the custom provider: senders of which too little is public for an adapter.

One file a sender, `<name>.json`, with what is known of it and the settings that follow. Nothing
is assumed: whatever is not known, its owner declares over the preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec

NAMES = ("cleo", "flexepin", "gigadat", "payonepayment")


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one sender."""

    title: str
    note: str
    config: dict[str, Any]


_NO_PRESET = Preset("", "", {})


def preset(name: object) -> Preset:
    """Return a preset; an empty one where there is none of that name."""
    return _read()[name] if isinstance(name, str) and name in NAMES else _NO_PRESET


@cache
def _read() -> Mapping[str, Preset]:
    folder = resources.files(__name__)
    return {
        name: msgspec.json.decode((folder / f"{name}.json").read_bytes(), type=Preset)
        for name in NAMES
    }
