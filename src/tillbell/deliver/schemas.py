"""Payloads checked against the JSON Schema of their event type, when the application asks."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import msgspec

from tillbell.deliver.config_cache import ConfigCache
from tillbell.errors import Invalid, Problem
from tillbell.model.records import EventType

PROBLEMS_MAX = 20


class Schemas:
    """Compiled schemas; compiled again when their event type changes."""

    def __init__(self, directory: ConfigCache) -> None:
        self._config_cache = directory
        self._compiled: dict[str, tuple[EventType, Any]] = {}

    def check(self, event_type: str, payload: bytes) -> None:
        """Raise `Invalid` if a schema is registered and the payload breaks it."""
        kind = self._config_cache.cached_event_type(event_type)
        if kind is None or not kind.schemas:
            return
        validator = self._validator(kind)
        errors = list(validator.iter_errors(msgspec.json.decode(payload)))[:PROBLEMS_MAX]
        if errors:
            raise Invalid(
                *(
                    Problem(("body", "payload", *e.instance_path), e.message, "json_schema")
                    for e in errors
                )
            )

    def _validator(self, kind: EventType) -> Any:
        found = self._compiled.get(kind.id)
        if found is None or found[0] is not kind:
            assert kind.schemas
            latest = kind.schemas[max(kind.schemas, key=_version)]
            found = self._compiled[kind.id] = (kind, compile_schema(latest))
        return found[1]


def compile_schema(schema: Any) -> Any:
    """Compile a JSON Schema (2020-12 by default). Remote references are never fetched.

    `ValueError` says what is wrong with the schema.
    """
    return jsonschema_rs.validator_for(schema, retriever=_refuse)


def _refuse(uri: str) -> Any:
    raise ValueError(f"remote reference {uri} is not fetched; put the schema inline")


def _version(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isascii() and name.isdigit() else (-1, name)
