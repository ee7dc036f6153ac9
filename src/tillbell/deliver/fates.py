"""Looks up what `rules/delivery/fate.py` needs to say why a message has not arrived, or when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tillbell.clock import Clock
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.hold import Hold
from tillbell.deliver.lanes import Lanes
from tillbell.deliver.payload_routes import reads_payload
from tillbell.model.endpoints import Endpoint, EndpointHealth
from tillbell.model.messages import Delivery, DeliveryState, Message
from tillbell.rules.delivery.fate import Fate, FateCode, Lookup, fate_of
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import DeliveryFacts, DeliveryRow

_OPEN = (DeliveryState.WAITING, DeliveryState.SENDING)
_ENDED = (DeliveryState.SUCCEEDED, DeliveryState.DISCARDED)


class FilterCheck(NamedTuple):
    """What the filters of an endpoint, as it is set now, say of a message."""

    event_type: bool  # it asks for this type
    channel: bool  # it asks for one of these channels, or for any
    profile: bool  # its profile has a format for this type
    payload: bool = True  # the payload meets its filter, or is deleted
    payload_text: str | None = None  # the first condition that the payload does not meet, in words

    @property
    def takes(self) -> bool:
        """Whether such a message would be sent to it."""
        return self.event_type and self.channel and self.profile and self.payload


class Fates:
    """Says where messages are on their way to endpoints."""

    def __init__(
        self,
        *,
        database: Database,
        config_cache: ConfigCache,
        lanes: Lanes,
        hold: Hold,
        clock: Clock,
    ) -> None:
        self._database = database
        self._config_cache = config_cache
        self._lanes = lanes
        self._hold = hold
        self._clock = clock

    async def of(self, message: Message, endpoint_id: str) -> Fate:
        """Return the fate of a message at an endpoint; of several parts, that of the last one."""
        deliveries = await self._database.deliveries_of_message(message.app_id, message.id)
        parts = [each for each in deliveries if each.endpoint_id == endpoint_id]
        return (await self._of_parts(message, {endpoint_id: parts}))[endpoint_id]

    async def of_message(self, message: Message) -> dict[str, Fate]:
        """Return the fate of a message at every endpoint of its application, by endpoint id.

        Deleted endpoints that had a delivery are there too.
        """
        deliveries = await self._database.deliveries_of_message(message.app_id, message.id)
        endpoints = await self._config_cache.endpoints(message.app_id)
        parts: dict[str, list[Delivery]] = {endpoint.id: [] for endpoint in endpoints}
        for delivery in deliveries:
            parts.setdefault(delivery.endpoint_id, []).append(delivery)
        return await self._of_parts(message, parts)

    async def of_open(self, rows: Iterable[DeliveryRow]) -> dict[str, Fate]:
        """Return the fates of those deliveries that have not ended, by their ids."""
        return await self._of_deliveries([row for row in rows if row.delivery.state in _OPEN])

    async def _of_deliveries(self, rows: Sequence[DeliveryRow]) -> dict[str, Fate]:
        """Return the fates of deliveries by their ids. What is stored of all is read at once."""
        if not rows:
            return {}
        waiting = {
            (delivery.app_id, delivery.endpoint_id)
            for delivery, _ in rows
            if delivery.state is DeliveryState.WAITING
        }
        facts, healths = await asyncio.gather(
            self._database.delivery_facts([row.delivery for row in rows]),
            self._database.get_many(EndpointHealth, sorted(waiting)),
        )
        return {
            row.delivery.id: await self._of_row(
                row, facts[row.delivery.id], healths.get(row.delivery.endpoint_id)
            )
            for row in rows
        }

    async def filter_check(self, message: Message, endpoint_id: str) -> FilterCheck | None:
        """Return what the filters of an endpoint say of a message; None: it was deleted."""
        compiled = await self._config_cache.compiled_endpoint(message.app_id, endpoint_id)
        if compiled is None:
            return None
        return await self._check(compiled, message, await self._body(message))

    async def _check(
        self, compiled: CompiledEndpoint, message: Message, body: bytes | None
    ) -> FilterCheck:
        own = compiled.filter
        text = None
        view = await self._config_cache.view(message.app_id)
        if view is not None and body is not None and reads_payload(compiled):
            router, others = view.payload_router, view.compiled_endpoints.values()
            text = router.mismatch(compiled, body)
            text = text or router.twin(compiled, others, message, body)
        return FilterCheck(
            event_type=own._replace(channels=None).wants(message.event_type, ()),
            channel=own.channels is None or not own.channels.isdisjoint(message.channels),
            profile=bool(compiled.profile.parts(message.event_type, own.asked)),
            payload=text is None,
            payload_text=text,
        )

    async def _body(self, message: Message) -> bytes | None:
        return await self._database.body(message.app_id, message.id)

    async def _of_parts(
        self, message: Message, parts: Mapping[str, Sequence[Delivery]]
    ) -> dict[str, Fate]:
        """Return the fates of a message by endpoint ids. It has these deliveries, or none."""
        behind = {id_: _behind(deliveries) for id_, deliveries in parts.items()}
        fates = await self._of_deliveries(
            [DeliveryRow(delivery, message) for delivery in behind.values() if delivery is not None]
        )
        body = None if all(behind.values()) else await self._body(message)
        return {
            id_: fates[delivery.id]
            if delivery is not None
            else await self._without_delivery(message, id_, body)
            for id_, delivery in behind.items()
        }

    async def _without_delivery(
        self, message: Message, endpoint_id: str, body: bytes | None
    ) -> Fate:
        compiled = await self._config_cache.compiled_endpoint(message.app_id, endpoint_id)
        lookup = Lookup(now=self._clock.now(), has_body=body is not None)
        if compiled is None:
            return fate_of(message, None, None, lookup)
        check = await self._check(compiled, message, body)
        lookup = lookup._replace(
            mismatch=_mismatch(compiled, check), mismatch_text=check.payload_text
        )
        return fate_of(message, compiled.endpoint, None, lookup)

    async def _of_row(
        self, row: DeliveryRow, facts: DeliveryFacts, stored: EndpointHealth | None
    ) -> Fate:
        delivery, message = row
        endpoint = await self._config_cache.endpoint(delivery.app_id, delivery.endpoint_id)
        lookup = Lookup(
            now=self._clock.now(), has_body=facts.has_body, ahead=facts.ahead, last=facts.last
        )
        if endpoint is not None and delivery.state is DeliveryState.WAITING:
            lookup = self._with_lane(lookup, endpoint, stored)
        return fate_of(message, endpoint, delivery, lookup)

    def _with_lane(
        self, lookup: Lookup, endpoint: Endpoint, stored: EndpointHealth | None
    ) -> Lookup:
        """Add what keeps the deliveries of an endpoint back: its breaker, a rate, the hold."""
        health = self._lanes.health(endpoint.id, stored)
        view = self._config_cache.cached_view(endpoint.scope)
        rates = (endpoint.throttle_rate, view.application.throttle_rate if view else None)
        return lookup._replace(
            probe_at=health.probe_at if health is not None else None,
            rate=min((rate for rate in rates if rate), default=None),
            is_held=self._hold.is_on,
        )


def _behind(deliveries: Iterable[Delivery]) -> Delivery | None:
    """Return the delivery that is least far, of the parts of one message."""
    return min(deliveries, key=lambda each: each.state in _ENDED, default=None)


def _mismatch(compiled: CompiledEndpoint, check: FilterCheck) -> FateCode | None:
    """Return which filter of an endpoint leaves a message out; None: it takes it."""
    if not check.event_type or (compiled.takes_messages and check.channel and not check.profile):
        return FateCode.FILTERED_TYPE
    if not check.channel:
        return FateCode.FILTERED_CHANNEL
    return None if check.payload else FateCode.FILTERED_PAYLOAD
