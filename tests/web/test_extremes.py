"""Numbers and times at and beyond every limit, in each place of the API: never a failure of ours.

The places are read from the OpenAPI document of the running gateway, so a new one is tried too.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from tests.scale import drawn, soak
from tests.web.known import STRIPE_SECRET, Known
from tests.web.served_gateway import ServedGateway

NUMBERS: tuple[Any, ...] = (0, -1, 2**31, 2**63, 10**30, 1e308)
TIMES = (
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+12:00",
    "0001-01-01T00:00:00",
    "1970-01-01T00:00:00Z",
)
EXTREMES = (*NUMBERS, *TIMES)
REFUSED = {"integer": NUMBERS[-3:], "time": (TIMES[0], *TIMES[2:4])}
CLIENT_ERROR, SERVER_ERROR = 400, 500
ITEM = 0  # a step into a list
# Members that are needed, where their shape does not say which texts are valid.
TEXTS = {
    "name": "n",
    "uid": "record-1",
    "kind": "failed",
    "amount": "1.00",
    "carrier": "dhl",
    "trackingNumber": "T-2",
    "eventType": "order.paid",
    "scopes": "read",
    "provider": "hint",
    "secret": "a-secret-of-thirty-two-characters",
    "description": "",
    "case": "paid",
    "pspType": "FORUMPAY",
    "type": "PAYIN",
    "currency": "EUR",
    "userId": "u",
    "baseamount": "1.00",
    "email": "ada@shop.example",
    "target": "message",
}

# One of several members is needed, which a schema does not say.
ONE_OF: dict[str, dict[str, Any]] = {
    "/api/v1/key": {"scopes": ["read"]},
    "/api/v1/alert": {"kinds": ["endpoint"]},
    "/api/v1/app/{app_id}/export-link": {"kind": "orders"},
    "/api/v1/app/{app_id}/export-schedule": {"kind": "orders"},
    "/api/v1/app/{app_id}/transaction/{transaction_id}/expect-refund": {
        "amount": "0.01",
        "reason": "sent back",
    },
    "/api/v1/inbox/{inbox_id}/request/{request_id}/verify": {
        "scheme": "stripe",
        "secret": STRIPE_SECRET,
    },
    "/api/v1/inbox/{inbox_id}/promote": {"provider": "stripe", "secrets": [STRIPE_SECRET]},
    "/api/v1/event-type/import/openapi": {"specRaw": "webhooks: {order.imported: {post: {}}}"},
}


class Place(NamedTuple):
    """Where in a request a number or time stands: a parameter, or steps into the body."""

    method: str
    path: str
    steps: tuple[str | int, ...]
    kind: str  # integer, number, time, free: any JSON
    body: str | None  # a valid one as JSON; None: it is a parameter of the query


class Document:
    """Reads the shapes of an OpenAPI document."""

    def __init__(self, document: dict[str, Any], url: str) -> None:
        self._document = document
        self._texts = {**TEXTS, "url": url}
        self._schemas = document["components"]["schemas"]

    def places(self) -> Iterator[Place]:
        """Yield every place of a number, a time or free JSON."""
        for path, item in self._document["paths"].items():
            for method, operation in item.items():
                yield from self._parameters(method, path, operation)
                yield from self._members(method, path, operation)

    def _parameters(self, method: str, path: str, operation: Any) -> Iterator[Place]:
        for parameter in operation.get("parameters", ()):
            for _, kind in self._extreme_steps(parameter["schema"]):
                yield Place(method, path, (parameter["name"],), kind, None)

    def _members(self, method: str, path: str, operation: Any) -> Iterator[Place]:
        for media in operation.get("requestBody", {}).get("content", {}).values():
            body = json.dumps(self._sample(media["schema"]) | ONE_OF.get(path, {}))
            for steps, kind in self._extreme_steps(media["schema"]):
                yield Place(method, path, steps, kind, body)

    def _extreme_steps(self, schema: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
        schema = self._resolved(schema)
        if schema.get("format") == "date-time":
            yield (), "time"
        elif schema.get("type") in ("integer", "number"):
            yield (), schema["type"]
        elif schema.get("additionalProperties") is True:
            yield ("n",), "free"
        inner: list[tuple[tuple[str | int, ...], Any]]
        inner = [((), choice) for choice in schema.get("anyOf", ())]
        inner += [((name,), member) for name, member in schema.get("properties", {}).items()]
        inner += [((ITEM,), schema["items"])] if "items" in schema else []
        for first, member in inner:
            for steps, kind in self._extreme_steps(member):
                yield (*first, *steps), kind

    def _sample(self, schema: Any, name: str = "") -> Any:
        """Return a valid value with the required members only."""
        schema = self._resolved(schema)
        if name in self._texts and schema.get("type") != "array":
            return self._texts[name]
        if schema.get("format") == "date-time":
            return "2026-01-01T00:00:00Z"
        if schema.get("type") == "array":
            return [self._sample(schema["items"], name)]
        needed = schema.get("required", ())
        properties = schema.get("properties", {})
        return {member: self._sample(properties[member], member) for member in needed}

    def _resolved(self, schema: Any) -> Any:
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        return schema


# Parameters of the query without which there is no answer.
NEEDED = {"/filter/completion": {"list": "message"}, "/search": {"q": "order-1"}}


class Asker:
    """Sends requests about things that exist; each method returns the status of the answer."""

    def __init__(self, served: ServedGateway, known: Known) -> None:
        self._served = served
        self._known = known

    def with_extreme(self, place: Place, value: Any) -> int:
        """Send a request with that value in its place."""
        if place.body is None:
            return self._send(place.method, place.path, {place.steps[0]: value})
        return self._send(place.method, place.path, json=put(place.body, place.steps, value))

    def valid(self, place: Place) -> int:
        """Send the request without the place."""
        return self._send(place.method, place.path, content=place.body)

    def read(self, path: str) -> int:
        """Read what is there."""
        return self._send("get", path)

    def _send(
        self, method: str, path: str, query: dict[Any, Any] | None = None, **body: Any
    ) -> int:
        ids = defaultdict(lambda: "unknown", self._known.ids_for(path))
        headers = {"x-application": self._known.ids["app_id"]}
        url = self._served.url + path.format_map(ids)
        needed = {"endpoint_id": ids["endpoint_id"]} if path.endswith("}/delivery") else {}
        needed |= NEEDED.get(path.removeprefix("/api/v1"), {})
        params = {**needed, **(query or {})}
        with self._served.http.stream(
            method, url, headers=headers, params=params, **body
        ) as answer:
            if not path.endswith("/live"):  # that one never ends
                answer.read()
            return answer.status_code


def put(body: str, steps: tuple[str | int, ...], value: Any) -> Any:
    """Return a body with a value in that place."""
    read = json.loads(body)
    inner = read
    for step, following in pairwise(steps):
        if isinstance(step, int):
            inner[:] = [{}]
            inner = inner[step]
        else:
            default: Any = [] if following == ITEM else {}
            if not isinstance(inner.get(step), type(default)):
                inner[step] = {"name": "n"} if step == "application" else default
            inner = inner[step]
    if steps[-1] == ITEM:
        inner[:] = [value]
    else:
        inner[steps[-1]] = value
    return read


@pytest.fixture(scope="module")
def known(served: ServedGateway) -> Iterator[Known]:
    things = Known(served)
    yield things
    things.session.close()


@pytest.fixture(scope="module")
def document(served: ServedGateway) -> dict[str, Any]:
    text: dict[str, Any] = served.http.get("/openapi.json").json()
    return text


@soak
def test_no_number_or_time_makes_the_gateway_fail(
    served: ServedGateway, known: Known, document: dict[str, Any]
) -> None:
    asker = Asker(served, known)
    places = list(Document(document, served.receiver.url()).places())
    assert {place.kind for place in places} == {"integer", "number", "time", "free"}

    cases = drawn([(place, value) for place in places for value in EXTREMES], 4)
    statuses = {(place, value): asker.with_extreme(place, value) for place, value in cases}
    assert [asked for asked, status in statuses.items() if status >= SERVER_ERROR] == []
    accepted = [asked for asked, status in statuses.items() if status < CLIENT_ERROR]
    assert [asked for asked in accepted if asked[1] in REFUSED.get(asked[0].kind, ())] == []
    reads = {path: asker.read(path) for path, item in document["paths"].items() if "get" in item}
    assert [path for path, status in reads.items() if status >= SERVER_ERROR] == []


def test_the_requests_are_valid_but_for_the_extreme(
    served: ServedGateway, known: Known, document: dict[str, Any]
) -> None:
    asker = Asker(served, known)
    by_operation = {
        (p.method, p.path): p for p in Document(document, served.receiver.url()).places()
    }

    statuses = {asked: asker.valid(place) for asked, place in by_operation.items()}
    assert {asked: s for asked, s in statuses.items() if s >= CLIENT_ERROR} == {}
