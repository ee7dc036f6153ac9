"""Event types as the `webhooks` of an OpenAPI document: read from one, and written as one.

The name of an event type is the name of the webhook, or `x-svix-event-type` of its operation. What
the document does not say of an event type stays as it is: a flag that hides a type above all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tillbell.deliver.schemas import latest_schema
from tillbell.errors import Invalid, Problem
from tillbell.model.records import EventType
from tillbell.rules.delivery.payload import DEPTH_MAX
from tillbell.rules.delivery.selectors import check_event_type

Doc = dict[str, Any]
Loc = tuple[str | int, ...]
TYPES_MAX = 1_000
TEXT_MAX, NAME_MAX = 2048, 256
_METHODS = ("post", "put", "get", "delete", "patch", "options", "head", "trace")
_COMPONENTS = "#/components/schemas/"
_DEFINITIONS = "#/$defs/"
_NAME, _GROUP = "x-svix-event-type", "x-svix-group-name"
_FLAGS, _FLAG = "x-svix-feature-flags", "x-svix-feature-flag"


class DescribedType(NamedTuple):
    """An event type as a document describes it."""

    name: str
    fields: Mapping[str, Any]  # of the record, by name; only what the document says
    loc: Loc


def described_types(document: Any, loc: Loc) -> list[DescribedType]:
    """Return the event types of a document. `loc` is its place in the request.

    `Invalid` if it has none, or one that cannot be registered.
    """
    if not isinstance(document, dict):
        raise Invalid(Problem(loc, "must be an object: an OpenAPI document", "openapi"))
    section = next((name for name in ("webhooks", "x-webhooks") if document.get(name)), None)
    webhooks = document[section] if section is not None else None
    if section is None or not isinstance(webhooks, dict):
        text = "has no `webhooks` (OpenAPI 3.1) and no `x-webhooks`: there is nothing to import"
        raise Invalid(Problem(loc, text, "openapi"))
    if len(webhooks) > TYPES_MAX:
        raise Invalid(Problem((*loc, section), f"must hold at most {TYPES_MAX} webhooks", "length"))
    reader = _Reader(document)
    types = [reader.event_type(key, item, (*loc, section, key)) for key, item in webhooks.items()]
    _refuse_doubles(types)
    return types


def openapi_of(event_types: Iterable[EventType]) -> Doc:
    """Write registered event types as an OpenAPI document, which can be imported again."""
    webhooks = {event_type.uid or event_type.id: _webhook(event_type) for event_type in event_types}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Event types", "version": "1"},
        "webhooks": webhooks,
    }


def _webhook(event_type: EventType) -> Doc:
    operation: Doc = {"description": event_type.description}
    if event_type.deprecated:
        operation["deprecated"] = True
    if event_type.group_name is not None:
        operation[_GROUP] = event_type.group_name
    if event_type.feature_flags is not None:
        operation[_FLAGS] = list(event_type.feature_flags)
    if event_type.schemas:
        schema = latest_schema(event_type.schemas)
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return {"post": operation | {"responses": {"2XX": {"description": "Received."}}}}


def _refuse_doubles(types: list[DescribedType]) -> None:
    names: set[str] = set()
    for described in types:
        if described.name in names:
            text = f"is the event type {described.name}, which another webhook is too"
            raise Invalid(Problem(described.loc, text, "openapi"))
        names.add(described.name)


class _Reader:
    """Reads the webhooks of one document."""

    def __init__(self, document: Doc) -> None:
        self._document = document

    def event_type(self, key: str, item: Any, loc: Loc) -> DescribedType:
        """Read one webhook."""
        item = self._resolved(item, loc)
        method = next((method for method in _METHODS if method in item), None)
        if method is None:
            raise Invalid(Problem(loc, "has no operation, such as `post`", "openapi"))
        loc = (*loc, method)
        operation = self._resolved(item[method], loc)
        name = _text(operation, _NAME, loc, NAME_MAX) or key
        if (problem := check_event_type(name)) is not None:
            text = f"the event type's name {problem}; `{_NAME}` can name another"
            raise Invalid(Problem(loc, text, "event_type"))
        fields: Doc = {"deprecated": operation.get("deprecated") is True, "archived": False}
        texts = (_text(operation, member, loc, TEXT_MAX) for member in ("description", "summary"))
        if (description := next(filter(None, texts), None)) is not None:
            fields["description"] = description
        if (group := _text(operation, _GROUP, loc, NAME_MAX)) is not None:
            fields["group_name"] = group
        if (flags := _flags(operation, loc)) is not None:
            fields["feature_flags"] = flags
        if (schema := self._schema(operation, loc)) is not None:
            fields["schemas"] = {"1": schema}
        return DescribedType(name, fields, loc)

    def _schema(self, operation: Doc, loc: Loc) -> Any:
        """Return the schema of the operation's JSON body, with all that it refers to."""
        loc = (*loc, "requestBody")
        body = self._resolved(operation.get("requestBody", {}), loc)
        content = self._resolved(body.get("content", {}), (*loc, "content"))
        kinds = [name for name in content if "json" in name.lower()]
        if not kinds:
            return None
        media = self._resolved(content[kinds[0]], (*loc, "content", kinds[0]))
        schema = media.get("schema")
        if not isinstance(schema, dict):
            return None
        whole = self._with_definitions(schema, loc)
        samples = self._samples(media, loc)
        return {**whole, "examples": samples} if samples and "examples" not in whole else whole

    def _samples(self, media: Doc, loc: Loc) -> list[Any]:
        if "example" in media:
            return [media["example"]]
        examples = self._resolved(media.get("examples", {}), (*loc, "examples"))
        resolved = [self._resolved(example, loc) for example in examples.values()]
        return [example["value"] for example in resolved if "value" in example]

    def _with_definitions(self, schema: Doc, loc: Loc) -> Doc:
        """Copy what a schema refers to from the document into it: it is kept without the rest."""
        known = self._resolved(self._document.get("components", {}), ()).get("schemas", {})
        definitions: Doc = {}
        waiting = list(_components_in(schema))
        while waiting:
            name = waiting.pop()
            if name in definitions:
                continue
            if not isinstance(known, dict) or name not in known:
                raise Invalid(Problem(loc, f"refers to {_COMPONENTS}{name}, which is not there"))
            definitions[name] = _as_json_schema(known[name])
            waiting += _components_in(known[name])
        own: Doc = _as_json_schema(schema)
        if not definitions:
            return own
        return {**own, "$defs": {**own.get("$defs", {}), **definitions}}

    def _resolved(self, part: Any, loc: Loc) -> Doc:
        """Return an object of the document, or the one that it refers to."""
        for _ in range(DEPTH_MAX):
            if not isinstance(part, dict):
                raise Invalid(Problem(loc, "must be an object", "openapi"))
            reference = part.get("$ref")
            if not isinstance(reference, str):
                return part
            part = self._at(reference, loc)
        raise Invalid(Problem(loc, "refers to itself", "openapi"))

    def _at(self, reference: str, loc: Loc) -> Any:
        part: Any = self._document
        start, *steps = reference.split("/")
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            part = part.get(name) if isinstance(part, dict) else None
        if start != "#" or part is None:
            text = f"refers to {reference[:NAME_MAX]}, which is not in this document"
            raise Invalid(Problem(loc, text, "openapi"))
        return part


def _text(holder: Doc, member: str, loc: Loc, at_most: int) -> str | None:
    """Return a text of the document; None if it is not there."""
    text = holder.get(member)
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > at_most:
        problem = f"must be a text of at most {at_most} characters"
        raise Invalid(Problem((*loc, member), problem, "string_too_long"))
    return text


def _flags(operation: Doc, loc: Loc) -> tuple[str, ...] | None:
    """Return the feature flags; None if the document says nothing of them."""
    if _FLAGS not in operation:
        flag = _text(operation, _FLAG, loc, NAME_MAX)
        return None if flag is None else (flag,)
    flags = operation[_FLAGS]
    if not isinstance(flags, list) or not all(
        isinstance(flag, str) and 0 < len(flag) <= NAME_MAX for flag in flags
    ):
        raise Invalid(Problem((*loc, _FLAGS), "must be a list of names", "openapi"))
    return tuple(flags) or None


def _components_in(part: Any) -> Iterator[str]:
    """Name the schemas of the document that a part refers to."""
    if isinstance(part, list):
        for item in part:
            yield from _components_in(item)
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.startswith(_COMPONENTS):
            yield reference.removeprefix(_COMPONENTS).split("/")[0]
        for item in part.values():
            yield from _components_in(item)


def _as_json_schema(part: Any) -> Any:
    """Copy a schema: its references lead to `$defs`, and `nullable` (OpenAPI 3.0) is a type."""
    if isinstance(part, list):
        return [_as_json_schema(item) for item in part]
    if not isinstance(part, dict):
        return part
    copy = {name: _as_json_schema(item) for name, item in part.items()}
    reference = copy.get("$ref")
    if isinstance(reference, str) and reference.startswith(_COMPONENTS):
        copy["$ref"] = _DEFINITIONS + reference.removeprefix(_COMPONENTS)
    if copy.get("nullable") is True and isinstance(copy.get("type"), str):
        copy["type"] = [copy["type"], "null"]
        del copy["nullable"]
    return copy
