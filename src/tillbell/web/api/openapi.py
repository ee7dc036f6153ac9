"""The OpenAPI 3.1 document: every route, every status, and the webhooks that we send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tillbell import __version__
from tillbell.catalog import CATALOG
from tillbell.web.api.shapes import InvalidOut, ProblemOut

Doc = dict[str, Any]

_REF = "#/components/schemas/{model}"
_DESCRIPTION = (
    "Webhooks for commerce and payments. Shapes, names and paging are those of the Svix API, "
    "whose SDKs work unchanged."
)
_PUBLIC_TAG = "Health"
_METHODS = ("get", "put", "post", "delete", "patch")
_TEXT = {
    400: "The request cannot be read.",
    401: "No valid API key.",
    403: "The key may not do this.",
    404: "It does not exist, or not for this key.",
    409: "It is taken, or the idempotency key was used with another request.",
    413: "The body is too large.",
    422: "The request breaks a rule; `detail` says where.",
    429: "Too many requests; `Retry-After` says when to try again.",
    431: "The request line and headers are too large. No body; the connection is closed.",
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
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    schemas = components.setdefault("schemas", {})
    for model in (ProblemOut, InvalidOut):
        schemas |= _schemas_of(model)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, method, operation in _operations(document):
        _complete(path, method, operation)
    document["webhooks"] = {name: _webhook(name) for name in CATALOG}
    return document


def _schemas_of(model: Any) -> Doc:
    schema = model.model_json_schema(ref_template=_REF)
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _operations(document: Doc) -> Iterator[tuple[str, str, Doc]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _complete(path: str, method: str, operation: Doc) -> None:
    if _PUBLIC_TAG in operation["tags"]:
        operation["security"] = []
        return
    operation["security"] = [{"key": []}]
    responses = operation["responses"]
    for status in _statuses(path, method, has_body="requestBody" in operation):
        responses[str(status)] = _response(status)
    for response in responses.values():
        response.setdefault("headers", {})


def _statuses(path: str, method: str, *, has_body: bool) -> list[int]:
    """Return the errors that are possible. Any request may have a body that is too large."""
    statuses = [400, 401, 403, 413, 422, 429, 431, 503]
    if "{" in path or has_body:
        statuses.append(404)
    if method in ("post", "put", "patch"):
        statuses.append(409)
    return sorted(statuses)


def _response(status: int) -> Doc:
    if status == 431:  # sent by the server, without a body, before the request is complete
        return {"description": _TEXT[status]}
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
            "tags": [entry.group],
            "requestBody": {"required": True, "content": content},
            "responses": {"2XX": {"description": "Received."}},
        }
    }
