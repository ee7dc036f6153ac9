"""Lists over all applications. Each walks along ids, so that its order never changes.

`app_id=None`: of every application. What an index does not help with is left to the caller, who
reads some pages and filters them.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback
from tillbell.model.transactions import MoneyConflict, Transaction
from tillbell.rules.audit_chain import ChainBounds, ChainedRow
from tillbell.storage.ports.inbound import TransactionFilter
from tillbell.storage.ports.outbound import DeliveryRow, Page


class Attention(NamedTuple):
    """How many things need somebody, each up to a limit."""

    failing: int = 0  # endpoints
    conflicts: int = 0  # that are open


class OverviewLists(Protocol):
    """Lists for people who look after the whole installation."""

    async def attention(self, app_id: str | None, limit: int) -> Attention:
        """Count what needs somebody in an application; None: in all."""
        ...

    async def deliveries(
        self, app_id: str | None, page: Page, *, failed_only: bool = False
    ) -> list[DeliveryRow]:
        """List deliveries, those of the newest message first unless `ascending`."""
        ...

    async def all_callbacks(self, page: Page) -> list[Callback]:
        """List callbacks of every application, newest first unless `ascending`."""
        ...

    async def refused_by_source(
        self, app_id: str | None, since: Micros, limit: int
    ) -> dict[tuple[str, str], int]:
        """Count refused callbacks since a time by application and source.

        It looks at the newest `limit` of an application's refused ones; of all applications, at
        the newest `limit` of all callbacks.
        """
        ...

    async def all_transactions(self, page: Page) -> list[Transaction]:
        """List transactions of every application, newest first unless `ascending`."""
        ...

    async def find_transactions(self, filter_: TransactionFilter, page: Page) -> list[Transaction]:
        """List transactions of one user or reference in every application, like the one above."""
        ...

    async def audit_bounds(self) -> ChainBounds:
        """Return where the chain of the audit log begins and ends."""
        ...

    async def audit_rows(self, after: int, limit: int) -> list[ChainedRow]:
        """List rows of the audit log in the order of the chain, behind a number."""
        ...

    async def all_conflicts(self, page: Page) -> list[MoneyConflict]:
        """List conflicts of every application, newest first unless `ascending`."""
        ...
