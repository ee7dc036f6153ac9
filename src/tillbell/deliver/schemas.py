"""Schemas: payloads are checked against their event type's JSON Schema, if the application asks."""

from __future__ import annotations

from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec

from tillbell.deliver.config_cache import ConfigCache
from tillbell.errors import Invalid, Problem
from tillbell.model.records import EventType

PROBLEMS_MAX = 20


class Schemas:
    """Checks payloads with compiled schemas; a changed event type is compiled again."""

    def __init__(self, config_cache: ConfigCache) -> None:
        self._config_cache = config_cache
        self._validators: dict[str, tuple[EventType, Any]] = {}  # by id of the event type

    def check(self, event_type: str, payload: bytes) -> None:
        """Raise `Invalid` if the event type has a schema and the payload does not fit it."""
        registered = self._config_cache.cached_event_type(event_type)
        if registered is None or not registered.schemas:
            return
        try:
            document = msgspec.json.decode(payload)
        except msgspec.DecodeError as error:
            message = "is no JSON, and its event type has a schema"
            raise Invalid(Problem(("body", "payload"), message, "json_schema")) from error
        errors = self._validator(registered).iter_errors(document)
        problems = [
            Problem(("body", "payload", *error.instance_path), error.message, "json_schema")
            for error in islice(errors, PROBLEMS_MAX)
        ]
        if problems:
            raise Invalid(*problems)

    def _validator(self, event_type: EventType) -> Any:
        compiled_from, validator = self._validators.get(event_type.id, (None, None))
        if compiled_from is not event_type:
            assert event_type.schemas
            latest = max(event_type.schemas, key=_version)
            validator = compile_schema(event_type.schemas[latest])
            self._validators[event_type.id] = (event_type, validator)
        return validator


def compile_schema(schema: Any) -> Any:
    """Compile a JSON Schema (2020-12 by default). Remote references are never fetched.

    `ValueError` says what is wrong with the schema.
    """
    return jsonschema_rs.validator_for(schema, retriever=_refuse)


def _refuse(uri: str) -> Any:
    raise ValueError(f"remote reference {uri} is not fetched; put the schema inline")


def _version(name: str) -> tuple[int, str]:
    """Order versions: numbers by value, after all other names."""
    return (int(name), "") if name.isascii() and name.isdigit() else (-1, name)
