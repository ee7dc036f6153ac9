"""Examples of the OpenAPI document: requests and answers of a real run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


class OperationExample(msgspec.Struct, frozen=True):
    """One request of an operation, and what was answered, by status."""

    parameters: dict[str, Any] = {}
    responses: dict[str, Any] = {}
    request: Any = None


class Examples(msgspec.Struct, frozen=True):
    """Examples of operations, by operation id, and of errors, by status."""

    operations: dict[str, OperationExample]
    errors: dict[str, Any]


def read_examples() -> Examples:
    """Read the examples. `python -m tests.web.tour` makes them."""
    text = Path(__file__).with_name("examples.json").read_bytes()
    return msgspec.json.decode(text, type=Examples)
