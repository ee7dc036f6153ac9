"""Retell: the message of a transaction's latest step, once more.

For a receiver that missed it, and to see a new endpoint work. Message id and bytes are those
of the first time, so that whoever has it already can tell.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.resend import DeliveryResender
from tillbell.errors import ConflictError, NotFound
from tillbell.model.messages import Message
from tillbell.model.transactions import Transaction
from tillbell.process.operator import ActionReason, ManualActions
from tillbell.storage.ports.database import Database


class ResentMessage(NamedTuple):
    """What is sent again, and to whom."""

    message: Message
    endpoint_ids: tuple[str, ...]


class MessageResender:
    """See the module."""

    def __init__(
        self,
        database: Database,
        directory: ConfigCache,
        operator: ManualActions,
        resender: DeliveryResender,
    ) -> None:
        self._database = database
        self._config_cache = directory
        self._manual_actions = operator
        self._delivery_resender = resender

    async def resend(self, transaction: Transaction, act: ActionReason) -> ResentMessage:
        """Resend it to every endpoint that has had it or wants it now; audited first.

        `Conflict` if the message is no longer kept, or nobody wants it.
        """
        message = await self._message(transaction)
        endpoint_ids = await self._subscribers(message)
        if not endpoint_ids:
            raise ConflictError(f"No endpoint wants {message.event_type}.", code="no_endpoint")
        await self._manual_actions.audit(
            transaction.app_id, "transaction.resend", transaction.id, act
        )
        for endpoint_id in endpoint_ids:
            await self._delivery_resender.resend(transaction.app_id, message.id, endpoint_id)
        return ResentMessage(message, endpoint_ids)

    async def _message(self, transaction: Transaction) -> Message:
        steps = await self._database.transitions(transaction.app_id, transaction.id)
        message_id = str(steps[-1].details.get("messageId", ""))
        message = await self._database.message(transaction.app_id, message_id)
        if message is None or await self._database.body(message.app_id, message.id) is None:
            raise ConflictError("The message of its latest step is no longer kept.", code="gone")
        return message

    async def _subscribers(self, message: Message) -> tuple[str, ...]:
        view = await self._config_cache.view(message.app_id)
        if view is None:
            raise NotFound("There is no such application.")
        planned = view.routes(message.event_type, message.channels)
        wanting = dict.fromkeys(route.compiled.endpoint.id for route in planned)
        for delivery in await self._database.deliveries_of_message(message.app_id, message.id):
            if delivery.endpoint_id in view.compiled_endpoints:
                wanting[delivery.endpoint_id] = None
        return tuple(wanting)
