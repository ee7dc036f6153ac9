"""Signatures over time and body, both in one header: `t=<seconds>,v1=<hex>[,v1=…]`.

HMAC-SHA256 with the secret's text as its key. There are several signatures while a secret is
changed, of which one must match. The time limits how long a captured request stays valid.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import SECOND, Micros
from tillbell.providers.kit.base import Incoming, ProviderSetting, SourceSetup, Verdict
from tillbell.providers.kit.proof import (
    NO_SECRET,
    TOLERANCE_MAX_S,
    clock_problem,
    from_hex,
    is_one_of,
    key_bytes,
    mac,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import unix_seconds

PAIRS_MAX = 20  # the rest is ignored


class TimedMac(NamedTuple):
    """Where time and signatures stand, and how time and body are joined."""

    header: str  # lower case
    tolerance: ProviderSetting  # how many seconds a signature may be old, or early
    time: str  # name of the time: `t`
    signature: str  # name of a signature: `v1`; others are ignored
    separator: str = ","
    joint: str = "."  # between time and body

    def verify(self, incoming: Incoming, setup: SourceSetup) -> Verdict:
        """Check the time, then compare each signature with that of each secret."""
        if not any(setup.secrets):
            return NO_SECRET
        header = incoming.header(self.header)
        if header is None:
            return Verdict(None, f"The header {self.header} is missing or stands twice.")
        times, signatures = self._read(header)
        if len(times) != 1 or not any(signatures):
            return Verdict(None, f"The header {self.header} holds no {self._form}.")
        at = unix_seconds(times[0])
        if wrong := clock_problem(at, incoming.received_at, self._tolerance_s(setup)):
            return Verdict(None, wrong)
        return verify_with_secrets(
            setup.secrets,
            lambda secret: is_one_of(signatures, [self._digest(secret, times[0], incoming.body)]),
            self.header,
        )

    def value(self, secret: str, at: Micros, body: bytes) -> str:
        """Write the header's value."""
        seconds = str(at // SECOND)
        digest = self._digest(secret, seconds, body).hex()
        return f"{self.time}={seconds}{self.separator}{self.signature}={digest}"

    @property
    def _form(self) -> str:
        return f"{self.time}=<seconds>{self.separator}{self.signature}=<hex>"

    def _read(self, header: str) -> tuple[list[str], list[bytes]]:
        pairs = [pair.strip().partition("=") for pair in header.split(self.separator, PAIRS_MAX)][
            :PAIRS_MAX
        ]
        times = [value for name, _, value in pairs if name == self.time]
        return times, [from_hex(value) for name, _, value in pairs if name == self.signature]

    def _tolerance_s(self, setup: SourceSetup) -> int:
        seconds = setup.config.get(self.tolerance.name)
        return seconds if isinstance(seconds, int) else int(self.tolerance.default)

    def _digest(self, secret: str, seconds: str, body: bytes) -> bytes:
        signed = seconds.encode("latin-1", "replace") + self.joint.encode() + body
        return mac("sha256", key_bytes(secret), signed)


def tolerance(default_s: int) -> ProviderSetting:
    """Return the setting by which a source's owner says how old a signature may be."""
    return ProviderSetting(
        "toleranceSeconds",
        "How old a signature may be, or early.",
        "integer",
        minimum=1,
        maximum=TOLERANCE_MAX_S,
        default=default_s,
    )
