"""Looks up what `rules/delivery/fate.py` needs to say why a message has not arrived, or when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tillbell.clock import Clock
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.lanes import Lanes
from tillbell.deliver.payload_routes import reads_payload
from tillbell.ids import attempt_id
from tillbell.model.endpoints import EndpointHealth
from tillbell.model.messages import Attempt, Delivery, DeliveryState, Message
from tillbell.rules.delivery.fate import Fate, FateCode, Lookup, fate_of
from tillbell.storage.ports.database import Database

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
        self, database: Database, config_cache: ConfigCache, lanes: Lanes, clock: Clock
    ) -> None:
        self._database = database
        self._config_cache = config_cache
        self._lanes = lanes
        self._clock = clock

    async def of(self, message: Message, endpoint_id: str) -> Fate:
        """Return the fate of a message at an endpoint; of several parts, that of the last one."""
        deliveries = await self._database.deliveries_of_message(message.app_id, message.id)
        return await self._of_parts(
            message, endpoint_id, [each for each in deliveries if each.endpoint_id == endpoint_id]
        )

    async def of_message(self, message: Message) -> dict[str, Fate]:
        """Return the fate of a message at every endpoint of its application, by endpoint id.

        Deleted endpoints that had a delivery are there too.
        """
        deliveries = await self._database.deliveries_of_message(message.app_id, message.id)
        endpoints = await self._config_cache.endpoints(message.app_id)
        ids = dict.fromkeys([*(e.id for e in endpoints), *(d.endpoint_id for d in deliveries)])
        return {
            id_: await self._of_parts(message, id_, [d for d in deliveries if d.endpoint_id == id_])
            for id_ in ids
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

    async def of_delivery(self, delivery: Delivery, message: Message) -> Fate:
        """Return the fate of a delivery."""
        app_id, endpoint_id = delivery.app_id, delivery.endpoint_id
        compiled = await self._config_cache.compiled_endpoint(app_id, endpoint_id)
        return await self._fate(message, compiled, delivery)

    async def _of_parts(
        self, message: Message, endpoint_id: str, deliveries: Sequence[Delivery]
    ) -> Fate:
        compiled = await self._config_cache.compiled_endpoint(message.app_id, endpoint_id)
        return await self._fate(message, compiled, _behind(deliveries))

    async def _fate(
        self, message: Message, compiled: CompiledEndpoint | None, delivery: Delivery | None
    ) -> Fate:
        endpoint = compiled.endpoint if compiled is not None else None
        body = await self._body(message)
        check = await self._check(compiled, message, body) if compiled is not None else None
        lookup = Lookup(
            now=self._clock.now(),
            has_body=body is not None,
            mismatch=_mismatch(compiled, check) if compiled and check else None,
            mismatch_text=check.payload_text if check is not None else None,
            last=await self._last_attempt(delivery) if delivery is not None else None,
        )
        if compiled and delivery and delivery.state is DeliveryState.WAITING:
            lookup = await self._with_lane(lookup, compiled, delivery)
        return fate_of(message, endpoint, delivery, lookup)

    async def _with_lane(
        self, lookup: Lookup, compiled: CompiledEndpoint, delivery: Delivery
    ) -> Lookup:
        """Add what holds a waiting delivery back: the breaker, another delivery, a rate."""
        endpoint = compiled.endpoint
        stored = await self._database.get(EndpointHealth, endpoint.id, endpoint.scope)
        health = self._lanes.health(endpoint.id, stored)
        view = self._config_cache.cached_view(endpoint.scope)
        rates = (endpoint.throttle_rate, view.application.throttle_rate if view else None)
        return lookup._replace(
            probe_at=health.probe_at if health is not None else None,
            ahead=await self._ahead(delivery),
            rate=min((rate for rate in rates if rate), default=None),
        )

    async def _ahead(self, delivery: Delivery) -> str | None:
        if delivery.order_key is None:
            return None
        return await self._database.first_of_order_key(
            delivery.app_id, delivery.endpoint_id, delivery.order_key
        )

    async def _last_attempt(self, delivery: Delivery) -> Attempt | None:
        """Return the last attempt that has ended."""
        number = delivery.attempts - (delivery.state is DeliveryState.SENDING)
        if number < 1:
            return None
        return await self._database.attempt(delivery.app_id, attempt_id(delivery.id, number))


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
