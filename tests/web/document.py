"""The OpenAPI document, which takes a second to write: once a process, and not to collect tests."""

from __future__ import annotations

import functools
from typing import Any

from tillbell.web.api.rest import openapi_document


@functools.cache
def written_document() -> dict[str, Any]:
    """Return the document. Nobody changes it."""
    return openapi_document()
