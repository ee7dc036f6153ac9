"""`tillbell config show`: every setting, its value and its origin."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter

from tillbell.cli.flags import Flags, load_settings
from tillbell.config import FIELDS
from tillbell.setting_text import shown


def show(
    flags: Flags | None = None,
    *,
    as_json: Annotated[bool, Parameter(("--json",), negative="")] = False,
) -> None:
    """Show every setting with its value, its origin and its meaning.

    Secrets, and passwords in URLs, are masked.

    Parameters
    ----------
    as_json
        Write one JSON object.
    """
    settings, origins = load_settings(flags)
    rows = [(name, shown(getattr(settings, name)), origins[name]) for name in FIELDS]
    if as_json:
        written = {name: {"value": value, "origin": origin} for name, value, origin in rows}
        print(json.dumps(written, indent=2, ensure_ascii=False))
        return
    name_width = max(len(name) for name, _, _ in rows)
    value_width = max(len(value) for _, value, _ in rows)
    for name, value, origin in rows:
        doc = FIELDS[name].metadata["doc"]
        print(f"{name:{name_width}}  {value:{value_width}}  {origin:24}  {doc}")
