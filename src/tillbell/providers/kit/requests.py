"""What adapters share besides proof: usual answers, and requests as a provider would send them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from tillbell.providers.kit.base import (
    CallbackAnswer,
    Incoming,
    IntakeStatus,
    SimulationCase,
    SourceSetup,
)

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


def usual(
    stored: CallbackAnswer = CallbackAnswer(),  # noqa: B008 - frozen
    *,
    refused: int = 401,
    malformed: int = 400,
) -> Callable[[Incoming, SourceSetup, IntakeStatus], CallbackAnswer]:
    """Return an `answer` with one status for each outcome, and a body only when stored."""
    answers = {
        IntakeStatus.STORED: stored,
        IntakeStatus.REFUSED: CallbackAnswer(refused),
        IntakeStatus.MALFORMED: CallbackAnswer(malformed),
    }

    def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
        del incoming, setup
        return answers[intake]

    return answer


def json_body(value: Any) -> bytes:
    """Write compact JSON; a `Decimal` with its digits."""
    return _ENCODE(value)


def request(case: SimulationCase, url: str, body: bytes, headers: Mapping[str, str]) -> Incoming:
    """Return a case as a request to a URL. Headers of the case win over `headers`."""
    parts = urlsplit(url)
    query = "&".join(text for text in (parts.query, urlencode(case.query)) if text)
    target = (parts.path or "/") + (f"?{query}" if query else "")
    named = {name.lower(): value for name, value in {**headers, **case.headers}.items()}
    return Incoming(
        method=case.method,
        target=target,
        headers=tuple(named.items()),
        body=body,
        received_at=case.at,
        origin=f"{parts.scheme}://{parts.netloc}",
    )
