"""YAML as we accept it: what JSON can say too, so that any two parsers read it alike.

Refused: aliases (a short text could stand for a huge one), a member twice, nesting deeper than JSON
may nest. `yes`, `on`, `010` and dates are texts; so are the names of all members.
"""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from tillbell.errors import Malformed
from tillbell.rules.delivery.payload import DEPTH_MAX

# How texts without quotes are read: the values of JSON, written as there. All others are texts.
_VALUES = (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
)


def yaml_as_json(text: str) -> bytes:
    """Return a document that is written in YAML as JSON. `Malformed` says what cannot be read."""
    import yaml  # 2 MiB and 30 ms of every start, for the few who import a document

    try:
        _check_shape(yaml, text)
        return json.dumps(yaml.load(text, Loader=_loader(yaml))).encode()  # noqa: S506 - plain
    except yaml.YAMLError as error:
        raise Malformed(f"The document is not YAML: {error}") from error
    except (ValueError, TypeError) as error:  # a number of thousands of digits, a `!!set`
        raise Malformed(f"The document cannot be read: {error}") from error


def _check_shape(yaml: Any, text: str) -> None:
    """Look at a document before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise Malformed(f"Line {line} of the document has an alias (*): write it out.")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise Malformed(f"The document nests deeper than {DEPTH_MAX} levels.", code="too_deep")


def _loader(yaml: Any) -> Any:
    """Return a loader that reads what JSON has, and nothing else."""

    class PlainLoader(yaml.CSafeLoader):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:  # noqa: FBT001 - the library's
            mapping: dict[str, Any] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.constructor.ConstructorError(
                        None, None, "a member's name must be a text", key.start_mark
                    )
                if key.value in mapping:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the member {key.value!r} is there twice", key.start_mark
                    )
                mapping[key.value] = self.construct_object(value, deep=deep)
            return mapping

    for name, pattern, first in _VALUES:
        matcher = re.compile(f"(?:{pattern})\\Z")
        PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", matcher, first)
    return PlainLoader
