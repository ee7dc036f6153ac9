"""The examples of the OpenAPI document: every operation has them, and they are what is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.web.document import written_document
from tests.web.served_gateway import ServedGateway
from tests.web.tour import FILE, make_examples

HINT = "run `python -m tests.web.tour` and look at what has changed"


def operations() -> Iterator[dict[str, Any]]:
    for item in written_document()["paths"].values():
        yield from item.values()


def check(schema: dict[str, Any], example: Any, where: str) -> None:
    whole = {**schema, "components": written_document()["components"]}
    problems = [problem.message for problem in jsonschema_rs.iter_errors(whole, example)]
    assert problems == [], f"{where}: {HINT}"


def test_every_operation_has_valid_examples() -> None:
    for operation in operations():
        where = operation["operationId"]
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                assert "example" in parameter, f"{where} {parameter['name']}: {HINT}"
            if "example" in parameter:
                check(parameter["schema"], parameter["example"], where)
        if "requestBody" in operation:
            (content,) = operation["requestBody"]["content"].values()
            assert "example" in content, f"{where}: {HINT}"
            check(content["schema"], content["example"], where)
        successes = [
            content
            for status, response in operation["responses"].items()
            if status.startswith("2")
            for content in response.get("content", {}).values()
        ]
        assert not successes or any("example" in content for content in successes), where
        for content in successes:
            if "example" in content:
                check(content["schema"], content["example"], where)


def test_every_common_error_has_a_valid_example() -> None:
    errors = {
        name: example["value"]
        for name, example in written_document()["components"]["examples"].items()
    }
    assert {f"Status{status}" for status in (400, 401, 403, 404, 409, 413, 422)} == set(errors)
    for name, example in errors.items():
        model = "InvalidOut" if name == "Status422" else "ProblemOut"
        check({"$ref": f"#/components/schemas/{model}"}, example, name)


@pytest.mark.slow
@pytest.mark.sqlite
def test_the_examples_are_what_the_program_answers(tmp_path: Path) -> None:
    with ServedGateway(tmp_path) as served:
        made = make_examples(served)
    assert made == json.loads(FILE.read_text()), HINT
