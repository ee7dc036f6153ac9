"""Schemas: payloads are checked against their event type's JSON Schema, if the application asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from tillbell.deliver.config_cache import ConfigCache
from tillbell.errors import Invalid, Problem
from tillbell.model.records import EventType
from tillbell.rules.delivery.schema_work import SchemaTooLarge, SchemaWork

PROBLEMS_MAX = 20
SCHEMA_BYTES_MAX = 262_144


class Schemas:
    """Checks payloads with compiled schemas; a changed event type is compiled again."""

    def __init__(self, config_cache: ConfigCache) -> None:
        self._config_cache = config_cache
        self._compiled_schemas: dict[
            str, tuple[EventType, CompiledSchema]
        ] = {}  # by id of the type

    async def check(self, event_type: str, payload: bytes) -> None:
        """Raise `Invalid` if the event type has a schema and the payload does not fit it.

        Also if the check would take too long: one that has begun cannot be stopped.
        """
        registered = self._config_cache.cached_event_type(event_type)
        if registered is None or not registered.schemas:
            return
        try:
            compiled = self._compiled(registered)
        except (ValueError, RecursionError) as error:  # stored by an older version
            raise Invalid(
                _problem("schema_unusable", f"The schema is not used. {error}")
            ) from error
        if compiled.work.is_small(payload):
            problems = compiled.problems(payload)
        else:
            problems = await asyncio.to_thread(compiled.problems, payload)
        if problems:
            raise Invalid(*problems)

    def _compiled(self, event_type: EventType) -> CompiledSchema:
        compiled_from, compiled = self._compiled_schemas.get(event_type.id, (None, None))
        if compiled is None or compiled_from is not event_type:
            assert event_type.schemas
            compiled = compile_schema(latest_schema(event_type.schemas))
            self._compiled_schemas[event_type.id] = (event_type, compiled)
        return compiled


class CompiledSchema(NamedTuple):
    """A schema that is ready, and the work that it makes."""

    validator: Any
    work: SchemaWork

    def problems(self, payload: bytes) -> list[Problem]:
        """Return what is wrong with a payload."""
        try:
            value = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            return [_problem("json_schema", "is no JSON, and its event type has a schema")]
        if self.work.is_too_much(payload, value):
            return [_problem("schema_work", "It would take too long to check it by its schema.")]
        return [
            Problem(("body", "payload", *error.instance_path), error.message, "json_schema")
            for error in islice(self.validator.iter_errors(value), PROBLEMS_MAX)
        ]


def _problem(kind: str, text: str) -> Problem:
    return Problem(("body", "payload"), text, kind)


def compile_schema(schema: Any) -> CompiledSchema:
    """Compile a JSON Schema (2020-12 by default). Remote references are never fetched.

    `ValueError` says what is wrong with the schema, also if it makes too much work.
    """
    import jsonschema_rs  # 5 MiB and 16 ms of every start, for those who have schemas

    size = len(msgspec.json.encode(schema))
    if size > SCHEMA_BYTES_MAX:
        raise SchemaTooLarge(f"It has more than {SCHEMA_BYTES_MAX} bytes.")
    work = SchemaWork(schema)
    return CompiledSchema(jsonschema_rs.validator_for(schema, retriever=_refuse), work)


def _refuse(uri: str) -> Any:
    raise ValueError(f"remote reference {uri} is not fetched; put the schema inline")


def latest_schema(schemas: Mapping[str, Any]) -> Any:
    """Return the schema that counts: that of the highest version."""
    return schemas[max(schemas, key=_version)]


def _version(name: str) -> tuple[int, str]:
    """Order versions: numbers by value, after all other names."""
    return (int(name), "") if name.isascii() and name.isdigit() else (-1, name)
