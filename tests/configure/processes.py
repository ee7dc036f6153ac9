"""Processes of one store: each with a memory of its own, which hears nothing of the others.

So a memory here is older than any memory of a fleet, which hears of changes within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tillbell.config import load
from tillbell.configure.api_keys import ApiKeys
from tillbell.configure.applications import Applications
from tillbell.configure.endpoints import Endpoints
from tillbell.configure.event_types import EventTypes
from tillbell.configure.key_usage import KeyUsage
from tillbell.configure.parts import Parts
from tillbell.configure.sources import SourceSettings
from tillbell.counters import Meters
from tillbell.deliver.compiled_endpoint import EndpointCompiler
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.endpoint_health import EndpointHealthMonitor
from tillbell.deliver.handshake import Handshake, Permission
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.http.resolver import Resolver
from tillbell.ids import IdMaker
from tillbell.model.audit import AuditedAct
from tillbell.model.records import Record
from tillbell.providers import PROVIDERS
from tillbell.receive.source_cache import SourceCache
from tillbell.storage.ports.database import Database
from tillbell.testing import ManualClock
from tillbell.vault import Vault

Act = Callable[[], Awaitable[object]]


class Interrupted:
    """A store that lets something else happen between the first read of a change and its write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kind: type[Record] | None = None
        self._act: Act | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def interrupt(self, kind: type[Record], act: Act) -> None:
        """Do an act at the next change of a record of that kind."""
        self._kind, self._act = kind, act

    @property
    def was_interrupted(self) -> bool:
        return self._act is None

    async def get(self, kind: type[Record], *where: Any) -> Any:
        """Read, let the act happen, and return what was read before it."""
        found = await self._database.get(kind, *where)
        await self._let_in(kind)
        return found

    async def put(
        self,
        *records: Record,
        expected_version: int | Sequence[int] = 0,
        audit: Sequence[AuditedAct] | None = None,
    ) -> None:
        await self._let_in(type(records[0]))
        await self._database.put(*records, expected_version=expected_version, audit=audit)

    async def remove(self, kind: type[Record], *where: Any) -> Any:
        await self._let_in(kind)
        return await self._database.remove(kind, *where)

    async def _let_in(self, kind: type[Record]) -> None:
        if kind is self._kind and self._act is not None:
            act, self._act = self._act, None
            await act()


class AgreeingHandshake(Handshake):
    """A handshake that every receiver agrees to; something may happen while it is under way."""

    def __init__(self, policy: AddressPolicy, clock: ManualClock) -> None:
        sender = HttpClient(policy, Resolver(()), clock)
        super().__init__(sender, policy, "", "")
        self.meanwhile: Act | None = None

    async def ask(self, _: str) -> Permission:
        """Agree."""
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            await act()
        return Permission(None)


class Process:
    """What one process changes configuration with."""

    def __init__(self, database: Database, clock: ManualClock, folder: Path) -> None:
        settings = load({"data_dir": folder, "dev": True}, {}).settings
        self.clock = clock
        self.vault = Vault.from_settings(settings)
        self.store: Any = Interrupted(database)
        policy = AddressPolicy(settings.allowed_cidrs, allow_http=True)
        self.handshake = AgreeingHandshake(policy, clock)
        self.compile = EndpointCompiler(settings, self.vault, policy).compile
        self.directory = ConfigCache(self.store, self.compile, clock)
        self.sources = SourceCache(self.directory, self.vault, PROVIDERS)
        parts = Parts(self.directory, clock, IdMaker(), self.vault, 24)
        self.applications = Applications(parts)
        self.event_types = EventTypes(parts)
        self.endpoints = Endpoints(parts, policy, self.handshake)
        self.source_settings = SourceSettings(parts, self.sources)
        self.api_keys = ApiKeys(parts, self.store)
        self.key_usage = KeyUsage(self.store, self.directory, clock)
        self.health = EndpointHealthMonitor(
            config_cache=self.directory, clock=clock, meters=Meters(), pause_after_days=5
        )


async def outcome(act: Act) -> str:
    """Do an act; return the name of its error, "" if there was none."""
    try:
        await act()
    except Exception as error:
        return type(error).__name__
    return ""


async def interrupted(store: Interrupted, kind: type[Record], first: Act, second: Act) -> list[str]:
    """Let the second act happen between the read and the write of the first."""
    outcomes: list[str] = []

    async def let_in() -> None:
        outcomes.append(await outcome(second))

    store.interrupt(kind, let_in)
    outcomes.append(await outcome(first))
    assert store.was_interrupted
    await asyncio.sleep(0)
    return outcomes
