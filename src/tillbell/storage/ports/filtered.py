"""Lists with a filter. Each call looks at one slice of an index, so no call takes long.

A slice is a number of rows along the index that the filter allows; it is larger than a page where
the filter also asks what the index does not say. The caller goes on at `end` until its page is full
or it has looked at enough. A walk keeps its order, so pages never overlap.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

from tillbell.model.audit import AuditedAct
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Attempt, Message
from tillbell.model.transactions import MoneyConflict, Transaction
from tillbell.rules.filters.clauses import ListFilter
from tillbell.storage.ports.outbound import DeliveryRow, Page

T = TypeVar("T")


class Slice(NamedTuple, Generic[T]):
    """The rows of a slice that fit, in the order of the walk: backwards for a page backwards."""

    rows: list[T]
    searched: int  # rows of the index that were looked at, at most
    end: str | None  # the position to go on at; None: nothing follows


class FilteredLists(Protocol):
    """Lists of one application (None: of all), newest first unless `ascending`.

    At most `page.limit` rows are returned, of the first `size` rows behind `page.iterator`. If the
    filter asks only what the index says, `size` is that of the page. Clauses about payloads are
    tried on payloads that are still stored.
    """

    async def filtered_messages(
        self, app_id: str | None, filter_: ListFilter, page: Page, size: int
    ) -> Slice[Message]:
        """List messages."""
        ...

    async def filtered_deliveries(
        self, app_id: str | None, filter_: ListFilter, page: Page, size: int
    ) -> Slice[DeliveryRow]:
        """List deliveries, those of the newest message first."""
        ...

    async def filtered_attempts(
        self, app_id: str | None, filter_: ListFilter, page: Page, size: int
    ) -> Slice[Attempt]:
        """List closed attempts by their start; positions are `attempt_cursor`s.

        If there are more than 200 endpoints in an application, its attempts are searched.
        """
        ...

    async def filtered_callbacks(
        self, app_id: str | None, filter_: ListFilter, page: Page, size: int
    ) -> Slice[Callback]:
        """List callbacks."""
        ...

    async def filtered_transactions(
        self, app_id: str | None, filter_: ListFilter, page: Page, size: int
    ) -> Slice[Transaction]:
        """List transactions."""
        ...

    async def filtered_conflicts(
        self, app_id: str | None, filter_: ListFilter, page: Page, size: int
    ) -> Slice[MoneyConflict]:
        """List conflicts."""
        ...

    async def filtered_audit(
        self, app_id: str | None, filter_: ListFilter, page: Page, size: int
    ) -> Slice[AuditedAct]:
        """List the audit log; with None also what belongs to no application."""
        ...
