"""The API against its own OpenAPI document: nothing undocumented, no failure of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import openapi_spec_validator
import pytest

from tests.scale import soak
from tests.tidy.source import ROOT
from tests.web.document import written_document
from tests.web.known import Known
from tests.web.served_gateway import ServedGateway
from tillbell.catalog import CATALOG
from tillbell.web.edge.patterns import RULES

pytestmark = pytest.mark.sqlite_first

PARTS = 8  # of all operations: a whole soak of them in one test is too long


@pytest.fixture(scope="module")
def known(served: ServedGateway) -> Iterator[Known]:
    made = Known(served)
    yield made
    made.session.close()


@soak
@pytest.mark.parametrize("part", range(PARTS))
def test_every_answer_is_documented(part: int, served: ServedGateway, known: Known) -> None:
    from tests.web.random_requests import all_operations, ask_at_random

    failures = []
    for operation in all_operations()[part::PARTS]:
        try:
            ask_at_random(operation, served, known)
        except Exception as failure:
            failure.add_note(f"at {operation.label}")
            failures.append(failure)
    if failures:
        raise ExceptionGroup("answers that are not documented", failures)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def without_examples(part: dict[str, Any]) -> Iterator[Any]:
    """Examples may hold schemas themselves, those of event types."""
    return (item for name, item in part.items() if name not in ("example", "examples"))


def shapes(document: Any) -> Iterator[dict[str, Any]]:
    """Find every schema with members, wherever it stands."""
    if isinstance(document, list):
        for item in document:
            yield from shapes(item)
    if isinstance(document, dict):
        if isinstance(document.get("properties"), dict):
            yield document
        for item in without_examples(document):
            yield from shapes(item)


def says_more_than(name: str, text: str) -> bool:
    """Whether a description has words that the name does not have."""
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", text)}
    return len(words - {part.lower() for part in re.findall(r"[A-Z]?[a-z]+", name)}) >= 2


def test_everything_is_described_for_a_reader() -> None:
    document = written_document()
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name), f"{name} is no name for readers"
        assert schema["description"], name
    for shape in shapes([document["paths"], document["components"]]):
        assert "title" not in shape, "a title that the framework made"
        for name, member in shape["properties"].items():
            assert "title" not in member or isinstance(member["title"], dict), name
            assert says_more_than(name, member.get("description", "")), name
    summaries = [operation["summary"] for _, operation in operations(document)]
    assert len(set(summaries)) == len(summaries)
    for where, operation in operations(document):
        assert says_more_than("", operation["description"]), where
        for parameter in operation.get("parameters", ()):
            assert says_more_than(parameter["name"], parameter["description"]), parameter
        for status, response in operation["responses"].items():
            assert response["description"] not in ("", "Successful Response"), (where, status)
            assert "X-Request-Id" in response["headers"], (where, status)
    assert _default_order(document, "/api/v1/app").endswith("oldest by default.")
    assert _default_order(document, "/api/v1/app/{app_id}/endpoint").endswith("newest by default.")
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert used <= set(described)
    assert all(len(text.split()) > 3 for text in described.values())
    assert document["servers"]


def _default_order(document: dict[str, Any], path: str) -> str:
    parameters = document["paths"][path]["get"]["parameters"]
    (text,) = (each["description"] for each in parameters if each["name"] == "order")
    return str(text)


def patterns(document: Any) -> Iterator[str]:
    if isinstance(document, list):
        for item in document:
            yield from patterns(item)
    if isinstance(document, dict):
        if isinstance(document.get("pattern"), str):
            yield document["pattern"]
        for item in without_examples(document):
            yield from patterns(item)


def test_a_broken_pattern_is_told_in_words(served: ServedGateway) -> None:
    document = written_document()
    assert set(patterns([document["paths"], document["components"]])) <= set(RULES)
    for refused in (
        served.http.post("/app", json={"name": "shop", "uid": "a b"}),
        served.http.get("/app", params={"iterator": "?"}),
        served.http.post("/key", json={"name": "k", "scopes": ["root"]}),
    ):
        assert refused.status_code == 422
        (problem,) = refused.json()["detail"]
        assert problem["type"] == "string_pattern_mismatch"
        assert not re.search(r"[\^$\\\[]", problem["msg"])


def test_the_document_is_valid_and_whole(served: ServedGateway) -> None:
    with served.client(None) as client:
        document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    openapi_spec_validator.validate(document)
    assert set(document["webhooks"]) == set(CATALOG)
    assert "post" in document["paths"]["/api/v1/app/{app_id}/msg"], "the hot route is described"
    text = httpx.Response(200, json=document).text
    assert "HTTPValidationError" not in text
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["operationId"], (method, path)
            if operation["tags"] != ["Health"]:
                assert {"401", "403", "422", "429"} <= set(operation["responses"]), (method, path)


def test_the_codes_of_errors_are_a_closed_list_that_the_guide_explains() -> None:
    shape = written_document()["components"]["schemas"]["ProblemOut"]["properties"]["code"]
    guide = (ROOT / "docs" / "api.md").read_text()
    table = guide.partition("| code | means |")[2].partition("\n\n")[0]
    explained = re.findall(r"^\| `(\w+)` \| \S", table, re.MULTILINE)
    assert explained == shape["enum"]
    assert all(f"- `{code}`: " in shape["description"] for code in explained)
