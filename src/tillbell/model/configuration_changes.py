"""The audit log of configuration: who changed which record, or read a secret, and from where."""

from __future__ import annotations

from typing import Any, NamedTuple

from tillbell.clock import Micros


class Actor(NamedTuple):
    """Who acts: an API key, or Tillbell itself."""

    id: str
    name: str
    request_id: str | None = None
    address: str | None = None  # of the client


SYSTEM = Actor("system", "Tillbell")


class ConfigurationChange(NamedTuple):
    """One change of a record, or one look at its secret. No value is a secret."""

    id: str
    app_id: str  # "": it belongs to no application
    at: Micros
    actor: str  # the API key's id
    actor_name: str
    action: str  # endpoint.create, source.update, api-key.delete, endpoint.read-secret
    target: str  # the record's id
    request_id: str | None
    address: str | None
    changes: dict[str, Any] = {}  # member → [before, after]
