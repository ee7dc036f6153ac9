"""Webhooks of products and sources: an endpoint that one product, or one source, has as a setting.

They are endpoints like all others, with deliveries, retries and resends, under a uid that is made
of what they belong to. So each product and source has one, whoever sets it at the same time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tillbell.configure.endpoints import EndpointChanges, Endpoints
from tillbell.deliver.config_cache import ConfigCache
from tillbell.errors import ConflictError, NotFound
from tillbell.model.endpoints import ANY_PRODUCT, Endpoint, EndpointStatus

_PLAIN = re.compile(r"[a-zA-Z0-9\-_.]{1,200}")


class WebhookOwner(NamedTuple):
    """What a webhook belongs to: a product, every product without one, or a source."""

    product_id: str | None = None
    source_id: str | None = None

    @property
    def endpoint_uid(self) -> str:
        """The uid of its endpoint."""
        if self.source_id is not None:
            return f"source.{self.source_id}"
        if self.product_id == ANY_PRODUCT:
            return "products"
        id_ = self.product_id or ""
        if not _PLAIN.fullmatch(id_):
            id_ = hashlib.blake2b(id_.encode(), digest_size=16).hexdigest()
        return f"product.{id_}"


class WebhookSetting(NamedTuple):
    """What is set of a webhook."""

    url: str
    is_enabled: bool = True
    secret: str | None = None
    sets_secret: bool = False  # False: the secret stays as it is
    fields: Mapping[str, Any] = MappingProxyType({})  # other fields of the endpoint


class Webhooks:
    """Sets and removes the webhooks of products and sources."""

    def __init__(self, endpoints: Endpoints, config_cache: ConfigCache) -> None:
        self._endpoints = endpoints
        self._config_cache = config_cache

    async def find(self, app_id: str, owner: WebhookOwner) -> Endpoint | None:
        """Return the endpoint of an owner; None if it has no webhook."""
        endpoint = await self._config_cache.endpoint(app_id, owner.endpoint_uid)
        return endpoint if endpoint is not None and _belongs(endpoint, owner) else None

    async def put(self, app_id: str, owner: WebhookOwner, setting: WebhookSetting) -> Endpoint:
        """Set the webhook of an owner. `Invalid` if something of it is wrong."""
        uid = owner.endpoint_uid
        present = await self._config_cache.endpoint(app_id, uid)
        if present is not None and not _belongs(present, owner):
            text = f"Another endpoint has the uid {uid}, by which this webhook is kept."
            raise ConflictError(text, code="uid_taken")
        is_enabled = setting.is_enabled
        fields = {
            "url": setting.url,
            "product_id": owner.product_id,
            "source_id": owner.source_id,
            "status": EndpointStatus.ACTIVE if is_enabled else EndpointStatus.DISABLED,
            "status_reason": None if is_enabled else "owner",
            **setting.fields,
        }
        named = "eventTypes" if setting.fields.get("selectors") else None
        changes = EndpointChanges(fields, named, setting.secret, setting.sets_secret)
        return (await self._endpoints.upsert(app_id, uid, changes)).record

    async def remove(self, app_id: str, owner: WebhookOwner) -> None:
        """Remove the webhook of an owner. `NotFound` if it has none."""
        endpoint = await self.find(app_id, owner)
        if endpoint is None:
            raise NotFound("It has no webhook.")
        await self._endpoints.remove(app_id, endpoint.id)


def _belongs(endpoint: Endpoint, owner: WebhookOwner) -> bool:
    return (endpoint.product_id, endpoint.source_id) == owner
