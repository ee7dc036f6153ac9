"""The hostile URLs and headers of tests/hostile/cases.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

_FILE = Path(__file__).parent.parent / "hostile" / "cases.json"


class HostileCase(NamedTuple):
    id: str
    kind: str
    input: Any
    expect: str


def cases(surface: str) -> list[HostileCase]:
    document = json.loads(_FILE.read_text())
    return [
        HostileCase(case["id"], case["class"], _generated(case["input"]), case["expect"])
        for case in document["cases"]
        if case["surface"] == surface
    ]


def public_addresses() -> list[str]:
    return list(json.loads(_FILE.read_text())["public"])


def _generated(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value.get("gen") == "repeat":
        return value.get("prefix", "") + value["unit"] * value["count"] + value.get("suffix", "")
    return {key: _generated(part) for key, part in value.items()}
