"""One message through one profile: what a receiver would see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from tillbell.clock import SECOND
from tillbell.profiles import profile
from tillbell.profiles.base import AttemptContext, MessageContext

SENT_AT_S = 1_705_314_650
SAMPLES = Path(__file__).parent / "samples"


class Exchange(NamedTuple):
    """Body and headers of one attempt."""

    body: bytes
    headers: dict[str, str]


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes().rstrip(b"\n")


def payload(**data: Any) -> bytes:
    """Write a payload in our envelope."""
    return json.dumps({"type": "any", "timestamp": "2026-05-01T00:00:00Z", "data": data}).encode()


def render(name: str, event_type: str, document: bytes, part: int = 0) -> bytes:
    spoken = profile(name)
    named = spoken.parts(event_type, None)[part]
    return spoken.render(named, MessageContext("msg_1", event_type, SENT_AT_S * SECOND, document))


def rendered(name: str, event_type: str, document: bytes, part: int = 0) -> Any:
    return json.loads(render(name, event_type, document, part))


def exchange(
    name: str, event_type: str, document: bytes, *secrets: str, part: int = 0, attempt: int = 1
) -> Exchange:
    body = render(name, event_type, document, part)
    named = profile(name).parts(event_type, None)[part]
    at_s = SENT_AT_S + 300 * (attempt - 1)
    sending = AttemptContext("msg_1", "dlv_1", named, attempt, at_s, body, secrets)
    return Exchange(body, dict(profile(name).headers(sending)))
