"""The throttle of sign-ins: whoever guesses passwords has to wait; nobody is locked out for ever.

Tries are counted by account and by address, in the memory of each process. An account is the
e-mail address as it was typed, whether a person has it or not. An address from which a person has
signed in before has a count of its own for that account: so somebody who guesses from elsewhere
cannot keep its owner out.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import MINUTE, SECOND, Clock, Micros
from tillbell.errors import TooMany

TRIES_OF_ACCOUNT = 5
TRIES_OF_ADDRESS = 20
WAIT: Micros = 5 * MINUTE
_KEYS_MAX = 10_000


class SignInTry(NamedTuple):
    """A try that was counted, and how many there were in a row with it."""

    account: tuple[str, ...]
    address: tuple[str, ...]
    of_account: int
    of_address: int

    @property
    def left(self) -> int:
        """How many more tries there are before one has to wait."""
        return min(TRIES_OF_ACCOUNT - self.of_account, TRIES_OF_ADDRESS - self.of_address)


class _Count(NamedTuple):
    tries: int
    forgotten_at: Micros


class SignInThrottle:
    """Counts tries before their passwords are checked, so that many at once do not get past it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, ...], _Count] = {}

    def begin(self, email: str, address: str, *, is_known: bool) -> SignInTry:
        """Count a try. `TooMany`, with the time to wait, if there were too many.

        `is_known`: the person has signed in from this address before.
        """
        account = ("account", email, address) if is_known else ("account", email)
        limits = {account: TRIES_OF_ACCOUNT, ("address", address): TRIES_OF_ADDRESS}
        now = self._clock.now()
        waits = [
            count.forgotten_at - now
            for key, limit in limits.items()
            if (count := self._count(key, now)).tries >= limit
        ]
        if waits:
            raise _too_many(max(waits))
        self._forget_old(now)
        for key in limits:
            self._counts[key] = _Count(self._count(key, now).tries + 1, now + WAIT)
        tries = [self._counts[key].tries for key in limits]
        return SignInTry(account, ("address", address), *tries)

    def succeeded(self, attempt: SignInTry) -> None:
        """Forget the tries of an account that has signed in, and this one of its address."""
        self._counts.pop(attempt.account, None)
        count = self._counts.get(attempt.address)
        if count is not None:
            self._counts[attempt.address] = count._replace(tries=count.tries - 1)

    def _count(self, key: tuple[str, ...], now: Micros) -> _Count:
        count = self._counts.get(key)
        return count if count is not None and count.forgotten_at > now else _Count(0, now)

    def _forget_old(self, now: Micros) -> None:
        if len(self._counts) >= _KEYS_MAX:
            self._counts = {k: c for k, c in self._counts.items() if c.forgotten_at > now}
            if len(self._counts) >= _KEYS_MAX:  # more than can be remembered: forget the oldest
                for key in list(self._counts)[: _KEYS_MAX // 2]:
                    del self._counts[key]


def _too_many(wait: Micros) -> TooMany:
    seconds = -(-wait // SECOND)
    minutes = -(-wait // MINUTE)
    shown = f"{minutes} minutes" if minutes > 1 else f"{seconds} seconds"
    return TooMany(
        f"Too many tries. Nothing is lost: try again in {shown}.", retry_after_s=int(seconds)
    )
