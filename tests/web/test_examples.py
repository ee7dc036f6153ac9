"""The examples of the OpenAPI document: every operation has them, and they are what is answered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.web.document import written_document
from tests.web.served_gateway import ServedGateway
from tests.web.tour import FILE, Tour, examples_of, make_tour
from tillbell.model.audit import ActorKind, AuditedAct
from tillbell.rules.filters.clauses import ListFilter
from tillbell.rules.rights import Action
from tillbell.storage.ports.outbound import Page
from tillbell.web.edge.access import ACCESS, ON_RECORD

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
        tour = make_tour(served)
        acts = served.do(every_act(served))
    assert_every_change_is_on_record(tour, acts)
    assert examples_of(tour) == json.loads(FILE.read_text()), HINT


# They verify what is there. A test of a source that is no dry run is stored, and on record.
STORES_NOTHING = {"inbox.verify"}


async def every_act(served: ServedGateway) -> list[AuditedAct]:
    page = Page(limit=5_000)
    return (await served.gateway.database.filtered_audit(None, ListFilter(), page, 5_000)).rows


def assert_every_change_is_on_record(tour: Tour, acts: list[AuditedAct]) -> None:
    """Check that each request that changes something has left one entry, and no other any."""
    # An erasure has one more entry, which proves what it took out of the log.
    count = Counter(act.actor.request_id for act in acts if act.action != "audit.redact")
    for operation, requests in tour.asked.items():
        action = ACCESS[operation].action if operation in ACCESS else Action.READ
        left = [count[request] for request in requests]
        if action is Action.EXPORT:
            assert set(left) == {1}, operation
        elif action in (Action.WRITE, Action.ADMIN) and tour.changes(operation):
            assert max(left) == 1 or operation in ON_RECORD | STORES_NOTHING, (operation, left)
        else:
            assert set(left) <= {0, 1}, (operation, left)
    named = [act for act in acts if act.actor.request_id is not None]
    assert {act.actor.kind for act in named} <= {ActorKind.KEY, ActorKind.PORTAL}
    assert all(act.actor.name and act.actor.role and act.actor.user_agent for act in named)
    text = repr(acts)
    for secret in tour.secrets:
        assert secret not in text
