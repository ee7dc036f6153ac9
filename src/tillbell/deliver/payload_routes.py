"""Which endpoints a payload is for, and what each of them gets of it.

An endpoint may ask something of the payload (`filter`), or be that of a product: then it gets the
orders with a line of its product. An order goes once to a URL with the same secret, however many
products have it, unless each gets its own lines alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.fanout import Route, shared_variant, unrendered
from tillbell.model.endpoints import ANY_PRODUCT, Endpoint
from tillbell.model.messages import Message
from tillbell.profiles.base import MessageContext
from tillbell.profiles.order_lines import IsOwn, products_of, with_own_lines
from tillbell.rules.exact_json import decoded_exactly


class PayloadRouter:
    """Judges payloads for endpoints, of which some products have one of their own."""

    def __init__(self, own_products: frozenset[str]) -> None:
        self._own_products = own_products

    def passing(self, routes: tuple[Route, ...], payload: bytes) -> tuple[Route, ...]:
        """Leave out the routes to endpoints that this payload is not for."""
        if not any(reads_payload(route.compiled) for route in routes):
            return routes
        document = decoded_exactly(payload)
        products = frozenset(products_of(payload))
        taken = [route for route in routes if self._takes(route.compiled, document, products)]
        return tuple(_once_each(taken))

    def mismatch(self, compiled: CompiledEndpoint, payload: bytes) -> str | None:
        """Return in words why a payload is not for an endpoint; None: it is."""
        if not self._has_product(compiled.endpoint, frozenset(products_of(payload))):
            return _no_line(compiled.endpoint)
        filter_ = compiled.payload_filter
        return filter_.mismatch(payload) if filter_ is not None else None

    def is_own(self, endpoint: Endpoint) -> IsOwn:
        """Return what tells whether a line of an order is one of the endpoint's products."""
        if endpoint.product_id == ANY_PRODUCT:
            return lambda product: product not in self._own_products
        return lambda product: product == endpoint.product_id

    def _takes(
        self, compiled: CompiledEndpoint, document: object, products: frozenset[str | None]
    ) -> bool:
        filter_ = compiled.payload_filter
        is_met = filter_ is None or filter_.passes(document)
        return is_met and self._has_product(compiled.endpoint, products)

    def _has_product(self, endpoint: Endpoint, products: frozenset[str | None]) -> bool:
        return endpoint.product_id is None or any(map(self.is_own(endpoint), products))

    def twin(
        self,
        compiled: CompiledEndpoint,
        others: Iterable[CompiledEndpoint],
        message: Message,
        payload: bytes,
    ) -> str | None:
        """Say by which other endpoint an order comes to the same receiver; None: by none.

        `others` are the endpoints of the application in their order: the first of them sends it.
        """
        receiver = _receiver(compiled)
        if receiver is None:
            return None
        for other in others:
            if other.endpoint.id == compiled.endpoint.id:
                return None
            is_twin = _receiver(other) == receiver and other.takes_messages
            wants = is_twin and other.filter.wants(message.event_type, message.channels)
            if wants and self.mismatch(other, payload) is None:
                id_ = other.endpoint.id
                return f"The order goes to the same URL and secret by the endpoint {id_}."
        return None

    def render(self, routes: Iterable[Route], message: Message, payload: bytes) -> dict[str, bytes]:
        """Render every body that the routes need, once each, by variant."""
        bodies = {"": payload}
        for route in routes:
            if route.variant not in bodies:
                bodies[route.variant] = self._rendered(route, message, payload)
        return bodies

    def _rendered(self, route: Route, message: Message, payload: bytes) -> bytes:
        compiled = route.compiled
        if compiled.endpoint.own_lines:
            payload = with_own_lines(payload, self.is_own(compiled.endpoint))
        if not shared_variant(route.variant):
            return payload
        context = MessageContext(
            message.id, message.event_type, message.created_at, payload, message.content_type
        )
        if compiled.text_template is not None:
            text = compiled.text_template.text(context)
            if not isinstance(text, str):
                return unrendered(f"Its text template made no text of this message: {text}")
            context = context._replace(text=text)
        return compiled.profile.render(route.part, context)


def reads_payload(compiled: CompiledEndpoint) -> bool:
    """Tell whether a payload decides what the endpoint gets."""
    return compiled.payload_filter is not None or compiled.endpoint.product_id is not None


def _no_line(endpoint: Endpoint) -> str:
    if endpoint.product_id == ANY_PRODUCT:
        return "No line of the order has a product without a webhook of its own."
    return f"No line of the order has the product {endpoint.product_id}."


def _receiver(compiled: CompiledEndpoint) -> tuple[object, ...] | None:
    """Return where an endpoint of a product brings whole orders; None: it does not."""
    endpoint = compiled.endpoint
    if endpoint.product_id is None or endpoint.own_lines:
        return None
    return (endpoint.url, endpoint.profile, compiled.secrets)


def _once_each(routes: Iterable[Route]) -> Iterable[Route]:
    """Leave out what comes to its receiver by the endpoint of another product anyway."""
    known: set[tuple[object, ...]] = set()
    for route in routes:
        receiver = _receiver(route.compiled)
        if receiver is None:
            yield route
        elif (receiver, route.part) not in known:
            known.add((receiver, route.part))
            yield route
