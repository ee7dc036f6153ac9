"""Retell: the message of a transaction's latest step, once more.

For a receiver that missed it, and to see a new endpoint work. Message id and bytes are those
of the first time, so that whoever has it already can tell.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.deliver.config_cache import Directory
from tillbell.deliver.resend import Resender
from tillbell.errors import Conflict, NotFound
from tillbell.model.messages import Message
from tillbell.model.transactions import Transaction
from tillbell.process.operator import Act, Operator
from tillbell.storage.ports.database import Database


class Retold(NamedTuple):
    """What is sent again, and to whom."""

    message: Message
    endpoint_ids: tuple[str, ...]


class Reteller:
    """See the module."""

    def __init__(
        self, database: Database, directory: Directory, operator: Operator, resender: Resender
    ) -> None:
        self._database = database
        self._directory = directory
        self._operator = operator
        self._resender = resender

    async def retell(self, transaction: Transaction, act: Act) -> Retold:
        """Resend it to every endpoint that has had it or wants it now; audited first.

        `Conflict` if the message is no longer kept, or nobody wants it.
        """
        message = await self._message(transaction)
        endpoint_ids = await self._wanting(message)
        if not endpoint_ids:
            raise Conflict(f"No endpoint wants {message.event_type}.", code="no_endpoint")
        await self._operator.note(transaction.app_id, "transaction.resend", transaction.id, act)
        for endpoint_id in endpoint_ids:
            await self._resender.resend(transaction.app_id, message.id, endpoint_id)
        return Retold(message, endpoint_ids)

    async def _message(self, transaction: Transaction) -> Message:
        steps = await self._database.transitions(transaction.app_id, transaction.id)
        message_id = str(steps[-1].details.get("messageId", ""))
        message = await self._database.message(transaction.app_id, message_id)
        if message is None or await self._database.body(message.app_id, message.id) is None:
            raise Conflict("The message of its latest step is no longer kept.", code="gone")
        return message

    async def _wanting(self, message: Message) -> tuple[str, ...]:
        view = await self._directory.view(message.app_id)
        if view is None:
            raise NotFound("There is no such application.")
        planned = view.plan(message.event_type, message.channels)
        wanting = dict.fromkeys(route.live.endpoint.id for route in planned)
        for delivery in await self._database.deliveries_of_message(message.app_id, message.id):
            if delivery.endpoint_id in view.lives:
                wanting[delivery.endpoint_id] = None
        return tuple(wanting)
