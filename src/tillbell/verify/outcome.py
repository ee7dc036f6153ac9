"""The results of a verification: `Verified` or `VerificationError`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

# The member of the body that holds the event, by profile.
_MEMBERS = {
    "shoppex": "event",
    "zenofy": "event",
    "mozarto": "transaction_status",
    "mozarto-legacy": "status",
}


class VerificationError(Exception):
    """The request is not proven to be genuine: answer 401 and do nothing.

    `reason` is one of a closed list: `no_secret`, `bad_secret`, `unknown_profile`,
    `body_not_bytes`, `missing_header`, `repeated_header`, `bad_id`, `bad_timestamp`,
    `too_old`, `too_new`, `too_many_signatures`, `no_match`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Verified:
    """A genuine request. Deduplicate by `id`. Without a timestamp it may be a replay."""

    id: str | None
    timestamp: int | None  # Unix second of the attempt; None: it was not signed
    profile: str
    body: bytes = field(repr=False)

    @property
    def event_type(self) -> str | None:
        """The event in the platform's word, from the body; None if there is none."""
        try:
            content = self.json()
        except (ValueError, RecursionError):  # genuine but not JSON
            return None
        event = content.get(_MEMBERS.get(self.profile, "type")) if _is_object(content) else None
        return event if isinstance(event, str) else None

    def json(self) -> Any:
        """Return the decoded body; `ValueError` if it is not JSON."""
        return json.loads(self.body)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)
