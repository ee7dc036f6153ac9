"""Requests that are drawn of the OpenAPI document. A module apart: its library is slow to load."""

from __future__ import annotations

import copy
import functools
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.scale import full_or_tenth
from tests.web.document import written_document
from tests.web.known import Known
from tests.web.served_gateway import ServedGateway

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = full_or_tenth(20)


@functools.cache
def all_operations() -> list[Any]:
    schema = schemathesis.openapi.from_dict(copy.deepcopy(written_document()))
    read = list(schema.get_all_operations())
    operations = [result.ok() for result in read if isinstance(result, Ok)]
    assert len(operations) == len(read), "one cannot be read"
    # A stream of events does not end.
    return [operation for operation in operations if operation.path != "/api/v1/live"]


def put_into(case: schemathesis.Case[Any], ids: dict[str, str]) -> None:
    for name in case.path_parameters or {}:
        case.path_parameters[name] = ids.get(name, "qtask_0")


def any_case_of(operation: Any) -> st.SearchStrategy[schemathesis.Case[Any]]:
    """Requests as the document wants them, and requests that break it."""
    bad = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return st.one_of(operation.as_strategy(), operation.as_strategy(), bad)


def ask_at_random(operation: Any, served: ServedGateway, known: Known) -> None:
    """Ask for one operation with requests that fit the document, and some that break it."""

    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=any_case_of(operation), is_known=st.booleans())
    def ask(case: schemathesis.Case[Any], is_known: bool) -> None:
        if is_known and case.method != "DELETE":
            put_into(case, known.ids_for(case.path))
        headers = {"authorization": f"Bearer {served.key}"}
        answer = case.call(base_url=served.url, headers=headers, session=known.session)
        case.validate_response(answer, checks=CHECKS)

    ask()
