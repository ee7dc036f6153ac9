"""Hashes of passwords, made and checked on threads of their own.

Argon2id takes memory and a tenth of a second on purpose, so that a stolen database gives no
passwords. At most `THREADS` are worked out at once, and few wait: however many sign in, the
gateway needs no more memory than `THREADS` times the cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tillbell.errors import TooMany
from tillbell.rules.accounts import normal_password

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")
THREADS = 2
WAITING_MAX = 32  # those who wait have their answer within some three seconds


class HashCost(NamedTuple):
    """What one hash costs. A change is applied to each password at its next sign-in."""

    passes: int = 3
    memory_kib: int = 65_536
    lanes: int = 1


class PasswordCheck(NamedTuple):
    """Whether a password is right; if so, the hash to store: a new one if the cost has changed."""

    is_right: bool
    hash: str = ""


class Passwords:
    """Makes and checks hashes."""

    def __init__(self, cost: HashCost | None = None) -> None:
        self._cost = cost or HashCost()
        self._working = 0

    async def hash(self, password: str) -> str:
        """Return a hash. `TooMany` if too many wait."""
        return await self._run(lambda: self._hasher.hash(normal_password(password)))

    async def check(self, stored: str | None, password: str) -> PasswordCheck:
        """Check a password against a hash. `TooMany` if too many wait.

        None: there is no such person. It takes as long as for a person, and is wrong.
        """
        return await self._run(lambda: self._check(stored, normal_password(password)))

    def _check(self, stored: str | None, password: str) -> PasswordCheck:
        from argon2.exceptions import InvalidHashError, VerificationError

        if stored is None:
            self._hasher.hash(password)
            return PasswordCheck(is_right=False)
        try:
            self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return PasswordCheck(is_right=False)
        is_old = self._hasher.check_needs_rehash(stored)
        return PasswordCheck(is_right=True, hash=self._hasher.hash(password) if is_old else stored)

    @cached_property
    def _hasher(self) -> PasswordHasher:
        """The hasher; its library is loaded with the first password, not at the start."""
        from argon2 import PasswordHasher

        passes, memory_kib, lanes = self._cost
        return PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(THREADS, thread_name_prefix="password")

    async def _run(self, work: Callable[[], T]) -> T:
        if self._working >= THREADS + WAITING_MAX:
            raise TooMany("Too many people are signing in at once; wait some seconds.")
        self._working += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._working -= 1
