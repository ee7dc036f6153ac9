"""Render a chart with Helm's own engine: a program of its own, for the engine takes signals over.

Reads a list of `{chart, name, values}` as JSON, writes for each `{lint, files}` or `{error}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import helm_python


def rendered(asked: dict[str, Any]) -> dict[str, Any]:
    """Do one."""
    chart, values = asked["chart"], asked["values"]
    try:
        with helm_python.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            files = loaded.render(values, name=asked["name"], namespace="hooks")
        return {"lint": helm_python.lint(chart, values, strict=True), "files": files}
    except helm_python.HelmError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    json.dump([rendered(asked) for asked in json.load(sys.stdin)], sys.stdout)
