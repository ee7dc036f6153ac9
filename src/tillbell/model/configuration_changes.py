"""The audit log of configuration: who changed what, read a secret, or signed in, and from where."""

from __future__ import annotations

from typing import Any, NamedTuple

from tillbell.clock import Micros


class Actor(NamedTuple):
    """Who acts: an API key, a person, or Tillbell itself."""

    id: str
    name: str
    request_id: str | None = None
    address: str | None = None  # of the client


SYSTEM = Actor("system", "Tillbell")


class ConfigurationChange(NamedTuple):
    """One change of a record, look at its secret, or sign-in. No value is a secret."""

    id: str
    app_id: str  # "": it belongs to no application
    at: Micros
    actor: str  # the id of the API key or person
    actor_name: str
    action: str  # endpoint.create, source.update, api-key.delete, endpoint.read-secret
    target: str  # the id of the record or person
    request_id: str | None
    address: str | None
    changes: dict[str, Any] = {}  # member → [before, after]
