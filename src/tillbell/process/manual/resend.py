"""Resending the message of a transaction's latest step, by hand.

For a receiver that missed it, or to try a new endpoint. The message id and bytes stay the same,
so a receiver that has it already can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.resend import DeliveryResender
from tillbell.errors import ConflictError, NotFound, Refused
from tillbell.model.messages import Message
from tillbell.model.transactions import Transaction
from tillbell.process.manual.audited import RESEND, ActionReason, AuditedDecisions
from tillbell.storage.ports.database import Database


class ResentMessage(NamedTuple):
    """A message, the endpoints that it was sent to again, and why not to others."""

    message: Message
    endpoint_ids: tuple[str, ...]
    skipped: Mapping[str, str]  # by endpoint id


class MessageResender:
    """Resends messages of transactions."""

    def __init__(
        self,
        database: Database,
        audited: AuditedDecisions,
        config_cache: ConfigCache,
        delivery_resender: DeliveryResender,
    ) -> None:
        self._audited = audited
        self._database = database
        self._config_cache = config_cache
        self._delivery_resender = delivery_resender

    async def resend(self, transaction: Transaction, act: ActionReason) -> ResentMessage:
        """Resend to every endpoint that had the message or wants it now. Audited first.

        `ConflictError` if the message is deleted, no endpoint wants it, or none can be sent to now.
        """
        app_id = transaction.app_id
        message = await self._latest_message(transaction)
        endpoint_ids = await self._endpoint_ids(message)
        if not endpoint_ids:
            raise ConflictError(f"No endpoint wants {message.event_type}.", code="no_endpoint")
        await self._audited.audit(app_id, RESEND, transaction.id, act)
        refused: dict[str, Refused] = {}
        for endpoint_id in endpoint_ids:
            try:
                await self._delivery_resender.resend(app_id, message.id, endpoint_id)
            except Refused as error:
                refused[endpoint_id] = error
        if len(refused) == len(endpoint_ids):
            raise refused[endpoint_ids[0]]
        sent = tuple(id_ for id_ in endpoint_ids if id_ not in refused)
        return ResentMessage(message, sent, {id_: str(error) for id_, error in refused.items()})

    async def _latest_message(self, transaction: Transaction) -> Message:
        transitions = await self._database.transitions(transaction.app_id, transaction.id)
        message_id = str(transitions[-1].details.get("messageId", ""))
        message = await self._database.message(transaction.app_id, message_id)
        if message is None or await self._database.body(message.app_id, message.id) is None:
            raise ConflictError("The message of its latest step is no longer kept.", code="gone")
        return message

    async def _endpoint_ids(self, message: Message) -> tuple[str, ...]:
        view = await self._config_cache.view(message.app_id)
        if view is None:
            raise NotFound("There is no such application.")
        routes = view.routes(message.event_type, message.channels)
        deliveries = await self._database.deliveries_of_message(message.app_id, message.id)
        wanting = [route.compiled.endpoint.id for route in routes]
        had = [d.endpoint_id for d in deliveries if d.endpoint_id in view.compiled_endpoints]
        return tuple(dict.fromkeys((*wanting, *had)))
