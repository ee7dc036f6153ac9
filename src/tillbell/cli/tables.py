"""`tillbell export` and `tillbell import`: rows of a running gateway as files."""

from __future__ import annotations

import sys
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tillbell.cli.flags import RemoteFlags
from tillbell.cli.remote import ASK_AGAIN_S, api_of
from tillbell.errors import Misconfigured

if TYPE_CHECKING:
    from tillbell.cli.client import ApiClient

ExportedKind = Literal[
    "orders",
    "products",
    "customers",
    "subscriptions",
    "shipments",
    "messages",
    "deliveries",
    "attempts",
    "callbacks",
    "transactions",
    "conflicts",
    "audit",
]
ImportedKind = Literal["orders", "products", "stock", "customers", "subscriptions"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Which rows are exported, and how."""

    format: Literal["csv", "json", "ndjson"] = "csv"
    """How rows are written."""
    filter: str | None = None
    """As the lists take it: "status:paid since:24h"."""
    bom: Annotated[bool, Parameter(negative="")] = False
    """Begin CSV with the mark of UTF-8, which Excel needs."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ImportFlags:
    """How a file is imported."""

    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Say what would be done, and do nothing."""
    skip: Annotated[bool, Parameter(negative="")] = False
    """Write the rows that are right, even if others are wrong."""
    encoding: str | None = None
    """Of the file, if it is neither UTF-8 nor UTF-16 with its mark: windows-1252."""


def export(
    kind: ExportedKind,
    *,
    app: str,
    options: ExportOptions | None = None,
    flags: RemoteFlags | None = None,
) -> None:
    """Write all rows of an application to standard output.

    Parameters
    ----------
    kind
        What is exported.
    app
        Id or uid of the application.
    """
    options = options or ExportOptions()
    query: dict[str, str] = {"format": options.format}
    if options.filter is not None:
        query["filter"] = options.filter
    if options.bom:
        query["bom"] = "true"
    path = f"{_below(app)}/export/{kind}?{urllib.parse.urlencode(query)}"
    for piece in api_of(flags).download(path):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def import_(
    kind: ImportedKind,
    file: Path,
    *,
    app: str,
    options: ImportFlags | None = None,
    flags: RemoteFlags | None = None,
) -> int:
    """Import a CSV file. Exit code 1 if rows are wrong.

    Parameters
    ----------
    kind
        What is imported.
    file
        The CSV file.
    app
        Id or uid of the application.
    """
    options = options or ImportFlags()
    query = {"dryRun": str(options.dry_run).lower(), "onError": "skip" if options.skip else "stop"}
    if options.encoding is not None:
        query["encoding"] = options.encoding
    api = api_of(flags)
    path = f"{_below(app)}/import/{kind}?{urllib.parse.urlencode(query)}"
    try:
        with file.open("rb") as content:
            shown = api.upload(path, content, "text/csv")
    except OSError as error:
        raise Misconfigured(f"{file}: {error}") from error
    report = _finished(api, shown) if "task" in shown else shown
    for problem in report["problems"]:
        place = f"row {problem['row']}" + (f", {problem['column']}" if problem["column"] else "")
        print(f"{place}: {problem['text']}", file=sys.stderr)
    names = ("created", "changed", "unchanged", "failed")
    print(", ".join(f"{report[name]} {name}" for name in names))
    if not report["isWritten"]:
        print("nothing was written")
    return 1 if report["failed"] else 0


def _finished(api: ApiClient, task: dict[str, Any]) -> dict[str, Any]:
    """Wait for a task; return its report."""
    while task["status"] == "running":
        threading.Event().wait(ASK_AGAIN_S)
        task = api.call("GET", f"/background-task/{task['id']}")
    data: dict[str, Any] = task["data"]
    if task["status"] != "finished" or "isWritten" not in data:
        raise Misconfigured(f"the import ended as {task['state']}")
    return data


def _below(app: str) -> str:
    return f"/app/{urllib.parse.quote(app, safe='')}"
