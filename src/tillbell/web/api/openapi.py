"""The OpenAPI 3.1 document: every route, every status, and the webhooks that we send."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tillbell import __version__
from tillbell.catalog import CATALOG
from tillbell.web.api.cashier import CashierIn
from tillbell.web.api.examples import Examples, OperationExample, read_examples
from tillbell.web.api.glossary import MEMBERS, PARAMETERS, TAGS
from tillbell.web.api.shapes import InvalidOut, ProblemOut

Doc = dict[str, Any]

_REF = "#/components/schemas/{model}"
_DESCRIPTION = """\
Webhooks for commerce and payments. Shapes, names and paging are those of the Svix API, whose SDKs
work unchanged.

- **Key**: every request but `GET /api/v1/health` needs `Authorization: Bearer <API key>`.
- **Ids**: where a path has an id, your own id (`uid`, of a message `eventId`) works too.
- **Lists** come in pages: pass `iterator` of a page on for the next one, `prevIterator` for the one
  before, until `done`.
- **Errors** are `{code, detail, requestId}`. At 422 `detail` is a list that names each member and
  the rule that it breaks.
- **Request id**: the header `X-Request-Id` of a request is taken over, else one is made. Every
  answer and every error has it.
- **Repeats**: a `POST` with an `Idempotency-Key` is done once, however often it is sent.
- `HEAD` is `GET` without the body, on every path. Times are UTC; amounts are texts in whole units.
"""
_PUBLIC_TAG = "Health"
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key (`tb_…`), or a portal token: `Authorization: Bearer <key>`.",
}
_REQUEST_ID = {
    "description": "Id of the request: its own `X-Request-Id`, or a new one.",
    "schema": {"type": "string", "examples": ["req_1f0c2b7de4a95c3380b6d1aa"]},
}
_LIST_NAME = re.compile(r"\bListed_(\w+?)Out_")
_SENTENCE_END = re.compile(r"\.(?:\s|$)")
_METHODS = ("get", "put", "post", "delete", "patch")
_FRAMEWORKS_WORDS = "Successful Response"
_SHOWN = "What was asked for."
_DONE = {
    "200": "Done, with this result.",
    "201": "Created.",
    "202": "Stored; what follows from it goes on after the answer.",
    "204": "Done; the answer has no body.",
}
_TEXT = {
    400: "The request cannot be read.",
    401: "No valid API key.",
    403: "The key may not do this.",
    404: "It does not exist, or not for this key.",
    409: "It is taken, or the idempotency key was used with another request.",
    413: "The body is too large.",
    422: "The request breaks a rule; `detail` says where.",
    429: "Too many requests; `Retry-After` says when to try again.",
    431: "The request line and headers are too large; the connection is closed.",
    500: "A bug in Tillbell; the request id finds it in the log.",
    503: "Try again; a repeat is safe.",
}


def make_document(api: FastAPI, described: list[Any]) -> Doc:
    """Write the document of the API's routes and of those in `described`."""
    document = get_openapi(
        title="Tillbell",
        version=__version__,
        description=_DESCRIPTION,
        routes=[*api.routes, *described],
    )
    document = _with_plain_names(document)
    document["servers"] = [{"url": "/", "description": "The server that gave this document."}]
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    document["tags"] += [
        {"name": f"{group}.*", "description": f"Messages that endpoints get: `{group}.*`."}
        for group in sorted({entry.group for entry in CATALOG.values()})
    ]
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"key": _KEY}
    components["headers"] = {"RequestId": _REQUEST_ID}
    schemas = components.setdefault("schemas", {})
    for model in (ProblemOut, InvalidOut, CashierIn):
        schemas |= _schemas_of(model)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for name, schema in schemas.items():
        _complete_schema(name, schema)
    examples = read_examples()
    components["examples"] = {
        f"Status{status}": {"value": value} for status, value in examples.errors.items()
    }
    for path, method, operation in _operations(document):
        _complete(path, method, operation)
        _remove_titles(operation)
        _add_examples(operation, examples)
    _remove_titles(schemas)
    document["webhooks"] = {name: _webhook(name) for name in CATALOG}
    return document


def _with_plain_names(document: Doc) -> Doc:
    """Name lists as callers do: `EndpointList`, where the framework says `Listed_EndpointOut_`."""
    text = msgspec.json.encode(document).decode()
    plain: Doc = msgspec.json.decode(_LIST_NAME.sub(r"\1List", text))
    return plain


def _complete_schema(name: str, schema: Doc) -> None:
    """Describe the members that the glossary knows.

    A change has no defaults: what is left out stays.
    """
    if name.endswith("List"):
        schema["description"] = "One page of a list."
    for member, shape in schema.get("properties", {}).items():
        if member in MEMBERS:
            shape.setdefault("description", MEMBERS[member])
        if name.endswith("Patch"):
            shape.pop("default", None)


def _remove_titles(part: Any) -> None:
    """Remove the titles that the framework makes of Python's names. A member may have that name."""
    if isinstance(part, list):
        for item in part:
            _remove_titles(item)
    if isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        for item in part.values():
            _remove_titles(item)


def _schemas_of(model: Any) -> Doc:
    schema = model.model_json_schema(ref_template=_REF)
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _operations(document: Doc) -> Iterator[tuple[str, str, Doc]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _complete(path: str, method: str, operation: Doc) -> None:
    operation["summary"] = _SENTENCE_END.split(operation["description"], maxsplit=1)[0]
    for parameter in operation.get("parameters", ()):
        parameter.setdefault("description", PARAMETERS.get(parameter["name"], ""))
    is_public = _PUBLIC_TAG in operation["tags"]
    operation["security"] = [] if is_public else [{"key": []}]
    responses = operation["responses"]
    if not is_public:
        tag = operation["tags"][0]
        for status in _statuses(path, method, tag, has_body="requestBody" in operation):
            responses[str(status)] = _response(status)
    for status, response in responses.items():
        if response["description"] == _FRAMEWORKS_WORDS:
            response["description"] = _SHOWN if method == "get" else _DONE[status]
        response["headers"] = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}


def _add_examples(operation: Doc, examples: Examples) -> None:
    """Put what a real run has sent and got beside the shapes."""
    example = examples.operations.get(operation["operationId"], OperationExample())
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in example.parameters:
            parameter["example"] = example.parameters[parameter["name"]]
    if "requestBody" in operation and example.request is not None:
        operation["requestBody"]["content"]["application/json"]["example"] = example.request
    for status, response in operation["responses"].items():
        for media, content in response.get("content", {}).items():
            if not media.endswith("json"):
                continue
            if status in example.responses:
                content["example"] = example.responses[status]
            elif status in examples.errors:
                content["examples"] = {"refused": {"$ref": f"#/components/examples/Status{status}"}}


def _statuses(path: str, method: str, tag: str, *, has_body: bool) -> list[int]:
    """Return the errors that are possible. Any request may have a body that is too large."""
    statuses = [400, 401, 403, 413, 422, 429, 431, 500, 503]
    if "{" in path or has_body or tag in ("Overview", "Statistics"):
        statuses.append(404)
    if method in ("post", "put", "patch"):
        statuses.append(409)
    return sorted(statuses)


def _response(status: int) -> Doc:
    name, media = (
        ("InvalidOut", "application/json")
        if status == 422
        else ("ProblemOut", "application/problem+json")
    )
    schema = {"$ref": _REF.format(model=name)}
    return {"description": _TEXT[status], "content": {media: {"schema": schema}}}


def _webhook(name: str) -> Doc:
    entry = CATALOG[name]
    schema = {key: value for key, value in entry.schema.items() if key != "$schema"}
    content = {"application/json": {"schema": schema, "example": entry.sample}}
    return {
        "post": {
            "summary": entry.description,
            "operationId": f"on-{name}",
            "tags": [f"{entry.group}.*"],
            "requestBody": {"required": True, "content": content},
            "responses": {"2XX": {"description": "Received."}},
        }
    }
